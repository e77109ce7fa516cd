"""Every way to use a session object wrongly, for the texts of the errors."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import typing as t

import flask

from flask_scopes import Scopes

scopes = Scopes()
app = flask.Flask("shop")
app.secret_key = "a key for tests"
scopes.init_app(app)
CASES: dict[str, c.Callable[[], object]] = {}


def case(function: c.Callable[[], object]) -> c.Callable[[], object]:
    CASES[function.__name__] = function
    return function


@dataclasses.dataclass
class Cart:
    lines: list[str] = dataclasses.field(default_factory=list[str])


class Lock:
    """What no session can keep."""


@scopes.session
def cart() -> Cart:
    return Cart()


@scopes.session
def anything(number: object = 0) -> t.Any:
    return threading.Lock()


@scopes.request
def current_account() -> str:
    return "ann"


@scopes.session
def owner() -> str:
    return current_account()


@scopes.application
def prices() -> Cart:
    return cart()


@case
def of_a_lock() -> object:
    def door() -> dict[str, Lock]:
        return {}

    return scopes.session(door)


@case
def of_who_knows_what() -> object:
    def door():  # type: ignore[no-untyped-def]  # that is the mistake
        return {}

    return scopes.session(door)


@case
def of_a_generator() -> object:
    def door() -> c.Iterator[Cart]:
        yield Cart()

    return scopes.session(door)


@case
def of_the_same_name() -> object:
    return scopes.session(name="cart")(Cart)


@case
def a_lock() -> object:
    with app.test_request_context():
        return anything()


@case
def spoilt() -> object:
    with app.test_request_context():
        cart.set(Cart(t.cast("t.Any", "tea")))
    return None


@case
def no_name() -> object:
    with app.test_request_context():
        return anything(object())


@case
def without_a_context() -> object:
    return cart()


@case
def in_a_command() -> object:
    with app.app_context():
        return cart()


@case
def without_a_key() -> object:
    own = flask.Flask("keyless")
    scopes.init_app(own)
    with own.test_request_context():
        return cart()


@case
def kept_for_ever() -> object:
    with app.test_request_context():
        return prices()


@case
def of_one_request() -> object:
    with app.test_request_context():
        return owner()


@case
def too_large() -> object:
    own = flask.Flask("large")
    own.secret_key = "a key for tests"
    own.debug = own.testing = True
    scopes.init_app(own)

    @own.get("/")
    def fill() -> str:
        own.config["MAX_COOKIE_SIZE"] = 50
        cart()
        return "filled"

    return own.test_client().get("/")


@case
def streamed() -> object:
    own = flask.Flask("streaming")
    own.secret_key = "a key for tests"
    own.testing = True
    scopes.init_app(own)

    @own.get("/")
    def export() -> flask.Response:
        cart()

        def body() -> c.Iterator[str]:
            yield str(cart())

        return flask.Response(flask.stream_with_context(body()))

    return own.test_client().get("/").text
