"""Promise 14, as a client of a real server meets it: what a request did is committed
or rolled back before the response leaves, whichever way it ends.
"""

from __future__ import annotations

import collections.abc as c
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
import werkzeug
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Gone
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound

from flask_scopes import Scopes
from flask_scopes import UnitFailed

from . import serving
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)

View: t.TypeAlias = c.Callable[[Scopes], ResponseReturnValue]


class Empty(Exception):
    """There is no tea."""


class Handled(Exception):
    """Is handled, with a status."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


def raising(make: c.Callable[[], Exception]) -> View:
    def view(scopes: Scopes) -> ResponseReturnValue:
        raise make()

    return view


def aborting(make: c.Callable[[], int | werkzeug.Response]) -> View:
    return lambda scopes: flask.abort(make())


def returning(answer: t.Any) -> View:
    return lambda scopes: answer


def dooming(scopes: Scopes) -> ResponseReturnValue:
    scopes.doom("the till is closed")
    return "ordered"


def keeping_what_cannot_be_kept(scopes: Scopes) -> ResponseReturnValue:
    flask.session["order"] = object()
    return "ordered"


SUCCEEDING: dict[str, tuple[View, int]] = {
    "returned": (returning("ordered"), 200),
    "returned 399": (returning(("odd", 399)), 399),
    "redirected": (lambda scopes: flask.redirect("/there"), 302),
    "aborted with a redirect": (aborting(lambda: flask.redirect("/there")), 302),
    "aborted with a response": (aborting(lambda: werkzeug.Response("ok")), 200),
}

FAILING: dict[str, tuple[View, int, type[Exception], int]] = {
    "raised": (raising(Empty), 500, Empty, 1),
    "handled with 200": (raising(lambda: Handled(200)), 200, Handled, 0),
    "handled with 302": (raising(lambda: Handled(302)), 302, Handled, 0),
    "handled with 409": (raising(lambda: Handled(409)), 409, Handled, 0),
    "aborted": (aborting(lambda: 404), 404, NotFound, 0),
    "aborted with a response": (
        aborting(lambda: werkzeug.Response("gone", 410)),
        *(410, HTTPException, 0),
    ),
    "aborted and handled with 200": (aborting(lambda: 410), 200, Gone, 0),
    "returned 400": (returning(("no", 400)), 400, UnitFailed, 0),
    "returned 422": (returning(("no", 422)), 422, UnitFailed, 0),
    "returned 503": (returning(("no", 503)), 503, UnitFailed, 0),
    "doomed": (dooming, 200, UnitFailed, 0),
    "returned nothing": (returning(None), 500, TypeError, 1),
    "kept an object": (keeping_what_cannot_be_kept, 500, TypeError, 1),
}


@pytest.fixture
def selling(shop: Shop) -> c.Callable[[View], None]:
    """Let ``/order`` order tea, note that in the session, and end so."""

    def sell(end: View) -> None:
        @shop.app.get("/order")
        def order() -> ResponseReturnValue:
            shop.order("tea")
            flask.session["last"] = "tea"
            return end(shop.scopes)

    @shop.app.errorhandler(Handled)
    def handle(error: Handled) -> ResponseReturnValue:
        return "handled", error.status

    @shop.app.errorhandler(410)
    def gone(error: HTTPException) -> t.Any:
        # A response that was raised stays as it is.
        return error if error.response is not None else "handled"

    @shop.app.get("/last")
    def last() -> str:
        return str(flask.session.get("last"))

    return sell


@pytest.mark.parametrize("way", SUCCEEDING)
def test_a_request_that_succeeds_is_committed_before_its_response_leaves(
    shop: Shop, selling: c.Callable[[View], None], way: str
) -> None:
    end, status = SUCCEEDING[way]
    selling(end)

    answer = shop.ask("/order")

    assert answer.status == status
    assert shop.left == [{"tea": 1}]
    assert shop.ends == [None]
    assert shop.ask("/last", Cookie=answer.cookie).text == "tea"


@pytest.mark.parametrize("way", FAILING)
def test_a_request_that_fails_is_rolled_back_and_changes_no_session(
    shop: Shop,
    selling: c.Callable[[View], None],
    caplog: pytest.LogCaptureFixture,
    way: str,
) -> None:
    end, status, error, logged = FAILING[way]
    selling(end)

    answer = shop.ask("/order")

    assert answer.status == status
    assert answer.complete
    assert "Set-Cookie" not in answer.headers
    assert shop.left == [{}]
    assert [type(each) for each in shop.ends] == [error]
    assert serving.errors(caplog) == ["shop"] * logged
    assert shop.database.rows() == {}


def test_a_cookie_that_is_renewed_by_each_request_is_not_by_one_that_fails(
    shop: Shop, selling: c.Callable[[View], None]
) -> None:
    selling(returning(("no", 422)))

    @shop.app.get("/enter")
    def enter() -> str:
        flask.session.permanent = True
        return "welcome"

    cookie = shop.ask("/enter").cookie

    assert shop.ask("/last", Cookie=cookie).cookie
    assert not shop.ask("/order", Cookie=cookie).cookie


@pytest.mark.parametrize("end", [returning(("no", 401)), aborting(lambda: 401)])
@pytest.mark.parametrize("kept", [(401,), (403, 401), (403,)])
def test_a_view_may_keep_what_it_did_although_it_answers_with_an_error(
    shop: Shop, end: View, kept: tuple[int, ...]
) -> None:
    @shop.app.get("/login")
    @shop.scopes.commit_on(*kept)
    def login() -> ResponseReturnValue:
        shop.order("failed login")
        flask.session["attempts"] = 1
        return end(shop.scopes)

    answer = shop.ask("/login")

    keeps = 401 in kept
    assert answer.status == 401
    assert shop.left == [{"failed login": 1} if keeps else {}]
    assert bool(answer.cookie) == keeps


def test_what_runs_after_the_view_belongs_to_the_request(
    shop: Shop, selling: c.Callable[[View], None]
) -> None:
    selling(returning("ordered"))

    @shop.app.after_request
    def after(response: flask.Response) -> flask.Response:
        shop.order("milk")
        return response

    shop.ask("/order")

    assert shop.left == [{"tea": 1, "milk": 1}]
    assert shop.ends == [None]


def test_what_runs_after_the_view_may_fail_the_request(
    shop: Shop, selling: c.Callable[[View], None]
) -> None:
    selling(returning("ordered"))

    @shop.app.after_request
    def after(response: flask.Response) -> flask.Response:
        shop.order("milk")
        if response.status_code == 200:
            response.status_code = int(flask.request.args["status"])
        if response.status_code == 418:
            raise Empty
        return response

    assert [shop.ask(f"/order?status={each}").status for each in (409, 418)] == [
        *(409, 500),
    ]

    assert shop.left == [{}, {}]
    assert [type(each) for each in shop.ends[:2]] == [UnitFailed, Empty]


@pytest.mark.parametrize("way", ["returned", "returned 422", "raised"])
def test_an_app_without_a_secret_key_has_its_requests_finished_as_well(
    shop: Shop, way: str
) -> None:
    shop.app.secret_key = None
    end = SUCCEEDING[way][0] if way in SUCCEEDING else FAILING[way][0]

    @shop.app.get("/order")
    def order() -> ResponseReturnValue:
        shop.order("tea")
        return end(shop.scopes)

    assert (shop.ask("/order").status == 200) == (way in SUCCEEDING)
    assert shop.left == [{"tea": 1} if way in SUCCEEDING else {}]


@pytest.mark.parametrize("status", [200, 409])
def test_a_client_that_asks_for_the_head_alone(
    shop: Shop, selling: c.Callable[[View], None], status: int
) -> None:
    selling(returning(("ordered", status)))

    answer = shop.ask("/order", "HEAD")

    assert answer.status == status
    assert answer.headers["Content-Length"] == "7"
    assert answer.body == b""
    assert shop.left == [{"tea": 1} if status == 200 else {}]


def test_requests_at_the_same_time_end_each_in_its_own_way(
    shop: Shop, selling: c.Callable[[View], None]
) -> None:
    """Held together in the view, so that each ends in the middle of the others."""
    together = threading.Barrier(6)

    @shop.app.get("/<name>")
    def order(name: str) -> ResponseReturnValue:
        together.wait(serving.SECONDS)
        shop.order(name)
        return name, 200 if name < "d" else 409

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(shop.ask, (f"/{name}" for name in "abcdef")))

    assert [each.text for each in answers] == list("abcdef")
    assert shop.database.rows() == dict.fromkeys("abc", 1)
