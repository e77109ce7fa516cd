"""Every way to have no session, or to lose what was changed in it, for the texts of
the errors. A case is given a site, and ends in an error.
"""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t

import flask
import redis
import sqlalchemy as sa

from flask_scopes import Scopes
from flask_scopes import ScopesError
from flask_scopes.sessions import Change
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.redis import RedisStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sessions.sql import _upsert
from flask_scopes.sqlalchemy import SQL

from .site import OpenSite
from .site import Site

Case: t.TypeAlias = c.Callable[[OpenSite], object]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def fail(site: Site, view: c.Callable[[], str]) -> t.NoReturn:
    """Ask for *view* as somebody who has signed in, and raise what is raised."""
    site.app.add_url_rule("/view", view_func=view, methods=["POST"])
    raised: list[Exception] = []

    @site.app.errorhandler(ScopesError)
    def keep(error: ScopesError) -> tuple[str, int]:
        raised.append(error)
        return "", 500

    browser = site.client()
    browser.post("/login/ann")
    browser.post("/view")
    raise raised[0]


def go_away(site: Site) -> None:
    """The database is another one now, without our tables."""
    with site.database.engine().begin() as connection:
        connection.execute(sa.text("DROP TABLE scopes_sessions"))
        connection.execute(sa.text("DROP TABLE scopes_session_values"))


@case
def store_away(open_site: OpenSite) -> object:
    site = open_site()

    def view() -> str:
        go_away(site)
        return str(flask.session.get("a"))

    return fail(site, view)


@case
def store_away_in_a_command(open_site: OpenSite) -> object:
    site = open_site()
    with site.app.app_context():
        go_away(site)
        return site.sessions.of("ann")


@case
def store_away_after_the_commit(open_site: OpenSite) -> object:
    site = open_site()

    @site.scopes.request
    def order() -> c.Iterator[None]:
        yield

    def view() -> str:
        order()
        flask.session["a"] = 1
        go_away(site)
        return "ordered"

    return fail(site, view)


def clash(site: Site) -> None:
    """Change what this request changes in its session, as another one."""
    stored = site.store.load(site.sessions.of("ann")[0].id)
    assert stored is not None
    site.store.write(stored.head, 0, {"a": Change(None, "1")}, check=False)


@case
def conflict(open_site: OpenSite) -> object:
    site = open_site(on_conflict="error")

    def view() -> str:
        flask.session["a"] = 2
        clash(site)
        return "ordered"

    return fail(site, view)


@case
def conflict_after_the_commit(open_site: OpenSite) -> object:
    site = open_site(on_conflict="error")

    @site.scopes.request
    def order() -> c.Iterator[None]:
        yield
        clash(site)

    def view() -> str:
        order()
        flask.session["a"] = 2
        return "ordered"

    return fail(site, view)


@case
def not_json(open_site: OpenSite) -> object:
    def view() -> str:
        flask.session["cart"] = [object()]
        return "ordered"

    return fail(open_site(), view)


@case
def bad_name(open_site: OpenSite) -> object:
    def view() -> str:
        flask.session["wishes of " + "ann " * 70] = []
        return "wished"

    return fail(open_site(), view)


@case
def not_here(open_site: OpenSite) -> object:
    site = open_site()
    with site.app.app_context():
        return site.sessions.current


@case
def unknown_dialect(open_site: OpenSite) -> object:
    engine = sa.create_mock_engine("mssql+pyodbc://", executor=lambda *_: None)
    table = SQLStore(SQL(Scopes())).metadata.tables["scopes_sessions"]
    return _upsert(t.cast("t.Any", engine), table, {}, {})


@case
def client_in_bytes(open_site: OpenSite) -> object:
    app, scopes = flask.Flask("shop"), Scopes()
    app.secret_key = "a key for tests"

    @scopes.application
    def client() -> redis.Redis:
        return redis.Redis()

    sessions = ServerSessions(scopes, RedisStore(scopes, client=client))
    scopes.init_app(app)
    with app.app_context():
        return sessions.of("ann")


@case
def no_redis_url(open_site: OpenSite) -> object:
    return without_redis({})


@case
def odd_redis_url(open_site: OpenSite) -> object:
    return without_redis({"REDIS_URL": 6379})


def without_redis(config: dict[str, t.Any]) -> object:
    app, scopes = flask.Flask("shop"), Scopes()
    app.secret_key = "a key for tests"
    app.config.update(config, PROPAGATE_EXCEPTIONS=True)
    ServerSessions(scopes, RedisStore(scopes))
    scopes.init_app(app)

    @app.post("/view")
    def view() -> str:
        flask.session["a"] = 1
        return "done"

    return app.test_client().post("/view")


@case
def bad_option(open_site: OpenSite) -> object:
    scopes = Scopes()
    return ServerSessions(scopes, SQLStore(SQL(scopes)), idle=datetime.timedelta())
