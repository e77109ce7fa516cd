from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import typing as t

import pytest
from pymongo import MongoClient

from ..sessions.site import Clock
from ..sql.conftest import new_database as new_database
from ..sql.conftest import postgres_server as postgres_server
from .site import Home
from .site import OpenSite
from .site import Site
from .site import database_name


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> c.Iterator[Home]:
    """Of the kind that the test is for; SQLite, if that does not matter."""
    kind: str = getattr(request, "param", "sqlite")
    if kind == "mongo":
        server, _, options = request.getfixturevalue("mongo_uri").partition("?")
        name = database_name()
        yield Home(kind, f"{server.rstrip('/')}/{name}?{options}")
        with MongoClient[dict[str, t.Any]](server) as client:
            client.drop_database(name)
    elif kind == "sqlite":
        yield Home(kind, f"sqlite:///{tmp_path}/{database_name()}.db?timeout=10")
    else:
        yield Home(kind, request.getfixturevalue("new_database")())


@pytest.fixture
def open_site(home: Home) -> c.Iterator[OpenSite]:
    """Opens sites that are closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def open_it(**options: t.Any) -> Site:
            site = Site(home, **options)
            stack.callback(site.close)
            return site

        yield open_it


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    """With somebody who can sign in, ann@example.org."""
    made = open_site()
    made.register()
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
