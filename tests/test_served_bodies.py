"""Promise 16 behind a real server: what lives until the body was sent, or dropped."""

from __future__ import annotations

import collections.abc as c
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest

from flask_scopes import ClosedError
from flask_scopes import OutsideScopeError
from flask_scopes import UnitFailed

from . import serving
from .serving import Reader
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)


class Broken(Exception):
    """The stream cannot go on."""


CHUNK = "x" * 100_000
"""A thousand of them are more than sockets hold."""


@pytest.fixture
def reader(shop: Shop) -> Reader:
    return Reader(shop)


def plainly(chunks: c.Iterator[str]) -> c.Iterator[str]:
    return chunks


WAYS: dict[str, c.Callable[[c.Iterator[str]], c.Iterator[str]]] = {
    "plain": plainly,
    "with context": flask.stream_with_context,
}
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_a_stream_reads_on_after_its_request_was_committed(
    shop: Shop, reader: Reader, way: str
) -> None:
    received = threading.Event()

    @shop.app.get("/orders")
    def orders() -> flask.Response:
        with shop.scopes.unit():
            shop.order("milk")
        shop.order("tea")
        transaction = reader.transaction()

        def chunks() -> c.Iterator[str]:
            yield "begun "
            assert received.wait(serving.SECONDS)
            yield from reader.names(transaction)
            assert reader.ends == []

        return flask.Response(WAYS[way](chunks()))

    with shop.connect("/orders") as connection:
        data = b""
        while b"begun" not in data:
            data += connection.recv(4096)
        # The stream has just begun, and all the rest is done.
        assert shop.left == [{"milk": 1, "tea": 1}]
        assert reader.ends == []
        received.set()
        data += b"".join(iter(lambda: connection.recv(4096), b""))

    answer = serving.Answer.of(data)
    assert (answer.text, answer.complete) == ("begun milktea", True)
    assert (reader.built, reader.ends) == (1, [None])


def test_an_object_that_the_stream_asks_for_first_lives_until_its_end(
    shop: Shop, reader: Reader
) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        def chunks() -> c.Iterator[str]:
            yield "begun "
            yield from reader.names(reader.transaction())
            assert reader.transaction() is reader.transaction()
            assert reader.ends == []

        return flask.Response(flask.stream_with_context(chunks()))

    with shop.scopes.unit(shop.app):
        shop.order("tea")
    answer = shop.ask("/orders")

    assert (answer.text, answer.complete) == ("begun tea", True)
    assert (reader.built, reader.ends) == (1, [None])


def test_two_streams_at_once_have_each_their_own(shop: Shop, reader: Reader) -> None:
    together = threading.Barrier(2)
    seen: list[object] = []

    @shop.app.get("/orders")
    def orders() -> flask.Response:
        def chunks() -> c.Iterator[str]:
            seen.append(reader.transaction())
            together.wait(serving.SECONDS)
            assert reader.ends == []
            yield "all"
            together.wait(serving.SECONDS)

        return flask.Response(flask.stream_with_context(chunks()))

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(shop.ask, ["/orders"] * 2))

    assert [(each.text, each.complete) for each in answers] == [("all", True)] * 2
    assert len(set(map(id, seen))) == 2
    assert reader.ends == [None, None]


@ways
def test_a_stream_that_raises_midway_is_cut_off_and_its_objects_are_told(
    shop: Shop, reader: Reader, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        shop.order("tea")
        reader.transaction()

        def chunks() -> c.Iterator[str]:
            yield "begun"
            raise Broken

        return flask.Response(WAYS[way](chunks()))

    answer = shop.ask("/orders")

    assert (answer.status, answer.text, answer.complete) == (200, "begun", False)
    assert shop.left == [{"tea": 1}]
    assert shop.ends == [None]
    assert [type(each) for each in reader.ends] == [Broken]
    assert serving.errors(caplog) == ["werkzeug"]


@ways
@pytest.mark.parametrize("goodbye", [serving.drop, socket.socket.close])
def test_a_client_that_goes_away_midway_is_an_error_to_what_the_body_used(
    shop: Shop,
    reader: Reader,
    caplog: pytest.LogCaptureFixture,
    way: str,
    goodbye: c.Callable[[socket.socket], None],
) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        shop.order("tea")
        reader.transaction()
        return flask.Response(WAYS[way](iter([CHUNK] * 1000)))

    with shop.connect("/orders") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert reader.ends == []
        goodbye(connection)

    assert reader.ended.wait(serving.SECONDS)
    # The server is done with it, too.
    shop.close()
    assert [type(each) for each in reader.ends] == [UnitFailed]
    assert shop.database.rows() == {"tea": 1}
    assert shop.ends == [None]
    assert serving.errors(caplog) == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
@ways
def test_a_stream_that_is_not_wanted_is_never_begun_and_its_objects_are_closed(
    shop: Shop, reader: Reader, method: str, status: int, way: str
) -> None:
    begun: list[str] = []

    @shop.app.get("/orders")
    def orders() -> flask.Response:
        shop.order("tea")
        reader.transaction()

        def chunks() -> c.Iterator[str]:
            begun.append("yes")
            yield "all"

        return flask.Response(WAYS[way](chunks()), status)

    answer = shop.ask("/orders", method)

    wanted = (method, status) == ("GET", 200)
    assert (answer.status, answer.text) == (status, "all" if wanted else "")
    assert bool(begun) == wanted
    assert shop.left == [{"tea": 1}]
    assert (reader.built, reader.ends) == (1, [None])


@pytest.mark.parametrize("used", [True, False])
def test_a_stream_gets_no_second_transaction_after_the_finish(
    shop: Shop, reader: Reader, caplog: pytest.LogCaptureFixture, used: bool
) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        reader.transaction()
        if used:
            shop.order("tea")

        def chunks() -> c.Iterator[str]:
            yield "begun"
            with pytest.raises(ClosedError, match="orders"):
                shop.order("milk")
            yield "refused"

        return flask.Response(flask.stream_with_context(chunks()))

    answer = shop.ask("/orders")

    assert (answer.text, answer.complete) == ("begunrefused", True)
    assert shop.ends == ([None] if used else [])
    assert shop.database.rows() == ({"tea": 1} if used else {})
    assert reader.ends == [None]


def test_a_stream_gets_none_either_if_the_request_used_nothing(shop: Shop) -> None:
    @shop.app.get("/orders")
    def orders() -> flask.Response:
        def chunks() -> c.Iterator[str]:
            with pytest.raises(ClosedError, match="orders"):
                shop.order("milk")
            yield "refused"

        return flask.Response(flask.stream_with_context(chunks()))

    answer = shop.ask("/orders")

    assert (answer.text, answer.complete) == ("refused", True)
    assert shop.ends == []
    assert shop.database.rows() == {}


def test_a_plain_stream_is_outside_of_every_scope(shop: Shop, reader: Reader) -> None:
    """There is no context to find objects from; what it was given, it may use."""

    @shop.app.get("/orders")
    def orders() -> flask.Response:
        transaction = reader.transaction()

        def chunks() -> c.Iterator[str]:
            with pytest.raises(OutsideScopeError):
                reader.transaction()
            with pytest.raises(OutsideScopeError):
                shop.order("milk")
            yield from reader.names(transaction)
            yield "refused"

        return flask.Response(chunks())

    answer = shop.ask("/orders")

    assert (answer.text, answer.complete) == ("refused", True)
    assert (reader.built, reader.ends) == (1, [None])
