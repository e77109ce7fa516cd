"""Promise 16 behind a real server: what lives until the response was sent, where the
request fails, or what lived on cannot be committed itself.
"""

from __future__ import annotations

import collections.abc as c
import sqlite3
import typing as t
from pathlib import Path

import flask
import pytest
from flask.typing import ResponseReturnValue
from pymongo.errors import OperationFailure

from flask_scopes import CommitFailed
from flask_scopes import UnitFailed

from . import serving
from .serving import Reader
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)


@pytest.fixture
def reader(shop: Shop) -> Reader:
    return Reader(shop)


class Broken(Exception):
    """The view cannot go on."""


REFUSED = (sqlite3.IntegrityError, OperationFailure)
"""What a database raises when it is to commit."""


def all_at_once() -> flask.Response:
    return flask.Response("all")


def streamed() -> flask.Response:
    return flask.Response(iter(["all"]))


def streamed_with_context() -> flask.Response:
    return flask.Response(flask.stream_with_context(iter(["all"])))


Body: t.TypeAlias = c.Callable[[], flask.Response]
Errors: t.TypeAlias = type[Exception] | tuple[type[Exception], ...]
BODIES: list[Body] = [all_at_once, streamed, streamed_with_context]


def raising(shop: Shop, body: Body) -> ResponseReturnValue:
    raise Broken


def spoiling(shop: Shop, body: Body) -> ResponseReturnValue:
    shop.spoil()
    return body()


def dooming(shop: Shop, body: Body) -> ResponseReturnValue:
    shop.scopes.doom("the till is closed")
    return body()


def refusing(shop: Shop, body: Body) -> ResponseReturnValue:
    return body(), 409


FAILING: list[tuple[c.Callable[[Shop, Body], ResponseReturnValue], int, Errors]] = [
    (raising, 500, Broken),
    (spoiling, 500, REFUSED),
    (dooming, 200, UnitFailed),
    (refusing, 409, UnitFailed),
]


@pytest.mark.parametrize(
    ("fail", "status", "error", "body"),
    [
        (*case, body)
        for case in FAILING
        for body in BODIES
        # Of a stream that is not sent, Flask 3.1.1 leaves the context on the thread.
        if (case[0], body) != (spoiling, streamed_with_context)
    ],
)
def test_a_request_that_fails_is_an_error_to_what_would_have_lived_on(
    shop: Shop,
    reader: Reader,
    fail: c.Callable[[Shop, Body], ResponseReturnValue],
    status: int,
    error: Errors,
    body: Body,
) -> None:
    @shop.app.get("/orders")
    def orders() -> ResponseReturnValue:
        reader.transaction()
        shop.order("tea")
        return fail(shop, body)

    answer = shop.ask("/orders")

    assert answer.status == status
    assert answer.complete
    assert reader.built == 1
    assert [isinstance(each, error) for each in reader.ends] == [True]
    assert shop.left == [{}]


@pytest.mark.parametrize("body", BODIES)
def test_what_is_not_needed_for_sending_is_closed_before_the_response_leaves(
    shop: Shop, reader: Reader, body: Body
) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        reader.transaction()
        shop.order("tea")
        return body()

    assert shop.ask("/orders").text == "all"
    assert reader.ends == [None]
    assert reader.left == [[] if body is all_at_once else [{"tea": 1}]]


@pytest.fixture
def spoilt(shop: Shop, tmp_path: Path) -> Reader:
    """What lives until ``/`` was sent, with the body that is asked for, and cannot be
    committed then.
    """
    books = serving.SQLite(tmp_path / "books.db")
    reader = Reader(shop, books)

    @shop.app.get("/<int:body>")
    def orders(body: int) -> flask.Response:
        books.spoil(reader.transaction())
        shop.order("tea")
        flask.session["last"] = "tea"
        return BODIES[body]()

    return reader


def test_what_cannot_be_committed_is_a_500_if_the_response_has_not_left(
    shop: Shop, spoilt: Reader
) -> None:
    """What was finished before it stays so: they are two databases."""
    handled: list[CommitFailed] = []

    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> ResponseReturnValue:
        handled.append(error)
        return "try later", 503

    answer = shop.ask(f"/{BODIES.index(all_at_once)}")

    assert (answer.status, answer.text) == (503, "try later")
    assert "Set-Cookie" not in answer.headers
    assert [(each.resource, each.committed) for each in handled] == [
        ("reader", ("orders",))
    ]
    assert shop.left == [{"tea": 1}]
    assert shop.ends == [None]
    assert [type(each) for each in spoilt.ends] == [sqlite3.IntegrityError]


@pytest.mark.parametrize("body", [streamed, streamed_with_context])
def test_what_cannot_be_committed_cuts_off_a_response_that_is_on_its_way(
    shop: Shop, spoilt: Reader, body: Body, caplog: pytest.LogCaptureFixture
) -> None:
    answer = shop.ask(f"/{BODIES.index(body)}")

    assert (answer.status, answer.text, answer.complete) == (200, "all", False)
    assert shop.left == [{"tea": 1}]
    assert [type(each) for each in spoilt.ends] == [sqlite3.IntegrityError]
    assert serving.errors(caplog) == ["werkzeug"]


@pytest.mark.parametrize("body", [streamed, streamed_with_context])
def test_what_cannot_be_committed_is_in_the_log_if_there_is_nothing_to_cut_off(
    shop: Shop, spoilt: Reader, body: Body, caplog: pytest.LogCaptureFixture
) -> None:
    answer = shop.ask(f"/{BODIES.index(body)}", "HEAD")

    assert answer.status == 200
    assert shop.left == [{"tea": 1}]
    assert len(spoilt.ends) == 1
    assert serving.errors(caplog) == ["shop"]


@pytest.mark.parametrize("body", BODIES)
def test_a_handler_of_failed_commits_has_an_object_of_its_own_for_its_response(
    shop: Shop, reader: Reader, body: Body
) -> None:
    seen: list[object] = []

    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> flask.Response:
        assert len(reader.ends) == 1
        seen.append(reader.transaction())
        return body()

    @shop.app.get("/orders")
    def orders() -> str:
        seen.append(reader.transaction())
        shop.order("tea")
        shop.spoil()
        return "ordered"

    answer = shop.ask("/orders")

    assert (answer.status, answer.text, answer.complete) == (200, "all", True)
    assert seen[0] is not seen[1]
    assert reader.built == 2
    assert isinstance(reader.ends[0], REFUSED)
    assert isinstance(reader.ends[1], CommitFailed)
    assert len(reader.ends) == 2
    assert shop.left == [{}]


def test_a_stream_that_a_failed_commit_keeps_from_being_sent_is_closed(
    shop: Shop,
) -> None:
    steps: list[str] = []

    class Export:
        def __iter__(self) -> c.Iterator[bytes]:
            steps.append("begun")
            return iter([b"all"])

        def close(self) -> None:
            steps.append("closed")

    @shop.app.get("/orders")
    def orders() -> flask.Response:
        shop.order("tea")
        shop.spoil()
        return flask.Response(Export())

    assert shop.ask("/orders").status == 500
    assert steps == ["closed"]
