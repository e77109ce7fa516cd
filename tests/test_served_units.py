"""Promise 17 behind a real server: what follows a commit, and work that is kept
whatever becomes of the request.
"""

from __future__ import annotations

import collections.abc as c
import threading

import flask
import pytest
from flask.typing import ResponseReturnValue

from flask_scopes import ClosedError
from flask_scopes import CommitFailed

from . import serving
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)


class Empty(Exception):
    """There is no tea."""


def raising(shop: Shop) -> ResponseReturnValue:
    raise Empty


def dooming(shop: Shop) -> ResponseReturnValue:
    shop.scopes.doom("the till is closed")
    return "ordered"


def spoiling(shop: Shop) -> ResponseReturnValue:
    shop.spoil()
    return "ordered"


FAILING: dict[str, c.Callable[[Shop], ResponseReturnValue]] = {
    "raised": raising,
    "aborted": lambda shop: flask.abort(404),
    "returned 422": lambda shop: ("no", 422),
    "doomed": dooming,
    "not committed": spoiling,
}


def test_what_follows_the_commit_sees_what_was_committed_and_precedes_the_response(
    shop: Shop,
) -> None:
    seen: list[tuple[serving.Orders, list[serving.Orders]]] = []

    @shop.app.get("/order")
    def order() -> str:
        shop.scopes.after_commit(
            lambda: seen.append((shop.database.rows(), [*shop.left]))
        )
        shop.order("tea")
        assert not seen
        return "ordered"

    assert shop.ask("/order").text == "ordered"
    assert seen == [({"tea": 1}, [])]


def test_what_follows_the_commit_is_a_unit_of_its_own(shop: Shop) -> None:
    @shop.app.get("/order")
    def order() -> str:
        shop.scopes.after_commit(lambda: shop.order("receipt"))
        shop.order("tea")
        return "ordered"

    shop.ask("/order")

    assert shop.left == [{"tea": 1, "receipt": 1}]
    assert shop.ends == [None, None]


@pytest.mark.parametrize("spoils", [True, False])
def test_what_follows_the_commit_undoes_nothing_when_it_fails(
    shop: Shop, caplog: pytest.LogCaptureFixture, spoils: bool
) -> None:
    def send_receipt() -> None:
        shop.order("receipt")
        if spoils:
            shop.spoil()
        else:
            raise Empty

    @shop.app.get("/order")
    def order() -> str:
        shop.scopes.after_commit(send_receipt)
        shop.scopes.after_commit(lambda: shop.order("newspaper"))
        shop.order("tea")
        flask.session["last"] = "tea"
        return "ordered"

    answer = shop.ask("/order")

    assert answer.status == 200
    assert answer.cookie
    assert shop.left == [{"tea": 1, "newspaper": 1}]
    assert serving.errors(caplog) == ["shop"]
    assert "send_receipt" in caplog.text


@pytest.mark.parametrize("way", FAILING)
def test_nothing_follows_a_commit_that_there_was_not(shop: Shop, way: str) -> None:
    called: list[str] = []

    @shop.app.get("/order")
    def order() -> ResponseReturnValue:
        shop.scopes.after_commit(lambda: called.append("yes"))
        shop.order("tea")
        return FAILING[way](shop)

    shop.ask("/order")

    assert called == []
    assert shop.left == [{}]


@pytest.mark.parametrize("way", FAILING)
def test_a_unit_inside_of_a_request_is_kept_whatever_becomes_of_the_request(
    shop: Shop, way: str
) -> None:
    @shop.app.get("/order")
    def order() -> ResponseReturnValue:
        transaction = shop.orders()
        # (SQLite lets one write at a time: this before that.)
        with shop.scopes.unit():
            assert shop.orders() is not transaction
            shop.order("audit")
        shop.order("tea")
        assert shop.orders() is transaction
        return FAILING[way](shop)

    shop.ask("/order")

    assert shop.left == [{"audit": 1}]


def test_a_unit_that_fails_inside_of_a_request_takes_nothing_with_it(
    shop: Shop,
) -> None:
    @shop.app.get("/order")
    def order() -> str:
        with pytest.raises(Empty), shop.scopes.unit():
            shop.order("tea")
            raise Empty
        shop.order("milk")
        return "ordered"

    assert shop.ask("/order").status == 200
    assert shop.left == [{"milk": 1}]


def test_a_thread_has_its_own_unit_that_may_outlive_the_request(shop: Shop) -> None:
    answered = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with shop.scopes.unit(shop.app):
                assert answered.wait(serving.SECONDS)
                shop.order("later")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)

    @shop.app.get("/order")
    def order() -> ResponseReturnValue:
        thread.start()
        shop.order("tea")
        return "no", 409

    shop.ask("/order")
    answered.set()
    thread.join(serving.SECONDS)

    assert failures == []
    assert shop.left == [{}]
    assert shop.database.rows() == {"later": 1}


def test_the_unit_of_a_request_is_over_in_its_teardown_functions(shop: Shop) -> None:
    refused: list[str] = []

    @shop.app.teardown_request
    def teardown(error: BaseException | None) -> None:
        steps: list[c.Callable[[], object]] = [
            lambda: shop.order("milk"),
            lambda: shop.scopes.doom("late"),
            lambda: shop.scopes.after_commit(lambda: shop.order("milk")),
        ]
        for step in steps:
            with pytest.raises(ClosedError) as caught:
                step()
            refused.append(str(caught.value))

    @shop.app.get("/order")
    def order() -> str:
        shop.order("tea")
        return "ordered"

    assert shop.ask("/order").status == 200
    assert len(refused) == 3
    assert shop.database.rows() == {"tea": 1}


def test_a_commit_that_fails_does_so_before_anything_is_sent(shop: Shop) -> None:
    """Also if the response would be a stream."""

    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> ResponseReturnValue:
        return "try later", 503

    @shop.app.get("/order")
    def order() -> flask.Response:
        shop.order("tea")
        shop.spoil()
        return flask.Response(iter(["one", "two"]))

    answer = shop.ask("/order")

    assert (answer.status, answer.text) == (503, "try later")
    assert shop.left == [{}]


def test_a_unit_inside_of_a_stream_is_kept_although_the_request_is_finished(
    shop: Shop,
) -> None:
    @shop.app.get("/order")
    def order() -> flask.Response:
        def chunks() -> c.Iterator[str]:
            yield "one"
            with shop.scopes.unit():
                shop.order("download")
            with pytest.raises(Empty), shop.scopes.unit():
                shop.order("nothing")
                raise Empty
            yield "two"

        shop.order("tea")
        return flask.Response(flask.stream_with_context(chunks()))

    answer = shop.ask("/order")

    assert (answer.text, answer.complete) == ("onetwo", True)
    assert shop.left == [{"tea": 1}]
    assert shop.database.rows() == {"tea": 1, "download": 1}
