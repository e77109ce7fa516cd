"""The signals that users connect to."""

from __future__ import annotations

import collections.abc as c
import time
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes import events
from flask_scopes.signals import ResourceEvent
from flask_scopes.signals import UnitEvent
from flask_scopes.signals import resource_built
from flask_scopes.signals import resource_closed
from flask_scopes.signals import resource_failed
from flask_scopes.signals import unit_finished

SIGNALS = (resource_built, resource_closed, resource_failed, unit_finished)


@pytest.fixture(autouse=True)
def nobody_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have connected."""
    monkeypatch.setattr(events, "everywhere", [])


def test_each_is_sent_by_the_app_with_what_happened(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    heard: list[tuple[str, t.Any]] = []

    @scopes.request
    def session() -> c.Iterator[dict[str, int]]:
        yield {}

    @scopes.request
    def away() -> c.Iterator[str]:
        raise ConnectionError
        yield ""

    @app.get("/")
    def view() -> str:
        session()
        with pytest.raises(ConnectionError):
            away()
        return "well"

    def note(name: str) -> c.Callable[..., None]:
        def receive(sender: flask.Flask, event: t.Any) -> None:
            assert sender is app
            heard.append((name, event))

        return receive

    before = time.time_ns()
    notes = [(signal, note(signal.name)) for signal in SIGNALS]
    for signal, receive in notes:
        signal.connect(receive, app)
    client.get("/")
    for signal, receive in notes:
        signal.disconnect(receive, app)
    client.get("/")

    names = [name.removeprefix("scopes-") for name, _ in heard]
    assert names == [
        "resource-built",
        "resource-failed",
        "resource-closed",
        "unit-finished",
    ]
    built, failed, closed, finished = (event for _, event in heard)
    assert isinstance(built, ResourceEvent)
    assert (built.resource, built.scope, built.type) == ("session", "request", "dict")
    assert built.place.rpartition(":")[0].endswith("test_signals.py")
    assert built.has_teardown
    assert before <= built.started <= built.ended <= finished.ended
    assert built.error is None
    assert failed.resource == "away"
    assert isinstance(failed.error, ConnectionError)
    assert closed.resource == "session"
    assert closed.error is None
    assert isinstance(finished, UnitEvent)
    assert finished.committed
    assert finished.error is None


def test_a_unit_that_failed_says_why(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    heard: list[UnitEvent] = []

    @scopes.request
    def session() -> c.Iterator[str]:
        yield ""
        raise TimeoutError

    @app.get("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        session()
        return "", status

    def receive(sender: object, event: UnitEvent) -> None:
        heard.append(event)

    with unit_finished.connected_to(receive, app):
        client.get("/404")
        client.get("/200")
    assert [event.committed for event in heard] == [False, False]
    assert [type(event.error).__name__ for event in heard] == [
        "UnitFailed",
        "TimeoutError",
    ]


def test_a_receiver_that_raises_is_logged_each_time_and_harms_nobody(
    app: flask.Flask,
    scopes: Scopes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @scopes.request
    def number() -> int:
        return 1

    heard: list[object] = []

    def broken(sender: object, event: object) -> t.NoReturn:
        raise RuntimeError("an exporter that is away")

    def sound(sender: object, event: object) -> None:
        heard.append(event)

    with resource_built.connected_to(broken), resource_built.connected_to(sound):
        for _ in range(2):
            with app.app_context():
                assert number() == 1
    assert len(heard) == 2
    assert [record.exc_info for record in caplog.records].count(None) == 0
    assert len(caplog.records) == 2


def test_a_receiver_may_be_async(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.request
    def number() -> int:
        return 1

    heard: list[str] = []

    async def receive(sender: flask.Flask, event: ResourceEvent) -> None:
        heard.append(event.resource)

    with resource_built.connected_to(receive), app.app_context():
        number()
    assert heard == ["number"]


def test_an_async_one_is_not_called_while_an_async_view_runs(
    app: flask.Flask, scopes: Scopes, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    @scopes.request
    def number() -> int:
        return 1

    async def receive(sender: flask.Flask, event: ResourceEvent) -> None:
        raise AssertionError(event)

    @app.get("/")
    async def view() -> str:
        return str(number())

    with resource_built.connected_to(receive):
        assert client.get("/").text == "1"
    assert [record.name for record in caplog.records] == ["flask_scopes"]


def test_who_asks_of_another_app_hears_nothing(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def number() -> int:
        return 1

    def receive(sender: object, event: object) -> t.NoReturn:
        raise AssertionError

    with resource_built.connected_to(receive, flask.Flask("other")), app.app_context():
        assert number() == 1
