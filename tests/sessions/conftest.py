from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import secrets

import pytest

from ..sql.conftest import new_database as new_database
from ..sql.conftest import postgres_server as postgres_server
from . import mariadb_server
from . import redis_server
from .site import Clock
from .site import Home
from .site import OpenSite
from .site import Site
from .site import drop_database


@pytest.fixture(scope="session")
def sessions_redis(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[str]:
    """A real Redis, for all tests that want one."""
    if redis_server.PROGRAM is None:
        pytest.skip("Redis is not installed")
    with redis_server.running(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="session")
def sessions_mariadb(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[str]:
    """A real MariaDB, for all tests that want one."""
    if mariadb_server.PROGRAM is None or mariadb_server.INSTALL is None:
        pytest.skip("MariaDB is not installed")
    with mariadb_server.running(tmp_path_factory.mktemp("mariadb")) as address:
        yield address


@pytest.fixture
def new_home(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> c.Iterator[c.Callable[[str], Home]]:
    """Makes places for sessions, of each kind, that are empty."""
    with contextlib.ExitStack() as stack:

        def make(kind: str) -> Home:
            name = f"sessions_{secrets.token_hex(4)}"
            if kind == "mongo":
                url = f"{request.getfixturevalue('mongo_uri').partition('?')[0]}"
                options = request.getfixturevalue("mongo_uri").partition("?")[2]
                home = Home(kind, f"{url.rstrip('/')}/{name}?{options}")
                stack.callback(drop_database, home.url)
                return home
            if kind == "redis":
                return Home(kind, request.getfixturevalue("sessions_redis"))
            if kind == "sqlite":
                return Home(kind, f"sqlite:///{tmp_path}/{name}.db?timeout=10")
            if kind == "mariadb":
                server = request.getfixturevalue("sessions_mariadb")
                return Home(kind, mariadb_server.new_database(server, name))
            return Home(kind, request.getfixturevalue("new_database")())

        yield make


@pytest.fixture
def home(request: pytest.FixtureRequest, new_home: c.Callable[[str], Home]) -> Home:
    """Of the kind that the test is for."""
    return new_home(request.param)


@pytest.fixture
def open_site(home: Home) -> c.Iterator[OpenSite]:
    """Opens sites that are closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def open_it(**options: object) -> Site:
            site = Site(home, **options)
            stack.callback(site.close)
            site.create()
            return site

        yield open_it


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    return open_site()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
