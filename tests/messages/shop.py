"""One small app, and every way to use it wrongly."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask

from flask_scopes import Scopes

scopes = Scopes()
app = flask.Flask("shop")
scopes.init_app(app)
CASES: dict[str, c.Callable[[], object]] = {}


def case(function: c.Callable[[], object]) -> c.Callable[[], object]:
    CASES[function.__name__] = function
    return function


@scopes.application
def mongo() -> c.Iterator[str]:
    yield "client"


@scopes.request
def unit_of_work() -> str:
    return mongo()


@scopes.request
def current_account() -> str:
    return "ann"


@scopes.application
def order_cache() -> str:
    return current_account()


@scopes.request
def page() -> str:
    return order_cache()


@scopes.application
def orders() -> str:
    return prices()


@scopes.application
def prices() -> str:
    return discounts()


@scopes.application
def discounts() -> str:
    return orders()


@scopes.application
def itself() -> str:
    return itself()


@scopes.request
def database(name: str, *, size: int = 1) -> str:
    return name


@scopes.application
def visitor() -> str:
    return str(flask.g.visitor)


@scopes.request
def yields_nothing() -> c.Iterator[str]:
    if not app.name:
        yield "never"


@scopes.request
def yields_twice() -> c.Iterator[str]:
    yield "one"
    yield "two"


@scopes.request
def below() -> c.Iterator[str]:
    yield "below"
    above()


@scopes.request
def above() -> c.Iterator[str]:
    yield below()


@scopes.request(until="sent")
def report() -> str:
    return page_of(1)


@scopes.request
def page_of(number: int) -> str:
    return f"{number} of {current_account()}"


@scopes.request
def ledger() -> c.Iterator[str]:
    try:
        yield "ledger"
    except OSError:
        raise LookupError("the connection is gone") from None


@scopes.request
def order() -> c.Iterator[str]:
    yield ledger()
    raise OSError("the disk is full")


@scopes.request
def mails() -> c.Iterator[str]:
    yield order()


@case
def outside() -> object:
    return unit_of_work()


@case
def outside_application() -> object:
    return mongo()


@case
def unknown_app() -> object:
    with flask.Flask("other").app_context():
        return mongo()


@case
def mismatch() -> object:
    with app.app_context():
        return page()


@case
def cycle() -> object:
    with app.app_context():
        return orders()


@case
def cycle_of_one() -> object:
    with app.app_context():
        return itself()


@case
def missing_argument() -> object:
    with app.app_context():
        return t.cast(t.Any, database)(size=3)


@case
def unhashable_argument() -> object:
    with app.app_context():
        return t.cast(t.Any, database)(["logs"])


@case
def g_in_an_application_factory() -> object:
    with app.app_context():
        return visitor()


@case
def no_yield() -> object:
    with app.app_context():
        return yields_nothing()


@case
def second_yield() -> None:
    with app.app_context():
        yields_twice()


@case
def gone() -> None:
    with app.app_context():
        above()


@case
def after_the_end() -> object:
    with app.app_context() as context:
        unit_of_work()
        context.app.do_teardown_appcontext(None)
        return unit_of_work()


@case
def after_close() -> object:
    own = flask.Flask("closed")
    scopes.init_app(own)
    scopes.close(own)
    with own.app_context():
        return mongo()


@case
def close_what() -> None:
    scopes.close()


@case
def close_unknown() -> None:
    scopes.close(flask.Flask("other"))


@case
def mismatch_until_sent() -> object:
    with app.app_context():
        return report()


@case
def commit_failed() -> None:
    with scopes.unit(app):
        mails()


@case
def after_sending() -> object:
    with app.app_context() as context:
        page_of(1)
        context.app.do_teardown_appcontext(None)
        return scopes.request(until="sent")(ledger.__wrapped__)()


@case
def doom_nothing() -> None:
    scopes.doom("a dry run")


@case
def doom_too_late() -> None:
    with app.app_context() as context:
        page_of(1)
        context.app.do_teardown_appcontext(None)
        scopes.doom("a dry run")


@case
def unit_of_what() -> None:
    with scopes.unit():
        pass


@case
def commit_on_success() -> object:
    return scopes.commit_on(200)


@case
def retry_never() -> object:
    return scopes.retry(0)


@case
def retry_a_stream() -> object:
    own = flask.Flask("streaming")
    own.testing = True
    scopes.init_app(own)

    @own.get("/")
    @scopes.retry(3)
    def export() -> flask.Response:
        current_account()
        return flask.Response(iter(["a", "b"]))

    return own.test_client().get("/")


@case
def until_later() -> object:
    return t.cast(t.Any, scopes).request(until="later")


@case
def init_twice() -> None:
    scopes.init_app(app)


@case
def async_factory() -> object:
    async def factory() -> str:
        return "later"

    factory.__qualname__ = "factory"
    return scopes.request(t.cast(t.Any, factory))


@case
def override_with_nothing() -> None:
    with t.cast(t.Any, mongo).override():
        pass
