"""Engines live as long as the process, one for each app and bind."""

from __future__ import annotations

import collections.abc as c
import contextlib
import gc
import os
import pathlib
import subprocess
import sys
import threading
import typing as t

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.sqlalchemy import SQL

from .shop import Base
from .shop import Item
from .shop import OpenShop
from .shop import Shop


def test_one_for_each_app_and_bind(open_shop: OpenShop) -> None:
    one = open_shop("sqlite://", {"reports": "sqlite://"})
    other = open_shop("sqlite://")
    with one.app.app_context():
        first = one.sql.engine()
        assert first is one.sql.engine("")
        assert first is not one.sql.engine("reports")
    with other.app.app_context():
        assert first is not other.sql.engine()


def test_it_is_disposed_of_at_the_end(shop: Shop) -> None:
    with shop.app.app_context():
        engine = shop.sql.engine()
        shop.sql.session().scalars(sa.select(Item)).all()
    pool: t.Any = engine.pool
    assert pool.checkedin() == 1
    shop.scopes.close(shop.app)
    pool = engine.pool
    assert pool.checkedin() == 0


def test_it_answers_a_ping(shop: Shop) -> None:
    with shop.app.app_context():
        shop.sql.engine()
    (ping,) = shop.scopes.pings(shop.app)
    assert ping.status == "ok", ping


