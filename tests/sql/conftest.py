from __future__ import annotations

import collections.abc as c
import itertools
import pathlib

import pytest
import sqlalchemy as sa

from .postgres import binaries
from .postgres import postgres
from .shop import OpenShop
from .shop import Shop
from .shop import opened

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> c.Iterator[str]:
    """A real PostgreSQL, for all tests that want one."""
    programs = binaries()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres(programs) as address:
        yield address


@pytest.fixture
def new_database(postgres_server: str) -> c.Iterator[c.Callable[[], str]]:
    """Makes databases of that server."""
    server = sa.create_engine(f"{postgres_server}/postgres")

    def create() -> str:
        name = f"test_{next(_numbers)}"
        with server.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return f"{postgres_server}/{name}"

    yield create
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> c.Callable[[], str]:
    """Makes databases, of each kind."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{next(_numbers)}.db?timeout=10"
    create: c.Callable[[], str] = request.getfixturevalue("new_database")
    return create


@pytest.fixture
def open_shop() -> c.Iterator[OpenShop]:
    """Makes shops that are closed when the test ends."""
    with opened() as open_it:
        yield open_it


@pytest.fixture
def shop(open_shop: OpenShop, new_url: c.Callable[[], str]) -> Shop:
    """A shop with its tables, on a database of each kind."""
    made = open_shop(new_url())
    made.create()
    return made


@pytest.fixture
def two(open_shop: OpenShop, new_url: c.Callable[[], str]) -> Shop:
    """A shop with two databases: the default one and "archive"."""
    made = open_shop(new_url(), {"archive": new_url()})
    made.create("", "archive")
    return made
