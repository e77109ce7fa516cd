"""``ping=``, ``scopes.pings()`` and the health views."""

from __future__ import annotations

import collections.abc as c
import threading
import typing as t

import flask
import flask.testing
import pytest

from flask_scopes import Scopes
from flask_scopes.health import health


@pytest.fixture
def hang() -> c.Iterator[threading.Event]:
    """What a ping may wait for, until the test is over."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith("ping "):
            thread.join(10)


def told(response: t.Any) -> dict[str, str]:
    """The status of each resource."""
    resources = response.get_json()["resources"]
    return {each["name"]: each["status"] for each in resources}


def test_every_object_with_a_ping_is_asked(app: flask.Flask, scopes: Scopes) -> None:
    def refuse(made: object) -> None:
        raise ConnectionRefusedError("nobody there")

    @scopes.application(ping=lambda made: made == "mongo")
    def mongo() -> str:
        return "mongo"

    @scopes.application(ping=lambda made: False)
    def cache() -> str:
        return "cache"

    @scopes.application(ping=refuse)
    def mail() -> str:
        return "mail"

    @scopes.application(ping=lambda made: None)
    def unused() -> str:
        raise AssertionError("nobody has asked for it")

    @scopes.application
    def silent() -> None: ...

    with app.app_context():
        mongo(), cache(), mail()
        pings = scopes.pings()
    assert [(each.name, each.status, each.is_well) for each in pings] == [
        ("mongo", "ok", True),
        ("cache", "failed", False),
        ("mail", "failed", False),
        ("unused", "unused", True),
    ]
    assert isinstance(pings[2].error, ConnectionRefusedError)
    assert pings[0].error is None
    assert pings[0].seconds is not None
    assert pings[3].seconds is None


def test_what_is_not_used_is_built_if_that_is_wished(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(ping=log.append)
    def mongo() -> str:
        return "mongo"

    assert [each.status for each in scopes.pings(app)] == ["unused"]
    assert log == []
    assert [each.status for each in scopes.pings(app, build=True)] == ["ok"]
    assert log == ["mongo"]


def test_what_is_eager_has_to_be_there(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application(eager=True, ping=str)
    def model() -> None:
        raise ConnectionError("not yet")

    assert [each.status for each in scopes.pings(app)] == ["failed"]


def test_each_object_of_one_resource_is_asked(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(ping=log.append)
    def database(name: str, *, region: str = "north") -> str:
        return f"{name}, {region}"

    with app.app_context():
        database("logs"), database("blog", region="south")
        assert [each.name for each in scopes.pings()] == ["database", "database"]
    assert sorted(log) == ["blog, south", "logs, north"]
    assert scopes.pings(flask_app_with(scopes))[0].status == "unused"


def flask_app_with(scopes: Scopes) -> flask.Flask:
    app = flask.Flask("other")
    scopes.init_app(app)
    return app


def test_an_override_is_asked_instead(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(ping=log.append)
    def mongo() -> str:
        return "mongo"

    with app.app_context(), mongo.override("fake"):
        scopes.pings()
    assert log == ["fake"]


def test_one_that_hangs_is_late_and_not_asked_again(
    app: flask.Flask, scopes: Scopes, hang: threading.Event, log: list[str]
) -> None:
    def wait(made: str) -> None:
        log.append(made)
        assert hang.wait(20)

    @scopes.application(ping=wait)
    def mongo() -> str:
        return "mongo"

    @scopes.application(ping=bool)
    def cache() -> str:
        return "cache"

    with app.app_context():
        mongo(), cache()
        for _ in range(3):
            pings = scopes.pings(timeout=0.05)
            assert [each.status for each in pings] == ["late", "ok"]
        assert log == ["mongo"]
        hang.set()
        statuses = [each.status for each in scopes.pings(timeout=10)]
        assert statuses == ["ok", "ok"]


def test_all_share_one_time_limit(
    app: flask.Flask, scopes: Scopes, hang: threading.Event
) -> None:
    together = threading.Barrier(3)

    def meet(made: str) -> None:
        # If they were asked one after the other, none would come through.
        together.wait(20)

    @scopes.application(ping=meet)
    def database(name: str) -> str:
        return name

    with app.app_context():
        for name in "abc":
            database(name)
        assert {each.status for each in scopes.pings(timeout=20)} == {"ok"}


def test_a_ping_sees_the_app_and_no_request(app: flask.Flask, scopes: Scopes) -> None:
    seen: list[object] = []

    def ping(made: object) -> None:
        seen.append((flask.current_app.name, flask.has_request_context()))

    @scopes.application(ping=ping)
    def mongo() -> object:
        return object()

    with app.test_request_context():
        mongo()
        scopes.pings()
    assert seen == [("shop", False)]


def test_the_views(
    app: flask.Flask,
    client: flask.testing.FlaskClient,
    scopes: Scopes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble: list[Exception] = []

    def ping(made: object) -> None:
        if trouble:
            raise trouble[0]

    @scopes.application(ping=ping)
    def mongo() -> str:
        return "mongo"

    @scopes.application(ping=bool)
    def cache() -> str:
        return "cache"

    app.register_blueprint(health(scopes), url_prefix="/internal")
    with app.app_context():
        mongo()
    ready = client.get("/internal/readyz")
    assert ready.status_code == 200
    content = ready.get_json()
    assert content["status"] == "ready"
    assert content["resources"][0].keys() == {"name", "status", "ms"}
    assert content["resources"][1] == {"name": "cache", "status": "unused"}
    assert ready.headers["Cache-Control"] == "no-store"

    trouble.append(ConnectionError("mongodb://ann:secret@db"))
    unready = client.get("/internal/readyz")
    assert unready.status_code == 503
    content = unready.get_json()
    assert content["status"] == "unavailable"
    assert content["resources"][0]["error"] == "ConnectionError"
    assert "secret" not in unready.text
    # In the log it is.
    assert "Not ready: mongo is failed: ConnectionError: mongodb" in caplog.text

    live = client.get("/internal/healthz")
    assert (live.status_code, live.get_json()) == (200, {"status": "alive"})
    assert live.headers["Cache-Control"] == "no-store"


def test_a_view_that_builds(
    app: flask.Flask, client: flask.testing.FlaskClient, scopes: Scopes
) -> None:
    @scopes.application(ping=bool)
    def mongo() -> str:
        raise ConnectionError("not yet")

    app.register_blueprint(health(scopes, build=True))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert told(response) == {"mongo": "failed"}


def test_a_view_with_a_time_limit(
    app: flask.Flask,
    client: flask.testing.FlaskClient,
    scopes: Scopes,
    hang: threading.Event,
) -> None:
    @scopes.application(ping=lambda made: hang.wait(20))
    def mongo() -> str:
        return "mongo"

    app.register_blueprint(health(scopes, timeout=0.05))
    with app.app_context():
        mongo()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert told(response) == {"mongo": "late"}


def test_an_app_that_is_closed_is_not_ready(
    app: flask.Flask, client: flask.testing.FlaskClient, scopes: Scopes
) -> None:
    @scopes.application(ping=bool)
    def mongo() -> str:
        return "mongo"

    app.register_blueprint(health(scopes))
    with app.app_context():
        mongo()
    scopes.close(app)
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
