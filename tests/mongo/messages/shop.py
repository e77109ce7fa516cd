"""One small app, and every way to set up its MongoDB wrongly."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
from pymongo import IndexModel
from pymongo import MongoClient

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo
from flask_scopes.mongo import one_or_404

scopes = Scopes()
mongo = Mongo(scopes)
SET_UP: dict[str, t.Any] = {
    "MONGO_URI": "mongodb://ann:secret@localhost/shop",
    "MONGO_BINDS": {"logs": "mongodb://localhost"},
}
CASES: dict[str, c.Callable[[], object]] = {}

blog = mongo.database("blog")
nameless = mongo.database(bind="logs")
archive = mongo.database(bind="archive")
tenant = mongo.tenant(lambda: "acme", prefix="shop_")
of_nothing = mongo.tenant(object, prefix="shop_")


def case(function: c.Callable[[], object]) -> None:
    CASES[function.__name__] = function


def using(name: str, use: c.Callable[[], object], **config: t.Any) -> None:
    def run() -> object:
        app = flask.Flask("shop")
        app.config.from_mapping({**SET_UP, **config})
        scopes.init_app(app)
        with app.app_context():
            return use()

    CASES[name] = run


using("no_uri", blog, MONGO_URI=None)
using("bad_uri", blog, MONGO_URI=7)
using("bad_options", blog, MONGO_OPTIONS=["tz_aware"])
using("bad_binds", blog, MONGO_BINDS="mongodb://localhost")
using("bad_bind", nameless, MONGO_BINDS={"logs": 7})
using("bad_prefix_of_all", blog, MONGO_DATABASE_PREFIX=7)
using("bad_slow", blog, MONGO_SLOW_MS="slow")
using("unknown_bind", archive)
using("not_connected", blog, MONGO_OPTIONS={"no_such": 1})
using("no_default_database", nameless)
using("tenant_of_text", tenant)
using("tenant_of_something", of_nothing)
using("no_filter", lambda: one_or_404(blog().posts, None))


@case
def bad_timeout() -> object:
    app = flask.Flask("shop")
    app.config.from_mapping({**SET_UP, "MONGO_REQUEST_TIMEOUT": 0, "TESTING": True})
    scopes.init_app(app)
    return app.test_client().get("/")


@case
def bad_database_name() -> object:
    return mongo.database("a.b")


@case
def bad_prefix() -> object:
    return mongo.tenant(lambda: 1, prefix="7_")


@case
def indexes_of_what() -> object:
    return mongo.database("blog", indexes=t.cast(t.Any, {"posts": "slug"}))


@case
def index_twice() -> object:
    models = [IndexModel("slug"), IndexModel("slug", unique=True)]
    return mongo.database("blog", indexes={"posts": models})


def handed_in(existing: t.Any, use: c.Callable[[Mongo], object]) -> object:
    own = Scopes()
    other = Mongo(own, client=existing)
    app = flask.Flask("shop")
    own.init_app(app)
    with app.app_context():
        return use(other)


@case
def not_a_client() -> object:
    return handed_in("mongodb://localhost", lambda other: other.client())


@case
def not_heard() -> object:
    with MongoClient[t.Any](connect=False) as client:
        return handed_in(client, lambda other: other.stats())
