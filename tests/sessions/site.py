"""A site whose sessions are on the server, in a store of each kind."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import datetime
import secrets
import threading
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client
from pymongo import MongoClient

from flask_scopes import Scopes
from flask_scopes import clock
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions import Store
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.redis import RedisStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

KINDS = [
    "sqlite",
    "postgresql",
    "redis",
    pytest.param("mongo", marks=pytest.mark.mongo),
]
# For what does not depend on the store.
ONE = ["sqlite"]

DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)


@dataclasses.dataclass
class Home:
    """Where the sessions of a site are."""

    kind: str
    url: str

    def open(self, app: flask.Flask, scopes: Scopes) -> tuple[Store, t.Any]:
        """The store, and what a project makes once to reach it."""
        if self.kind == "mongo":
            app.config["MONGO_URI"] = self.url
            mongo = Mongo(scopes)
            return MongoStore(mongo), mongo
        if self.kind == "redis":
            app.config["REDIS_URL"] = self.url
            return RedisStore(scopes), None
        app.config["SQLALCHEMY_URL"] = self.url
        sql = SQL(scopes)
        return SQLStore(sql), sql


class Clock:
    """Ours, which goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() + self.ahead)

    def pass_by(self, span: datetime.timedelta) -> None:
        self.ahead += span.total_seconds()


class Site:
    """An app, and views to do everything with a session; closed when a test ends."""

    def __init__(self, home: Home, **options: t.Any) -> None:
        self.home = home
        self.scopes = Scopes()
        self.app = flask.Flask("site")
        self.app.secret_key = "a key for tests"
        self.store, self.database = home.open(self.app, self.scopes)
        self.sessions = ServerSessions(self.scopes, self.store, **options)
        self.scopes.init_app(self.app)
        self.gates: dict[str, tuple[threading.Event, threading.Event]] = {}
        self._add_views()

    def _add_views(self) -> None:
        app, session = self.app, flask.session

        @app.get("/")
        def show() -> dict[str, t.Any]:
            return dict(session)

        @app.get("/about")
        def about() -> str:
            return "a site"

        @app.post("/set")
        def put() -> str:
            self.wait()
            session.update(flask.request.args)
            return "set"

        @app.post("/append/<name>")
        def append(name: str) -> str:
            found = session.setdefault(name, [])
            self.wait()
            found.append(len(found))
            return "appended"

        @app.post("/drop/<name>")
        def drop(name: str) -> str:
            del session[name]
            return "dropped"

        @app.post("/login/<user>")
        def login(user: str) -> str:
            session["_user_id"] = user
            return "in"

        @app.post("/logout")
        def logout() -> str:
            session.clear()
            return "out"

        @app.post("/rotate")
        def rotate() -> str:
            self.sessions.rotate()
            session.update(flask.request.args)
            return "rotated"

        @app.post("/slow")
        def slow() -> str:
            before = session.get("a")
            self.wait()
            session["slow"] = "was here"
            return str(before)

        @app.post("/peek")
        def peek() -> str:
            before = session.get("a")
            self.wait()
            return str(before)

        @app.post("/fail")
        def fail() -> t.NoReturn:
            session["fail"] = "was here"
            flask.abort(409)

        @app.post("/revoke")
        def revoke() -> str:
            but = self.sessions.current if "but" in flask.request.args else None
            user = flask.request.args["user"]
            return str(self.sessions.revoke_all(user, but=but))

    def wait(self) -> None:
        """If the client has said where: let it know, and wait until it says go on."""
        name = flask.request.headers.get("X-Gate")
        if name is not None:
            here, go_on = self.gates[name]
            here.set()
            assert go_on.wait(20)

    @contextlib.contextmanager
    def held(self, *clients: Client, path: str) -> c.Iterator[list[t.Any]]:
        """Each client asks for *path* and stops in the middle; when the block is over
        they go on, and their answers are in the list.
        """
        answers: list[t.Any] = [None] * len(clients)
        threads: list[threading.Thread] = []
        names = [secrets.token_hex(4) for _ in clients]

        def ask(at: int) -> None:
            headers = {"X-Gate": names[at]}
            address = path.format(at=at)
            answers[at] = clients[at].post(address, headers=headers)

        for at, name in enumerate(names):
            self.gates[name] = threading.Event(), threading.Event()
            threads.append(threading.Thread(target=ask, args=[at]))
            threads[-1].start()
            assert self.gates[name][0].wait(20)
        try:
            yield answers
        finally:
            for name, thread in zip(names, threads, strict=True):
                self.gates[name][1].set()
                thread.join(20)

    def client(self, cookie: str | None = None) -> Client:
        """A browser; with a cookie of another one, if that is given."""
        client = self.app.test_client()
        if cookie is not None:
            client.set_cookie(self.cookie_name, cookie)
        return client

    @property
    def cookie_name(self) -> str:
        return self.app.session_interface.get_cookie_name(self.app)

    def cookie(self, client: Client) -> str:
        """What a browser has."""
        found = client.get_cookie(self.cookie_name)
        return found.value if found else ""

    def create(self) -> None:
        """Make what the store needs."""
        with self.app.app_context():
            if isinstance(self.store, SQLStore):
                self.store.create_tables()
            elif isinstance(self.store, MongoStore):
                self.database.create_indexes(self.store.database)
            elif isinstance(self.store, RedisStore):
                # All share one.
                self.store.client().flushdb()

    def close(self) -> None:
        self.scopes.close(self.app)


OpenSite: t.TypeAlias = c.Callable[..., Site]


def drop_database(url: str) -> None:
    with MongoClient[dict[str, t.Any]](url) as client:
        client.drop_database(client.get_default_database())
