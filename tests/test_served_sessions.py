"""Promises 14 and 15 behind a real server, with a session that the server keeps: what
a failed request put into it is nowhere.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import sqlite3
import typing as t
import uuid
from pathlib import Path

import flask
import pytest
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from flask_scopes import CommitFailed
from flask_scopes import Scopes

from . import serving
from .serving import Shop

database = pytest.fixture(params=["sqlite"])(serving.make_database)


class Kept(dict[str, t.Any], SessionMixin):
    """The session of one visitor. Changes are not noticed: it is always saved."""

    def __init__(self, key: str, values: dict[str, t.Any]) -> None:
        super().__init__(values)
        self.key = key


class Watched(Kept):
    """Notices when a value is set."""

    modified = False

    def __setitem__(self, name: str, value: t.Any) -> None:
        self.modified = True
        super().__setitem__(name, value)


class Table(SessionInterface):
    """Keeps sessions in a table, by what their visitors have in a cookie."""

    def __init__(self, path: Path, kind: type[Kept]) -> None:
        self.path = path
        self.kind = kind
        with self.connected() as connection:
            connection.execute("CREATE TABLE sessions (key PRIMARY KEY, data)")
        self.saving: c.Callable[[], object] = dict
        """Is called when a session is about to be saved."""

    @contextlib.contextmanager
    def connected(self) -> c.Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection

    def rows(self) -> dict[str, t.Any]:
        with self.connected() as connection:
            rows = connection.execute("SELECT key, data FROM sessions")
            return {key: json.loads(data) for key, data in rows}

    def open_session(self, app: flask.Flask, request: flask.Request) -> Kept:
        key = request.cookies.get("visitor", "")
        values = self.rows().get(key)
        if values is None:
            key, values = uuid.uuid4().hex, {}
        return self.kind(key, values)

    def save_session(
        self, app: flask.Flask, session: SessionMixin, response: flask.Response
    ) -> None:
        assert isinstance(session, Kept)
        if not session or not session.modified:
            return
        self.saving()
        with self.connected() as connection:
            row = [session.key, json.dumps(session)]
            connection.execute("REPLACE INTO sessions VALUES (?, ?)", row)
        response.set_cookie("visitor", session.key)


@pytest.fixture(params=[Kept, Watched])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Table:
    return Table(tmp_path / "sessions.db", request.param)


@pytest.fixture(params=["before", "after"])
def shop(
    request: pytest.FixtureRequest, database: serving.Database, table: Table
) -> c.Iterator[Shop]:
    """Without a secret key; the interface is assigned before `init_app`, or after."""
    app, scopes = flask.Flask("shop"), Scopes()
    if request.param == "before":
        app.session_interface = table
    scopes.init_app(app)
    if request.param == "after":
        app.session_interface = table
    yield from serving.make_shop(app, scopes, database)


class Empty(Exception):
    """There is no tea."""


def raising(shop: Shop) -> ResponseReturnValue:
    raise Empty


def spoiling(shop: Shop) -> ResponseReturnValue:
    shop.spoil()
    return "ordered"


def dooming(shop: Shop) -> ResponseReturnValue:
    shop.scopes.doom("the till is closed")
    return "ordered"


FAILING: dict[str, c.Callable[[Shop], ResponseReturnValue]] = {
    "raised": raising,
    "aborted": lambda shop: flask.abort(404),
    "not committed": spoiling,
    "returned 422": lambda shop: ("no", 422),
    "doomed": dooming,
}


@pytest.fixture
def last(shop: Shop) -> None:
    """``/last`` says what the session has, ``/order?name=`` changes it."""

    @shop.app.get("/last")
    def last() -> str:
        return str(flask.session.get("last"))

    @shop.app.get("/order")
    def order() -> ResponseReturnValue:
        flask.session["last"] = name = flask.request.args["name"]
        shop.order(name)
        return FAILING[way](shop) if (way := flask.request.args.get("way")) else name


pytestmark = [pytest.mark.server, pytest.mark.usefixtures("last")]


def test_the_session_is_saved_after_the_commit(shop: Shop, table: Table) -> None:
    seen: list[serving.Orders] = []
    table.saving = lambda: seen.append(shop.database.rows())

    answer = shop.ask("/order?name=tea")

    assert seen == [{"tea": 1}]
    assert list(table.rows().values()) == [{"last": "tea"}]
    assert shop.ask("/last", Cookie=answer.cookie).text == "tea"


@pytest.mark.parametrize("handled", [True, False])
@pytest.mark.parametrize("way", FAILING)
def test_of_a_request_that_failed_the_server_keeps_no_session(
    shop: Shop, table: Table, way: str, handled: bool
) -> None:
    if handled:
        handle_all(shop)

    answer = shop.ask(f"/order?name=tea&way={way.replace(' ', '+')}")

    assert table.rows() == {}
    assert "Set-Cookie" not in answer.headers
    assert shop.left[-1] == {}


@pytest.mark.parametrize("handled", [True, False])
@pytest.mark.parametrize("way", FAILING)
def test_a_visitor_who_is_known_goes_on_as_before_the_request_that_failed(
    shop: Shop, table: Table, way: str, handled: bool
) -> None:
    seen: list[str] = []
    if handled:
        seen = handle_all(shop)
    cookie = shop.ask("/order?name=milk").cookie
    kept = table.rows()

    shop.ask(f"/order?name=tea&way={way.replace(' ', '+')}", Cookie=cookie)

    assert shop.left[-1] == {"milk": 1}
    assert table.rows() == kept
    assert shop.ask("/last", Cookie=cookie).text == "milk"
    # What the handler answers is for the visitor as it knows them.
    assert set(seen) <= {"milk"}
    assert bool(seen) == (handled and way in ("raised", "aborted", "not committed"))


def test_an_interface_that_is_assigned_while_the_shop_is_open(
    shop: Shop, table: Table
) -> None:
    for assign in (False, True, True):
        if assign:
            shop.app.session_interface = table
        failed = shop.ask("/order?name=tea&way=returned+422")
        assert "Set-Cookie" not in failed.headers
        assert table.rows() == {}
    shop.app.session_interface = table
    assert shop.ask("/order?name=milk").cookie

    assert shop.left == [{}, {}, {}, {"milk": 1}]
    assert list(table.rows().values()) == [{"last": "milk"}]


def handle_all(shop: Shop) -> list[str]:
    """Let each error be handled; returns what the handlers find in the session."""
    seen: list[str] = []

    def handle(error: Exception) -> str:
        seen.append(flask.session.get("last", "nothing"))
        return "handled"

    for kind in (Empty, NotFound, CommitFailed):
        shop.app.register_error_handler(kind, handle)
    return seen
