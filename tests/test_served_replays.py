"""Promise 18 behind a real server: a body is replayed exactly, or refused."""

from __future__ import annotations

import collections.abc as c
import random

import flask
import pytest

from . import serving
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=["sqlite"])(serving.make_database)
shop = pytest.fixture(serving.make_shop)


class Stale(Exception):
    """Somebody else was faster."""


def read_nothing() -> bytes:
    return b""


def read_a_part() -> bytes:
    return flask.request.stream.read(1000)


def read_all() -> bytes:
    return flask.request.get_data()


READING: list[c.Callable[[], bytes]] = [read_nothing, read_a_part, read_all]


@pytest.mark.parametrize("first", READING)
@pytest.mark.parametrize("second", READING)
@pytest.mark.parametrize("chunked", [True, False])
def test_however_far_a_body_was_read_it_is_replayed_exactly(
    shop: Shop,
    first: c.Callable[[], bytes],
    second: c.Callable[[], bytes],
    chunked: bool,
) -> None:
    steps = [first, second, read_all]
    received: list[bytes] = []

    @shop.app.post("/order")
    @shop.scopes.retry(3, on=Stale)
    def order() -> str:
        # Each attempt has what the server passed, and nothing of another.
        assert flask.request.environ.setdefault("attempt", len(received)) == len(
            received
        )
        received.append(steps[len(received)]())
        if len(received) < 3:
            raise Stale
        return "ordered"

    body = random.randbytes(200_000)
    answer = shop.ask("/order", "POST", body, chunked=chunked)

    assert answer.status == 200
    for part, read in zip(received, steps, strict=True):
        assert part == body[: len(part)]
        assert bool(part) == (read is not read_nothing)
        assert part == body or read is not read_all


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("size", "status"), [(5000, 200), (5001, 413)])
def test_a_body_that_is_too_long_to_be_kept_is_refused(
    shop: Shop, chunked: bool, size: int, status: int
) -> None:
    begun: list[str] = []
    attempts: list[int] = []

    @shop.app.post("/order")
    @shop.scopes.retry(2, on=Stale, max_body=5000)
    def order() -> str:
        begun.append("yes")
        shop.order("tea")
        attempts.append(len(flask.request.get_data()))
        if len(attempts) == 1:
            raise Stale
        return "ordered"

    @shop.app.post("/upload")
    def upload() -> str:
        return str(len(flask.request.get_data()))

    body = random.randbytes(size)

    assert shop.ask("/order", "POST", body, chunked=chunked).status == status
    assert shop.left == [{"tea": 1} if status == 200 else {}]
    assert attempts == ([size] * 2 if status == 200 else [])
    # Where its length is announced, the view is not even called.
    assert len(begun) == len(attempts) + (chunked and status == 413)
    # Others take it.
    assert shop.ask("/upload", "POST", body, chunked=chunked).text == str(size)