def test_a_database_that_is_away_is_not_well(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite:////nowhere/at/all.db")
    with shop.app.app_context():
        shop.sql.engine()
    (ping,) = shop.scopes.pings(shop.app)
    assert ping.status == "failed"


def test_options_are_for_all_and_those_of_a_bind_go_first(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://", {"reports": {"url": "sqlite://", "pool_size": 2}})
    shop.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 3}
    with shop.app.app_context():
        pool: t.Any = shop.sql.engine().pool
        reports: t.Any = shop.sql.engine("reports").pool
    assert (pool.size(), reports.size()) == (3, 2)


def test_a_relative_file_is_in_the_instance_folder(
    open_shop: OpenShop, tmp_path: pathlib.Path
) -> None:
    shop = open_shop("sqlite:///shop.db")
    shop.app.instance_path = str(tmp_path / "instance")
    shop.create()
    assert (tmp_path / "instance" / "shop.db").exists()


def test_a_database_in_memory_is_one_for_all_threads(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://", {"other": "sqlite://"})
    shop.create()
    found: list[list[str]] = []

    @shop.view
    def look() -> str:
        with shop.scopes.unit():
            shop.sql.session().add(Item(name="apple"))
        found.append(shop.names())
        return ""

    thread = threading.Thread(target=lambda: shop.app.test_client().get("/"))
    thread.start()
    thread.join(10)
    assert found == [["apple"]]
    with shop.app.app_context():
        assert not sa.inspect(shop.sql.engine("other")).get_table_names()


def test_a_database_in_memory_waits_for_its_turn(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://")
    shop.create()
    written = threading.Event()

    @shop.view
    def write() -> str:
        shop.sql.session().execute(sa.insert(Item).values(name="by request"))
        return ""

    def ask() -> None:
        shop.app.test_client().post("/")
        written.set()

    with shop.app.app_context():
        shop.sql.session().execute(sa.insert(Item).values(name="by block"))
        thread = threading.Thread(target=ask)
        thread.start()
        assert not written.wait(0.2)
    assert written.wait(10)
    thread.join(10)
    assert shop.names() == ["by block", "by request"]


def test_a_database_in_memory_outlives_each_of_its_connections(
    open_shop: OpenShop,
) -> None:
    shop = open_shop("sqlite://")
    # Each connection is replaced when it is next wanted.
    shop.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_recycle": 0}
    shop.create()
    shop.view(lambda: str(shop.names()))
    assert shop.client.get("/").text == "[]"


def test_an_engine_where_another_one_was_is_heard_of(tmp_path: pathlib.Path) -> None:
    """SQLAlchemy knows what listens to an engine by its id, which another one can have
    had: errors of the new one were not heard of, and rows were lost.
    """
    url = f"sqlite:///{tmp_path}/shop.db"
    used: set[int] = set()
    outlived: list[object] = []
    for _ in range(20):
        shop = Shop("", engine=sa.create_engine(url))
        shop.create()
        with shop.app.app_context():
            gone = shop.sql.engine()
        used.add(id(gone))
        # What is registered goes with this, to which statements refer as well.
        outlived.append(gone.dialect)
        gone.dispose()
        shop.scopes.close(shop.app)
        del shop, gone
        gc.collect()
    aside: list[Engine] = []
    while id(engine := Engine.__new__(Engine)) not in used:
        aside.append(engine)
        assert len(aside) < 10_000
    vars(engine).update(vars(sa.create_engine(url)))

    shop = Shop("", engine=engine)
    shop.view(lambda: _swallow(shop))
    assert shop.client.post("/").status_code == 500
    assert shop.names() == []
    engine.dispose()


def _swallow(shop: Shop) -> str:
    session = shop.sql.session()
    session.execute(sa.insert(Item).values(name="apple"))
    with contextlib.suppress(DBAPIError):
        twice = sa.insert(Item).prefix_with("OR ROLLBACK")
        session.execute(twice.values(name="apple"))
    session.execute(sa.insert(Item).values(name="pear"))
    return "done"


def test_two_closed_apps_leave_no_database_in_memory(open_shop: OpenShop) -> None:
    for _ in range(2):
        shop = open_shop("sqlite://")
        shop.create()
        shop.scopes.close(shop.app)
    shop = open_shop("sqlite://")
    with shop.app.app_context():
        assert not sa.inspect(shop.sql.engine()).get_table_names()


def test_a_pool_of_ones_own_is_left_alone(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://")
    shop.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": sa.StaticPool}
    with shop.app.app_context():
        assert str(shop.sql.engine().url) == "sqlite://"


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "READ UNCOMMITTED"])
def test_levels_of_isolation_of_sqlite(open_shop: OpenShop, level: str) -> None:
    shop = open_shop("sqlite://")
    shop.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"isolation_level": level}
    shop.create()

    @shop.view
    def write() -> tuple[str, int]:
        shop.sql.session().execute(sa.insert(Item).values(name="apple"))
        return "", 400

    shop.client.post("/")
    # Whoever commits each statement by itself has asked for it.
    assert shop.names() == (["apple"] if level == "AUTOCOMMIT" else [])


def test_an_engine_that_is_handed_in_is_not_disposed_of() -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    scopes = Scopes()
    sql = SQL(scopes, engine=engine, binds={"archive": engine})
    app = flask.Flask("shop")
    scopes.init_app(app)
    with app.app_context():
        assert sql.engine() is sql.engine("archive") is engine
        Base.metadata.create_all(sql.engine())
        sql.session().add(Item(name="apple"))
    scopes.close(app)
    # In memory: gone, if it had been disposed of.
    with Session(engine) as session:
        assert session.scalars(sa.select(Item.name)).all() == ["apple"]
    engine.dispose()


@pytest.mark.parametrize("handed_in", [False, True])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork")
def test_a_forked_process_has_connections_of_its_own(
    new_database: c.Callable[[], str], handed_in: bool
) -> None:
    """Both would read each other's answers from one socket."""
    code = f"""
import os, warnings, flask, sqlalchemy as sa
from flask_scopes import ForkWarning, Scopes
from flask_scopes.sqlalchemy import SQL

url, handed_in = {new_database()!r}, {handed_in!r}
scopes = Scopes()
sql = SQL(scopes, engine=sa.create_engine(url)) if handed_in else SQL(scopes)
app = flask.Flask("shop")
app.config["SQLALCHEMY_URL"] = url
scopes.init_app(app)
warnings.simplefilter("ignore", ForkWarning)

def backend():
    with app.app_context():
        return sql.session().scalar(sa.text("SELECT pg_backend_pid()"))

before = backend()
read, write = os.pipe()
if not os.fork():
    os.write(write, str(backend()).encode())
    os._exit(0)
os.wait()
child = int(os.read(read, 20))
assert child != before, "the child spoke through the connection of its parent"
assert backend() == before, "the parent has lost its connection"
scopes.close(app)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


BAD: dict[str, dict[str, t.Any]] = {
    "no URL": {},
    "no text": {"SQLALCHEMY_URL": 5},
    "no address": {"SQLALCHEMY_URL": "secret"},
    "an unknown database": {"SQLALCHEMY_URL": "postgres://x:secret@localhost/x"},
    "unknown options": {
        "SQLALCHEMY_URL": "sqlite://",
        "SQLALCHEMY_ENGINE_OPTIONS": {"colour": "secret"},
    },
    "options that are none": {
        "SQLALCHEMY_URL": "sqlite://",
        "SQLALCHEMY_ENGINE_OPTIONS": ["pool_size"],
    },
}


@pytest.mark.parametrize("name", BAD)
def test_a_config_that_makes_no_sense(open_shop: OpenShop, name: str) -> None:
    shop = open_shop("")
    shop.app.config.update({"SQLALCHEMY_URL": None, **BAD[name]})
    with shop.app.app_context(), pytest.raises(SetupError) as raised:
        shop.sql.session()
    text = str(raised.value)
    assert "To fix it, " in text
    assert "secret" not in text
    assert "test_engines.py:" in text


BAD_BINDS: dict[str, t.Any] = {
    "a list": ["reports"],
    "the default one": {"": "sqlite://", "reports": "sqlite://"},
    "nothing": {"reports": None},
    "no address": {"reports": {"pool_size": 3}},
    "another": {"logs": "sqlite://"},
}


@pytest.mark.parametrize("name", BAD_BINDS)
def test_binds_that_make_no_sense(open_shop: OpenShop, name: str) -> None:
    shop = open_shop("sqlite://", BAD_BINDS[name])
    with shop.app.app_context(), pytest.raises(SetupError, match="SQLALCHEMY_BINDS"):
        shop.sql.engine("reports")


def test_only_engines_can_be_handed_in() -> None:
    engine: t.Any = "sqlite://"
    with pytest.raises(SetupError, match="create_engine"):
        SQL(Scopes(), engine=engine)
