from __future__ import annotations

import collections.abc as c
import logging

import flask
import flask.globals
import flask.testing
import pytest

from flask_scopes import Scopes
from flask_scopes.embedded import mongod


@pytest.fixture
def scopes() -> Scopes:
    return Scopes()


@pytest.fixture
def app(scopes: Scopes) -> c.Iterator[flask.Flask]:
    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    scopes.init_app(app)
    yield app
    # Flask sets it for an app in debug mode, and the next one has the same logger.
    logging.getLogger(app.name).setLevel(logging.NOTSET)


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


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group; Flask 3.2 puts groups of teardowns into its own."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


def texts_of(error: BaseException) -> str:
    """The sentences of a group and of the groups in it."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return "\n".join([str(error), *map(texts_of, inner)])


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[str]:
    """A real MongoDB, for all tests that want one."""
    with mongod(tmp_path_factory.mktemp("mongo")) as server:
        yield server.uri
