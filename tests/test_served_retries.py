"""Promise 18 behind a real server: requests that really meet in a database."""

from __future__ import annotations

import collections.abc as c
import contextlib
import hashlib
import random
import sqlite3
import threading
import typing as t
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
from flask.typing import ResponseReturnValue
from pymongo.errors import OperationFailure

from flask_scopes import CommitFailed

from . import serving
from .serving import Answer
from .serving import Database
from .serving import Shop

pytestmark = pytest.mark.server

impatient = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)

CONFLICTS = (sqlite3.OperationalError, OperationFailure)


class Stale(Exception):
    """Somebody else was faster."""


@pytest.fixture
def database(impatient: Database) -> Database:
    if isinstance(impatient, serving.SQLite):
        # As MongoDB: who meets another transaction fails at once.
        impatient.patience = 0
    return impatient


class Other:
    """Another request, which has ordered tea and is not through yet."""

    def __init__(self, shop: Shop, pool: ThreadPoolExecutor) -> None:
        self.shop = shop
        self.pool = pool
        self.ordered = threading.Event()
        self.released = threading.Event()

        @shop.app.get("/other")
        def other() -> str:
            shop.order("tea")
            self.ordered.set()
            assert self.released.wait(serving.SECONDS)
            return "ordered"

    def begin(self) -> None:
        self.answer: Future[Answer] = self.pool.submit(self.shop.ask, "/other")
        assert self.ordered.wait(serving.SECONDS)

    def end(self) -> None:
        self.released.set()
        assert self.answer.result(serving.SECONDS).status == 200


@pytest.fixture
def other(shop: Shop) -> c.Iterator[Other]:
    with ThreadPoolExecutor(1) as pool:
        other = Other(shop, pool)
        try:
            yield other
        finally:
            other.released.set()


def test_who_meets_another_transaction_begins_anew_with_the_same_body(
    shop: Shop, other: Other
) -> None:
    body = random.randbytes(300_000)
    received: list[str] = []

    @shop.app.post("/order")
    @shop.scopes.retry(3)
    def order() -> str:
        received.append(hashlib.sha256(flask.request.get_data()).hexdigest())
        flask.session["orders"] = flask.session.get("orders", 0) + 1
        shop.scopes.after_commit(lambda: shop.order("receipt"))
        if len(received) == 2:
            other.end()
        shop.order("tea")
        return str(flask.session["orders"])

    other.begin()
    answer = shop.ask("/order", "POST", body)

    assert (answer.status, answer.text) == (200, "1")
    assert answer.cookie
    assert received == [hashlib.sha256(body).hexdigest()] * 2
    assert shop.left == [{"tea": 1}, {"tea": 2, "receipt": 1}]
    conflict, *others = shop.ends
    assert isinstance(conflict, CONFLICTS)
    # Of the other request, of the second attempt, and of what followed it.
    assert others == [None, None, None]


def test_the_last_attempt_answers_with_its_error_and_says_how_many_there_were(
    shop: Shop, other: Other, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    @shop.app.post("/order")
    @shop.scopes.retry(3)
    def order() -> str:
        flask.session["orders"] = len(attempts)
        attempts.append(1)
        shop.order("tea")
        return "ordered"

    other.begin()
    answer = shop.ask("/order", "POST")
    other.end()

    assert answer.status == 500
    assert "Set-Cookie" not in answer.headers
    assert len(attempts) == 3
    assert serving.errors(caplog) == ["shop"]
    assert "This was attempt 3 of 3." in caplog.text
    assert shop.left == [{}, {"tea": 1}]


def test_without_retry_the_first_attempt_is_the_last(shop: Shop, other: Other) -> None:
    attempts: list[int] = []

    @shop.app.get("/another")
    @shop.scopes.retry(3)
    def another() -> str:
        return "never asked for"

    @shop.app.post("/order")
    def order() -> str:
        attempts.append(1)
        shop.order("tea")
        return "ordered"

    other.begin()
    answer = shop.ask("/order", "POST")
    other.end()

    assert (answer.status, attempts) == (500, [1])


def test_requests_that_meet_by_chance_are_all_kept_in_the_end(shop: Shop) -> None:
    @shop.app.post("/order")
    @shop.scopes.retry(50)
    def order() -> str:
        shop.order(flask.request.get_data(as_text=True))
        return flask.request.get_data(as_text=True)

    # So that they need not make it, which is another kind of conflict.
    with shop.scopes.unit(shop.app):
        shop.order("tea")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(shop.ask, "/order", "POST", b"tea") for _ in range(20)]
        answers = [each.result() for each in asked]

    assert [(each.status, each.text) for each in answers] == [(200, "tea")] * 20
    assert shop.database.rows() == {"tea": 21}


