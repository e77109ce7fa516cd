"""Promise 9 among greenlets, without monkey patching: all are of one thread."""

from __future__ import annotations

import typing as t

import flask
import gevent
import gevent.event
import pytest

from flask_scopes import CycleError
from flask_scopes import Scopes


def all_of(*jobs: t.Any) -> list[t.Any]:
    """What each returns or raises, one greenlet each."""
    greenlets = [gevent.spawn(job) for job in jobs]
    done = gevent.joinall(greenlets, timeout=20)
    assert len(done) == len(jobs)
    return [greenlet.value or greenlet.exception for greenlet in greenlets]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub prints what leaves a greenlet; here it is looked at."""
    monkeypatch.setattr(gevent.get_hub(), "NOT_ERROR", (Exception,))


def test_they_wait_for_one_object(app: flask.Flask, scopes: Scopes) -> None:
    made: list[object] = []

    @scopes.application
    def connection() -> object:
        gevent.sleep(0.05)
        made.append(object())
        return made[-1]

    def use() -> object:
        with app.app_context():
            return connection()

    assert all_of(*[use] * 10) == made * 10
    assert len(made) == 1


def test_they_share_how_it_failed(app: flask.Flask, scopes: Scopes) -> None:
    tries: list[None] = []

    @scopes.application
    def connection() -> object:
        tries.append(None)
        gevent.sleep(0.05)
        raise ConnectionError("not yet")

    def use() -> object:
        with app.app_context():
            return connection()

    errors = all_of(use, use, use)
    assert [type(each) for each in errors] == [ConnectionError] * 3
    assert len(tries) == 1


def test_two_that_wait_for_each_other_are_refused(
    app: flask.Flask, scopes: Scopes
) -> None:
    first, second = gevent.event.Event(), gevent.event.Event()

    @scopes.application
    def orders() -> str:
        first.set()
        second.wait(10)
        return "orders of " + stock()

    @scopes.application
    def stock() -> str:
        second.set()
        first.wait(10)
        return "stock of " + orders()

    def use(resource: t.Callable[[], str]) -> str:
        with app.app_context():
            return resource()

    found = all_of(lambda: use(orders), lambda: use(stock))
    assert all(isinstance(each, CycleError) for each in found)


def test_a_cycle_in_one_greenlet_is_one(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def connection() -> object:
        return object()

    def use(*sender: object, **extra: object) -> object:
        with app.app_context():
            return connection()

    # A receiver is called in the factory's context, where the stack is empty.
    with flask.appcontext_pushed.connected_to(lambda *args, **extra: connection(), app):
        (error,) = all_of(use)
    assert isinstance(error, CycleError)
