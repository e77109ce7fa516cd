"""Promise 16 behind a real server, for files: Flask passes them to the server as they
are, so that it does not hear of their end.
"""

from __future__ import annotations

import collections.abc as c
import io
import socket
import threading
import typing as t
from pathlib import Path

import flask
import pytest

from flask_scopes import UnitFailed

from . import serving
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=["sqlite"])(serving.make_database)
shop = pytest.fixture(serving.make_shop)


class Broken(Exception):
    """The disk is."""


class Photo:
    """A file that is open until it was sent."""

    def __init__(self, shop: Shop, path: Path) -> None:
        self.path = path
        self.path.write_bytes(b"0123456789")
        self.built = 0
        self.ends: list[BaseException | None] = []
        """What each ended with; None if nothing failed."""
        self.ended = threading.Event()

        @shop.scopes.request(until="sent")
        def file() -> c.Iterator[t.BinaryIO]:
            self.built += 1
            try:
                with path.open("rb") as file:
                    yield file
                self.ends.append(None)
            except BaseException as error:
                self.ends.append(error)
                raise
            finally:
                self.ended.set()

        self.file = file


@pytest.fixture
def photo(shop: Shop, tmp_path: Path) -> Photo:
    """What ``/photo`` sends, by the open file; and ``/path``, by its path."""
    photo = Photo(shop, tmp_path / "photo.jpg")

    @shop.app.get("/photo")
    def send() -> flask.Response:
        shop.order("photo")
        photo.file()
        return flask.send_file(
            photo.file(), "image/jpeg", conditional=True, etag="first"
        )

    @shop.app.get("/path")
    def send_path() -> flask.Response:
        photo.file()
        shop.order("photo")
        return flask.send_from_directory(photo.path.parent, "photo.jpg", etag="first")

    return photo


@pytest.mark.parametrize("path", ["/photo", "/path"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_open_until_it_was_sent(
    shop: Shop, photo: Photo, path: str, method: str
) -> None:
    answer = shop.ask(path, method)

    assert answer.status == 200
    assert answer.body == (b"0123456789" if method == "GET" else b"")
    assert shop.left == [{"photo": 1}]
    assert (photo.built, photo.ends) == (1, [None])


def test_a_part_of_a_file(shop: Shop, photo: Photo) -> None:
    answer = shop.ask("/path", Range="bytes=2-4")

    assert (answer.status, answer.body) == (206, b"234")
    assert (photo.built, photo.ends) == (1, [None])
    assert shop.left == [{"photo": 1}]


def test_a_part_that_the_file_does_not_have(shop: Shop, photo: Photo) -> None:
    answer = shop.ask("/path", Range="bytes=20-40")

    assert answer.status == 416
    assert photo.built == 1
    assert [type(each).__name__ for each in photo.ends] == [
        "RequestedRangeNotSatisfiable"
    ]
    assert shop.left == [{}]


@pytest.mark.parametrize("path", ["/photo", "/path"])
def test_a_file_that_the_client_has_already(
    shop: Shop, photo: Photo, path: str
) -> None:
    answer = shop.ask(path, If_None_Match='"first"')

    assert (answer.status, answer.body) == (304, b"")
    assert (photo.built, photo.ends) == (1, [None])
    assert shop.left == [{"photo": 1}]


@pytest.mark.parametrize("path", ["/photo", "/path"])
@pytest.mark.parametrize("goodbye", [serving.drop, socket.socket.close])
def test_a_client_that_goes_away_in_the_middle_of_a_file(
    shop: Shop,
    photo: Photo,
    caplog: pytest.LogCaptureFixture,
    path: str,
    goodbye: c.Callable[[socket.socket], None],
) -> None:
    with photo.path.open("r+b") as file:
        # Of holes; more than sockets hold.
        file.truncate(200 * 1024 * 1024)

    with shop.connect(path) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert photo.ends == []
        goodbye(connection)

    assert photo.ended.wait(serving.SECONDS)
    shop.close()
    assert [type(each) for each in photo.ends] == [UnitFailed]
    assert shop.database.rows() == {"photo": 1}
    assert serving.errors(caplog) == []


def test_a_file_that_cannot_be_read_to_its_end(
    shop: Shop, photo: Photo, caplog: pytest.LogCaptureFixture
) -> None:
    class Worn(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() == 10:
                raise Broken
            return super().read(size) or b""

    @shop.app.get("/worn")
    def send_worn() -> flask.Response:
        photo.file()
        return flask.send_file(Worn(photo.path), "image/jpeg")

    answer = shop.ask("/worn")

    assert (answer.status, answer.body) == (200, b"0123456789")
    assert [type(each) for each in photo.ends] == [Broken]
    assert serving.errors(caplog) == ["werkzeug"]