@pytest.mark.parametrize("impatient", ["sqlite"], indirect=True)
def test_a_commit_that_meets_a_reader_is_tried_again(shop: Shop) -> None:
    """SQLite cannot write while somebody reads."""
    attempts: list[int] = []
    reading = contextlib.ExitStack()
    with shop.scopes.unit(shop.app):
        shop.order("milk")
        shop.order("tea")

    @shop.app.post("/order")
    @shop.scopes.retry(3)
    def order() -> str:
        attempts.append(1)
        if len(attempts) == 2:
            reading.close()
        shop.order("tea")
        return "ordered"

    assert isinstance(shop.database, serving.SQLite)
    with reading:
        connection = sqlite3.connect(shop.database.path, check_same_thread=False)
        reading.callback(connection.close)
        rows = connection.execute("SELECT name FROM orders")
        # One of two.
        assert rows.fetchone()
        reading.callback(rows.close)
        answer = shop.ask("/order", "POST")

    assert (answer.status, len(attempts)) == (200, 2)
    assert shop.database.rows() == {"milk": 1, "tea": 2}


@pytest.mark.parametrize(
    "impatient", [pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True
)
@pytest.mark.parametrize("attempts", [3, 2])
def test_a_commit_that_finds_its_transaction_gone_is_tried_again(
    shop: Shop, attempts: int
) -> None:
    """As after an election of MongoDB."""
    tried: list[int] = []
    handled: list[CommitFailed] = []

    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> ResponseReturnValue:
        handled.append(error)
        return "try later", 503

    @shop.app.post("/order")
    @shop.scopes.retry(attempts)
    def order() -> str:
        tried.append(1)
        shop.order("tea")
        if len(tried) < 3:
            shop.spoil()
        return "ordered"

    answer = shop.ask("/order", "POST")

    kept = attempts == 3
    assert len(tried) == attempts
    assert answer.status == (200 if kept else 503)
    assert shop.left == [{"tea": 1} if kept else {}]
    assert len(handled) == (0 if kept else 1)


@pytest.mark.parametrize("impatient", ["sqlite"], indirect=True)
def test_every_attempt_closes_what_it_would_have_needed_for_sending(
    shop: Shop,
) -> None:
    ends: list[BaseException | None] = []

    @shop.scopes.request(until="sent")
    def reader() -> c.Iterator[t.Any]:
        try:
            yield from shop.database.transaction()
        except BaseException as error:
            ends.append(error)
            raise
        ends.append(None)

    @shop.app.get("/order")
    @shop.scopes.retry(3, on=Stale)
    def order() -> str:
        reader()
        shop.order("tea")
        if len(ends) < 2:
            raise Stale
        return "ordered"

    assert shop.ask("/order").text == "ordered"
    assert [type(each) for each in ends] == [Stale, Stale, type(None)]
    assert [type(each) for each in shop.ends] == [Stale, Stale, type(None)]
    assert shop.left == [{"tea": 1}]


@pytest.mark.parametrize("impatient", ["sqlite"], indirect=True)
def test_a_view_that_is_to_be_retried_cannot_answer_with_a_stream(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @shop.app.get("/order")
    @shop.scopes.retry(3)
    def order() -> flask.Response:
        shop.order("tea")
        return flask.Response(iter(["ordered"]))

    assert shop.ask("/order").status == 500
    assert shop.left == [{}]
    assert "RetryError" in caplog.text
    assert serving.errors(caplog) == ["shop"]


@pytest.mark.parametrize("impatient", ["sqlite"], indirect=True)
@pytest.mark.parametrize("status", [404, 302])
def test_a_view_that_is_to_be_retried_may_abort(shop: Shop, status: int) -> None:
    """Of an HTTP exception, Flask makes a response that is streamed."""

    @shop.app.get("/order")
    @shop.scopes.retry(3)
    def order() -> str:
        shop.order("tea")
        flask.abort(404 if status == 404 else flask.redirect("/there"))

    assert shop.ask("/order").status == status
    assert shop.left == [{} if status == 404 else {"tea": 1}]
