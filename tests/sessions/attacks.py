"""Attacks on the session of a visitor, against three kinds of sessions: what each did
is in a table in docs/sessions.md.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import re
import secrets
import threading
import typing as t

import cachelib
import flask
import flask_session  # type: ignore[import-untyped]  # it has no types
import sqlalchemy as sa
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

KINDS = ["Flask's cookie", "Flask-Session 0.8", "ServerSessions"]

# A browser drops a larger cookie: RFC 6265bis, 5.6, 5.
LARGEST_COOKIE = 4096


class Target:
    """An app with sessions of one kind."""

    def __init__(self, kind: str, folder: pathlib.Path) -> None:
        self.app = flask.Flask("target")
        self.app.secret_key = "a key for tests"
        folder.mkdir(exist_ok=True)
        self.closing = contextlib.ExitStack()
        self.asked: list[str] = []
        """What the store was asked for."""
        self.at_gate = threading.Event()
        self.go_on = threading.Event()
        if kind == "Flask-Session 0.8":
            self._keep_in_files(folder)
        elif kind == "ServerSessions":
            self._keep_in_sql(folder)
        add_views(self)

    def _keep_in_files(self, folder: pathlib.Path) -> None:
        cache: t.Any = cachelib.FileSystemCache(str(folder))
        get = cache.get

        def noted(key: str) -> t.Any:
            self.asked.append(key)
            return get(key)

        cache.get = noted
        self.app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        flask_session.Session(self.app)

    def _keep_in_sql(self, folder: pathlib.Path) -> None:
        self.app.config["SQLALCHEMY_URL"] = f"sqlite:///{folder}/sessions.db?timeout=10"
        scopes = Scopes()
        sql = SQL(scopes)
        store = SQLStore(sql)
        ServerSessions(scopes, store)
        scopes.init_app(self.app)
        self.closing.callback(scopes.close, self.app)
        with self.app.app_context():
            store.create_tables()
            sa.event.listen(sql.engine(), "before_cursor_execute", self._note)

    def _note(self, *args: t.Any) -> None:
        self.asked.append(str(args[3]))

    @property
    def cookie_name(self) -> str:
        return self.app.session_interface.get_cookie_name(self.app)

    def browser(self, cookie: str = "") -> Client:
        client = self.app.test_client()
        if cookie:
            client.set_cookie(self.cookie_name, cookie)
        return client

    def cookie(self, client: Client) -> str:
        found = client.get_cookie(self.cookie_name)
        return found.value if found else ""

    def who(self, cookie: str) -> str:
        """Whom the app takes somebody with this cookie for."""
        return self.browser(cookie).get("/").text

    @contextlib.contextmanager
    def slow_request(self, cookie: str) -> c.Iterator[None]:
        """One that has begun before the block and ends after it."""
        thread = threading.Thread(target=self.browser(cookie).post, args=["/slow"])
        thread.start()
        assert self.at_gate.wait(20)
        yield
        self.go_on.set()
        thread.join(20)


def add_views(target: Target) -> None:
    app, session = target.app, flask.session

    @app.get("/")
    def who() -> str:
        return str(session.get("_user_id", "nobody"))

    @app.get("/values")
    def values() -> str:
        # Flask-Session always has this one.
        return ",".join(sorted(set(session) - {"_permanent"}))

    @app.post("/set/<name>")
    def put(name: str) -> str:
        # Not all alike: Flask's cookie is compressed.
        session[name] = secrets.token_hex(int(flask.request.args.get("size", 1)))
        return "set"

    @app.post("/login")
    def login() -> str:
        session["_user_id"] = "ann"
        return "in"

    @app.post("/logout")
    def logout() -> str:
        session.clear()
        return "out"

    @app.post("/slow")
    def slow() -> str:
        session["slow"] = session.get("_user_id")
        target.at_gate.set()
        assert target.go_on.wait(20)
        return "done"


def fixation(target: Target) -> str:
    """The attacker has got a session, and makes the victim use it to sign in."""
    attacker = target.browser()
    attacker.post("/set/a")
    known = target.cookie(attacker)
    target.browser(known).post("/login")
    return "signed in" if target.who(known) == "ann" else "nobody"


def replay_after_logout(target: Target) -> str:
    """The attacker has copied the cookie before the victim signs out."""
    victim = target.browser()
    victim.post("/login")
    copied = target.cookie(victim)
    victim.post("/logout")
    return "signed in" if target.who(copied) == "ann" else "nobody"


def resurrection(target: Target) -> str:
    """The same, and another request of the victim is still running."""
    victim = target.browser()
    victim.post("/login")
    copied = target.cookie(victim)
    with target.slow_request(copied):
        victim.post("/logout")
    return "signed in" if target.who(copied) == "ann" else "nobody"


def lost_update(target: Target) -> str:
    """Two requests of one visitor at once, which change different values."""
    victim = target.browser()
    victim.post("/login")
    slow = target.browser(target.cookie(victim))
    thread = threading.Thread(target=slow.post, args=["/slow"])
    thread.start()
    assert target.at_gate.wait(20)
    victim.post("/set/a")
    target.go_on.set()
    thread.join(20)
    # A browser keeps the cookie that comes last; if none does, it has its own.
    values = target.browser(target.cookie(slow)).get("/values").text
    return "both are kept" if values == "_user_id,a,slow" else "one is lost"


def oversize(target: Target) -> str:
    """More is put into the session than a cookie has room for."""
    victim = target.browser()
    victim.post("/login")
    response = victim.post("/set/large?size=4500")
    sizes = [len(each) for each in response.headers.getlist("Set-Cookie")]
    if sizes and max(sizes) > LARGEST_COOKIE:
        return "dropped by the browser, unsaid"
    kept = victim.get("/values").text
    return "kept" if "large" in kept else "lost"


def forged_ids(target: Target) -> str:
    """The attacker makes up cookies, and changes those that he has."""
    attacker = target.browser()
    attacker.post("/set/a")
    real = target.cookie(attacker)
    middle = len(real) // 2
    other = "B" if real[middle] == "A" else "A"
    made_up = [
        "x",
        "A" * len(real),
        real[:-2],
        real[:middle],
        real + "A",
        real[:middle] + other + real[middle + 1 :],
        real.upper(),
        "../../etc/passwd",
        "%00",
    ]
    for cookie in made_up:
        client = target.browser(cookie)
        if client.get("/values").text:
            return "found a session"
        client.post("/set/b")
        if target.cookie(client) == cookie:
            return "took an id that it never gave"
    return "nobody, and a new id"


def timing(target: Target) -> str:
    """Does a search in a store depend on the secret, so that it could be measured?"""
    victim = target.browser()
    victim.post("/login")
    cookie = target.cookie(victim)
    secret = cookie.rpartition(".")[2]
    target.asked.clear()
    target.who(cookie)
    if not target.asked:
        return "no search"
    depends = any(secret in each for each in target.asked)
    return "searches for the secret" if depends else "searches for a public id"


def header_injection(target: Target) -> str:
    """Line breaks and markup, wherever a client can put them."""
    headers = [
        ("Cookie", f"{target.cookie_name}=x%0d%0aSet-Cookie: evil=1"),
        ("Cookie", f'{target.cookie_name}="x\\015\\012Set-Cookie: evil=1"'),
        ("User-Agent", "x\x0b\x1f<script>\x85evil"),
    ]
    for name, value in headers:
        response = target.browser().post("/set/a", headers={name: value})
        lines = "\n".join(f"{key}: {each}" for key, each in response.headers.items())
        names = re.findall("^Set-Cookie: ([^=]*)=", lines, re.M)
        if response.status_code != 200 or set(names) != {target.cookie_name}:
            return "something else"
    return "nothing"


ATTACKS: dict[str, c.Callable[[Target], str]] = {
    "Fixation: the id from before the login": fixation,
    "Replay of a cookie after logout": replay_after_logout,
    "A slow request when somebody signs out": resurrection,
    "Two requests change different values": lost_update,
    "More than a cookie holds": oversize,
    "Made up and cut off cookies": forged_ids,
    "The secret, by the time of a search": timing,
    "Line breaks in headers": header_injection,
}
