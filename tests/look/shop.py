"""A small project: what `flask scopes` is shown in the tests. Lines count here."""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

from flask import Flask

from flask_scopes import Scopes

scopes = Scopes()


class Settings:
    pass


class Engine:
    pass


class Database:
    pass


class Session:
    pass


class Orders:
    def __init__(self, *parts: object) -> None:
        pass


@scopes.request
def orders() -> Orders:
    """All orders of this shop.

    The newest comes first.
    """
    return Orders(unit_of_work(), orders_db())


@scopes.application
def settings() -> Settings:
    return Settings()


@scopes.application
def engine() -> Engine:
    settings()
    return Engine()


@scopes.application(eager=True)
def mongo() -> Database:
    settings()
    return Database()


@scopes.request
def unit_of_work() -> Iterator[Session]:
    engine()
    try:
        yield Session()
    finally:
        pass


@scopes.request
def orders_db() -> Database:
    mongo()
    return Database()


@scopes.request(until="sent")
def export() -> Iterator[list[str]]:
    callbacks: list[t.Any] = [lambda: mongo()]
    with open(__file__) as file:
        yield [*file, *callbacks]


def create_app() -> Flask:
    app = Flask("shop")
    scopes.init_app(app)

    @app.get("/")
    def index() -> str:
        orders()
        export()
        return ""

    return app
