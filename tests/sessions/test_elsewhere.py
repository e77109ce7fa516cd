"""Sessions that are kept elsewhere than the work of a request; and on every server,
whatever the client does otherwise.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient as Client
from pymongo import monitoring

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import Store
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

from .site import Home
from .site import Site

lines = sa.Table("lines", sa.MetaData(), sa.Column("text", sa.String(50)))


class Elsewhere(Home):
    """The sessions are in another database, or with another client, than the rest."""

    def open(self, app: flask.Flask, scopes: Scopes) -> tuple[Store, t.Any]:
        if self.kind == "mongo":
            app.config["MONGO_URI"] = self.url
            app.config["MONGO_BINDS"] = {"web": f"{self.url}&appname=web"}
            mongo = Mongo(scopes)
            return MongoStore(mongo, bind="web"), mongo
        app.config["SQLALCHEMY_URL"] = self.url
        app.config["SQLALCHEMY_BINDS"] = {"web": self.url.replace(".db", "-web.db")}
        sql = SQL(scopes)
        return SQLStore(sql, bind="web"), sql


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def home(request: pytest.FixtureRequest, new_home: c.Callable[[str], Home]) -> Home:
    there = new_home(request.param)
    return Elsewhere(there.kind, there.url)


def write_in(site: Site) -> c.Callable[[], object]:
    """Writes a line in the transaction of this unit."""
    if isinstance(site.database, SQL):
        sql = site.database
        with site.app.app_context():
            lines.create(sql.engine())
        return lambda: sql.session().execute(lines.insert(), {"text": "one"})
    mongo: Mongo = site.database
    blog = mongo.database()
    return lambda: blog().lines.insert_one({"text": "one"}, session=mongo.session())


def test_a_transaction_elsewhere_is_not_that_of_the_sessions(site: Site) -> None:
    write = write_in(site)

    @site.app.post("/order/<name>")
    def work(name: str) -> str:
        write()
        flask.session[name] = "1"
        flask.abort(409) if name == "fail" else None
        return "done"

    browser = site.client()

    assert browser.post("/order/a").status_code == 200
    assert browser.post("/order/b").status_code == 200
    assert browser.post("/order/fail").status_code == 409
    assert browser.get("/").json == {"a": "1", "b": "1"}


class Asked(monitoring.CommandListener):
    """What a client asks of its server."""

    def __init__(self) -> None:
        self.commands: list[dict[str, t.Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.commands.append({"is": event.command_name, **event.command})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


class Careless(Home):
    """A client that reads where it is near, and does not wait for the others."""

    asked: Asked

    def open(self, app: flask.Flask, scopes: Scopes) -> tuple[Store, t.Any]:
        self.asked = Asked()
        app.config["MONGO_OPTIONS"] = {
            "event_listeners": [self.asked],
            "readPreference": "secondaryPreferred",
            "w": 1,
        }
        return super().open(app, scopes)


@pytest.mark.mongo
def test_what_is_signed_out_is_so_on_every_server(
    new_home: c.Callable[[str], Home],
) -> None:
    home = Careless("mongo", new_home("mongo").url)
    site = Site(home)
    site.create()
    home.asked.commands.clear()

    browser: Client = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=1")
    browser.get("/")
    with site.app.app_context():
        site.sessions.revoke_all("ann")
    site.close()

    writes = {"insert", "update", "delete"}
    reads = [each for each in home.asked.commands if each["is"] == "find"]
    written = [each for each in home.asked.commands if each["is"] in writes]
    assert len(reads) >= 3
    assert not [each for each in reads if "$readPreference" in each]
    assert len(written) >= 3
    assert {str(each["writeConcern"]) for each in written} == {"{'w': 'majority'}"}
