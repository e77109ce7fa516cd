from __future__ import annotations

import collections.abc as c

import flask
import flask.globals
import flask.testing
import pytest

from flask_scopes import Scopes


@pytest.fixture
def scopes() -> Scopes:
    return Scopes()


@pytest.fixture
def app(scopes: Scopes) -> flask.Flask:
    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    scopes.init_app(app)
    return app


@pytest.fixture
def client(app: flask.Flask) -> flask.testing.FlaskClient:
    return app.test_client()


@pytest.fixture
def log() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture(autouse=True)
def no_context_left() -> c.Iterator[None]:
    """A test that leaves a context pushed would change what the next one sees."""
    yield
    left = []
    while flask.globals._cv_app.get(None) is not None:
        context = (
            getattr(flask.globals, "_cv_request", flask.globals._cv_app).get(None)
            or flask.globals._cv_app.get()
        )
        left.append(repr(context))
        context.pop()
    assert not left
