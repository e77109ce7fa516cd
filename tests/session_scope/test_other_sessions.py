"""Session objects in whichever session an app has."""

from __future__ import annotations

import collections.abc as c
import pathlib
import typing as t

import cachelib
import flask
import flask_session  # type: ignore[import-untyped]  # it has no types
import pytest

from flask_scopes import Scopes
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

from .shop import Line
from .shop import Shop

BACKENDS = ["cookie", "Flask-Session", "ServerSessions"]


@pytest.fixture
def writes() -> list[str]:
    """What Flask-Session has written."""
    return []


@pytest.fixture(params=BACKENDS)
def shop(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, writes: list[str]
) -> c.Iterator[Shop]:
    app, scopes = flask.Flask("shop"), Scopes()
    app.secret_key = "a key for tests"
    if request.param == "ServerSessions":
        app.config["SQLALCHEMY_URL"] = f"sqlite:///{tmp_path}/sessions.db"
        store = SQLStore(SQL(scopes))
        ServerSessions(scopes, store)
        scopes.init_app(app)
        with app.app_context():
            store.create_tables()
    else:
        scopes.init_app(app)
    # After ours, as may be.
    if request.param == "Flask-Session":
        cache = Noting(tmp_path / "sessions", writes)
        app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        # Or it writes in every request, for its time limit.
        app.config["SESSION_REFRESH_EACH_REQUEST"] = False
        flask_session.Session(app)
    yield Shop(app, scopes)
    scopes.close(app)


class Noting(cachelib.FileSystemCache):
    def __init__(self, folder: pathlib.Path, writes: list[str]) -> None:
        self.writes = writes
        super().__init__(str(folder))

    def set(self, key: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if not key.startswith("__wz_"):
            self.writes.append(key)
        return super().set(key, *args, **kwargs)


def test_made_once_found_again_and_cleared(shop: Shop) -> None:
    ann, ben = shop.app.test_client(), shop.app.test_client()

    for _ in range(3):
        ann.post("/add/tea")
    ann.post("/add/bread")
    ben.post("/add/milk")

    assert (ann.get("/").text, ben.get("/").text) == ("tea*3,bread*1", "milk*1")
    assert shop.made == 2
    ann.post("/clear")
    assert (ann.get("/").text, ben.get("/").text) == ("", "milk*1")


@pytest.mark.parametrize("status", [404, 500])
def test_what_fails_changes_nothing(shop: Shop, writes: list[str], status: int) -> None:
    client = shop.app.test_client()
    assert client.post(f"/add/tea?status={status}").status_code == status
    assert client.get("/").text == ""
    client.post("/add/tea")
    writes.clear()

    assert client.post(f"/add/tea?status={status}").status_code == status

    assert client.get("/").text == "tea*1"
    assert not writes


def test_what_changes_nothing_is_not_written(shop: Shop, writes: list[str]) -> None:
    client = shop.app.test_client()
    client.post("/add/tea")
    writes.clear()

    assert client.get("/").text == "tea*1"

    assert not writes


@pytest.mark.parametrize("used", [False, True])
def test_after_a_clear_there_is_another(shop: Shop, used: bool) -> None:
    """Also if it was found by way of the unit before."""

    @shop.scopes.request
    def account() -> object:
        return object()

    @shop.app.post("/login")
    def login() -> str:
        if used:
            account()
        before = shop.cart()
        assert shop.cart() is before
        flask.session.clear()
        flask.session["_user_id"] = "ben"
        assert shop.cart() is not before
        shop.cart().lines.append(Line("milk"))
        return "in"

    client = shop.app.test_client()
    client.post("/add/tea")
    assert client.post("/login").status_code == 200

    assert client.get("/").text == "milk*1"


def test_more_than_a_cookie_holds(shop: Shop, request: pytest.FixtureRequest) -> None:
    client = shop.app.test_client()

    for number in range(300):
        client.post(f"/add/a-long-name-of-something-{number}")

    count = client.get("/").text.count("*1")
    assert count == 300 or ("cookie" in request.node.name and 50 < count < 300)
