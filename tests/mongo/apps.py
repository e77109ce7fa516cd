"""Apps with a MongoDB, and what a test asks of it."""

from __future__ import annotations

import collections.abc as c
import contextvars
import secrets
import typing as t

import flask
from pymongo import MongoClient

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

Rows = dict[str, t.Any]


class Shop:
    """One app with a database of its own."""

    def __init__(self, uri: str, **config: t.Any) -> None:
        self.name = f"shop_{secrets.token_hex(4)}"
        self.scopes = Scopes()
        self.mongo = Mongo(self.scopes)
        self.app = flask.Flask("shop")
        self.app.secret_key = "a key for tests"
        # What is slow on a busy machine would be among the records that a test counts.
        config.setdefault("MONGO_SLOW_MS", None)
        self.app.config.from_mapping({"MONGO_URI": uri, **config})
        self.scopes.init_app(self.app)
        self.database = self.mongo.database(self.name)
        self.outside: MongoClient[Rows] = MongoClient(uri)
        """A client of the test's own, which is part of nothing."""

    def view(self, view: c.Callable[..., t.Any], *wraps: t.Any) -> None:
        """Let ``/`` be *view*, inside of *wraps*, the outermost first."""
        for wrap in reversed(wraps):
            view = wrap(view)
        self.app.add_url_rule("/", view_func=view, methods=["GET", "POST"])

    def connect(self) -> None:
        """Be connected before anything is timed: a busy machine needs a while."""
        with self.app.app_context():
            self.mongo.client().admin.command("ping")

    def post(self) -> t.Any:
        return self.app.test_client().post("/")

    def rows(self, collection: str = "orders") -> list[t.Any]:
        """The ids of what others see, also if a view asks that joins a transaction."""
        found = self.outside[self.name][collection].find().sort("_id", 1)
        return contextvars.Context().run(lambda: [row["_id"] for row in found])

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.scopes.close(self.app)
        # What is in the database goes with its server: to drop it takes a while.
        self.outside.close()


OpenShop = c.Callable[..., Shop]
