"""One client for each process, and its databases.

It is made with the app, which gunicorn makes in each worker: after the fork.
"""

import atexit
from datetime import timedelta

from flask import Flask
from flask import current_app
from flask import g
from flask import has_app_context
from pymongo import IndexModel
from pymongo import MongoClient
from pymongo import monitoring
from pymongo.database import Database

QUARTER = int(timedelta(days=90).total_seconds())


class Counter(monitoring.CommandListener):
    """Counts what a request asks of MongoDB: the foot of each page tells."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        if has_app_context():
            g.commands = g.get("commands", 0) + 1

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        if has_app_context():
            g.commands = g.get("commands", 0) + 1


def init_app(app: Flask) -> None:
    made: MongoClient = MongoClient(
        app.config["MONGO_URI"],
        tz_aware=True,
        appname="journal",
        w="majority",
        timeoutMS=15_000,
        event_listeners=[Counter()],
    )
    atexit.register(made.close)
    app.extensions["mongo"] = made
    with app.app_context():
        create_indexes()


def create_indexes() -> None:
    ends = IndexModel("ends", expireAfterSeconds=0)
    named("sessions").sessions.create_indexes([ends, IndexModel("user", sparse=True)])
    key = IndexModel("email_key", unique=True, sparse=True)
    named("accounts").people.create_indexes([key])
    named("events").trail.create_indexes(
        [IndexModel("at", expireAfterSeconds=QUARTER)],
    )


def client() -> MongoClient:
    made: MongoClient = current_app.extensions["mongo"]
    return made


def named(name: str) -> Database:
    return client()[current_app.config["MONGO_DATABASE_PREFIX"] + name]
