"""``eager=True``: built when a process is about to serve, and not before."""

from __future__ import annotations

import collections.abc as c
import gc
import threading

import flask
import flask.testing
import pytest
from werkzeug.serving import make_server

from flask_scopes import OutsideScopeError
from flask_scopes import ScopeMismatchError
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import StartError


def test_it_is_built_by_start_after_what_it_asks_for(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def model() -> str:
        log.append(f"model of {weights()}")
        return "model"

    @scopes.application(eager=True)
    def index() -> str:
        log.append("index")
        return "index"

    @scopes.application
    def weights() -> str:
        log.append("weights")
        return "weights"

    @scopes.application
    def lazy() -> None:
        log.append("lazy")

    assert log == []
    scopes.start(app)
    assert log == ["weights", "model of weights", "index"]
    with app.app_context():
        scopes.start()
        assert model() == "model"
    assert len(log) == 3


def test_start_wants_an_app_that_it_knows(scopes: Scopes) -> None:
    with pytest.raises(OutsideScopeError, match="start"):
        scopes.start()
    with pytest.raises(OutsideScopeError, match="do not know the app"):
        scopes.start(flask.Flask("another"))


def test_what_fails_is_said_in_full(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def weights() -> bytes:
        with open("/nowhere/weights.bin", "rb") as file:
            return file.read()

    @scopes.application(eager=True)
    def model() -> int:
        return len(weights())

    with pytest.raises(StartError) as caught:
        scopes.start(app)
    text = str(caught.value)
    assert text.startswith("'model' (")
    assert "could not be built: FileNotFoundError" in text
    assert "test_starting.py" in text.partition("raised by")[2]
    assert caught.value.path == ("model",)
    # Nothing of ours is printed above it.
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_of_our_own_errors_the_path_is_kept(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.request
    def visitor() -> str:
        return "ann"

    @scopes.application(eager=True)
    def greeting() -> str:
        return f"hello {visitor()}"

    with pytest.raises(StartError, match="ScopeMismatchError") as caught:
        scopes.start(app)
    assert caught.value.path == ("greeting", "visitor")
    assert isinstance(caught.value.__context__, ScopeMismatchError)


def test_after_a_failure_it_can_be_tried_again(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def connection() -> str:
        log.append("try")
        if len(log) == 1:
            raise ConnectionError("not yet")
        return "connection"

    with pytest.raises(StartError):
        scopes.start(app)
    scopes.start(app)
    assert log == ["try", "try"]


def test_a_server_that_does_not_tell_starts_with_the_first_request(
    app: flask.Flask, client: flask.testing.FlaskClient, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def model() -> None:
        log.append("model")

    @app.get("/")
    def index() -> str:
        log.append("view")
        return "done"

    client.get("/")
    client.get("/")
    assert log == ["model", "view", "view"]


def test_many_first_requests_wait_for_one_start(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    together = threading.Barrier(4)

    @scopes.application(eager=True)
    def model() -> None:
        log.append("model")

    @app.get("/")
    def index() -> str:
        log.append("view")
        return "done"

    def ask() -> None:
        together.wait(10)
        app.test_client().get("/")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert log == ["model", *["view"] * 4]


def test_a_first_request_that_cannot_start_is_served_all_the_same(
    app: flask.Flask,
    client: flask.testing.FlaskClient,
    scopes: Scopes,
    log: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @scopes.application(eager=True)
    def model() -> None:
        log.append("model")
        raise ConnectionError("not yet")

    @app.get("/")
    def index() -> str:
        return "done"

    assert client.get("/").text == client.get("/").text == "done"
    # Each request would wait for it.
    assert log == ["model"]
    assert "'model'" in caplog.text
    assert "Traceback" not in caplog.text


def test_without_anything_eager_nothing_is_wrapped(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.application
    def lazy() -> None: ...

    assert "wsgi_app" not in vars(app)


def test_what_is_eager_may_be_defined_before_the_app_is_known(log: list[str]) -> None:
    scopes = Scopes()

    @scopes.application(eager=True)
    def model() -> None:
        log.append("model")

    app = flask.Flask("late")
    scopes.init_app(app)
    app.test_client().get("/")
    assert log == ["model"]


def test_an_override_is_built_in_its_place(
    app: flask.Flask, client: flask.testing.FlaskClient, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def model() -> str:
        log.append("model")
        return "model"

    with model.override("fake"):
        client.get("/")
    assert log == []


def serve(app: flask.Flask) -> None:
    """Serve *app* for a moment."""
    # All apps of the process are started; those of other tests could fail.
    gc.collect()
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        server.shutdown()
    finally:
        thread.join(10)
        server.server_close()


def test_the_development_server_starts_it(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def model() -> c.Iterator[None]:
        log.append("model")
        yield

    serve(app)
    assert log == ["model"]


def test_an_app_that_is_closed_keeps_no_other_from_being_served(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(eager=True)
    def model() -> None:
        log.append("model")

    other = flask.Flask("other")
    scopes.init_app(other)
    scopes.close(other)

    serve(app)
    assert log == ["model"]


def test_it_takes_no_arguments(scopes: Scopes) -> None:
    with pytest.raises(SetupError, match="arguments that nobody would pass"):

        @scopes.application(eager=True)
        def database(name: str) -> str:
            return name

    @scopes.application(eager=True)
    def blog(name: str = "blog") -> str:
        return name
