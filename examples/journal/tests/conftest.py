"""One real MongoDB for all tests, and fresh databases for each application."""

import re
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask import g
from flask.testing import FlaskClient
from pymongo.database import Database
from werkzeug.test import TestResponse

from flask_scopes.embedded import mongod
from flask_scopes.login import Passwords
from journal import create_app
from journal.models import Document
from journal.resources import accounts
from journal.resources import journal
from journal.resources import login
from journal.resources import mongo
from journal.resources import scopes
from journal.seed import demo
from journal.seed import ready


class Visitor:
    """Somebody with a browser: it keeps cookies and sends what forms contain."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def post(self, path: str, **fields: str) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token(), **fields})

    def token(self) -> str:
        page = self.client.get("/", follow_redirects=True).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found
        return found[1]

    def sign_in(self, name: str, path: str = "/") -> TestResponse:
        email = f"{name}@example.org"
        return self.post(path, email=email, password=demo()["password"])

    def write(self, text: str, **fields: str) -> str:
        """Write an entry and return where it can be read."""
        return self.post("/entries/new", text=text, **fields).location


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongod(tmp_path_factory.mktemp("mongodb")) as server:
        yield server.uri


MakeApp = Callable[..., Flask]


@contextmanager
def opened(app: Flask) -> Iterator[None]:
    """A look into the databases, as ready as a request finds them."""
    with app.app_context():
        ready()
        yield


def all_entries(app: Flask) -> list[Document]:
    """Those of everybody."""
    prefix = app.config["MONGO_DATABASE_PREFIX"] + "journal_"
    with opened(app):
        client = mongo.client()
        names = [name for name in client.list_database_names() if prefix in name]
        return [row for name in sorted(names) for row in client[name].entries.find()]


def journal_of(app: Flask, name: str) -> Database[Document]:
    with opened(app):
        person = accounts().people.find_one({"name": {"$regex": name}})
        assert person
        g.owner = person["_id"]
        return journal()


@pytest.fixture
def make_app(
    mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeApp]:
    """Makes applications, each with databases of its own unless told otherwise."""
    # Quick: there is nothing to guard here.
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(login, "passwords", Passwords(scopes, hasher=quick))
    monkeypatch.setenv("JOURNAL_INSTANCE", str(tmp_path))
    made: list[Flask] = []

    def make(**config: Any) -> Flask:
        own = {
            "MONGO_URI": mongo_uri,
            "MONGO_DATABASE_PREFIX": f"{token_hex(4)}_",
            "TESTING": True,
        }
        made.append(create_app(own | config))
        return made[-1]

    yield make
    for app in made:
        scopes.close(app)


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return make_app()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Somebody who has not signed in."""
    return Visitor(app)


@pytest.fixture
def tomasz(app: Flask) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("tomasz")
    return visitor


@pytest.fixture
def mina(app: Flask) -> Visitor:
    """She keeps the house."""
    visitor = Visitor(app)
    visitor.sign_in("mina")
    return visitor
