"""What can go wrong when a process starts, forks or ends; more cases of the shop."""

from __future__ import annotations

import collections.abc as c
import threading
import typing as t
import warnings

import flask

from flask_scopes import Scopes
from flask_scopes import forks

from .shop import case


def an_app() -> tuple[Scopes, flask.Flask]:
    scopes = Scopes()
    app = flask.Flask("office")
    scopes.init_app(app)
    return scopes, app


@case
def not_started() -> None:
    scopes, app = an_app()

    @scopes.application
    def weights() -> bytes:
        raise FileNotFoundError("weights.bin")

    @scopes.application(eager=True)
    def model() -> int:
        return len(weights())

    scopes.start(app)


@case
def not_closed() -> None:
    scopes, app = an_app()
    app.config["SCOPES_CLOSE_TIMEOUT"] = 0.1

    @scopes.application
    def cache() -> c.Iterator[None]:
        yield
        threading.Event().wait(60)

    with app.app_context():
        cache()
    scopes.close(app)


@case
def no_close_timeout() -> None:
    scopes, app = an_app()
    app.config["SCOPES_CLOSE_TIMEOUT"] = "soon"

    @scopes.application
    def cache() -> None: ...

    with app.app_context():
        cache()


@case
def check_without_every() -> None:
    scopes, _ = an_app()

    def cache() -> None: ...

    t.cast(t.Any, scopes).application(check=bool)(cache)


def forked(scopes: Scopes, app: flask.Flask) -> str:
    """What a child is warned of; said here without a fork."""

    @scopes.application
    def mongo() -> str:
        return "client"

    @scopes.application
    def orders() -> str:
        return mongo()

    with app.app_context():
        orders()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forks.warn(app.extensions["scopes"].store().built)
    return str(caught[0].message)
