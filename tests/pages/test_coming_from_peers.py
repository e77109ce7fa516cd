"""The pages for those who come from svcs and dishka: before, after, both at once."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sqlite3
import typing as t
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from flask_scopes import ClosedError

from .page import Page
from .page import load

PEERS = ["coming-from-svcs", "coming-from-dishka"]


@pytest.fixture
def database(tmp_path: Path) -> t.Iterator[sqlite3.Connection]:
    """The shop's, as somebody else sees it."""
    with contextlib.closing(
        sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    ) as connection:
        connection.executescript(
            "CREATE TABLE orders (item); CREATE TABLE notes (who, text);"
            "CREATE TABLE users (name); INSERT INTO users VALUES ('ann')"
        )
        yield connection


@pytest.fixture(params=PEERS)
def peer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The name of the page, whose modules are there."""
    Page(request.param).write(tmp_path, monkeypatch)
    return str(request.param)


def client_of(module: t.Any) -> FlaskClient:
    app = t.cast(flask.Flask, module.app)
    return app.test_client()


def items(database: sqlite3.Connection) -> list[str]:
    return [item for (item,) in database.execute("SELECT item FROM orders")]


@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize("name", ["before", "after"])
def test_a_view_that_raised(name: str, database: sqlite3.Connection) -> None:
    client = client_of(load(name))
    assert client.post("/orders/tea").text == "ordered"
    assert items(database) == ["tea"]
    assert client.post("/orders/unicorn").status_code == 500
    kept = {"before": ["tea", "unicorn"], "after": ["tea"]}
    assert items(database) == kept[name]


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_commit_that_fails(
    peer: str,
    name: str,
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connect = sqlite3.connect
    opened: list[sqlite3.Connection] = []

    def impatient(path: str) -> sqlite3.Connection:
        opened.append(connect(path, timeout=0))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", impatient)
    client = client_of(load(name))
    # A reader holds up the commit of another connection, and only that.
    database.execute("BEGIN").execute("SELECT * FROM orders").fetchall()
    if name == "after":
        assert client.post("/orders/tea").status_code == 500
    elif peer == "coming-from-dishka":
        with pytest.raises(ExceptionGroup):
            client.post("/orders/tea")
    else:
        with caplog.at_level(logging.WARNING):
            assert client.post("/orders/tea").text == "ordered"
        assert "svcs" in {record.name for record in caplog.records}
    database.execute("COMMIT")
    for connection in opened:
        connection.close()
    assert items(database) == []


@pytest.mark.usefixtures("peer")
def test_both_in_one_transaction(database: sqlite3.Connection) -> None:
    both = load("both")
    statuses = [200]

    @both.app.after_request  # type: ignore[untyped-decorator]  # the module is any
    def answer(response: flask.Response) -> flask.Response:
        response.status_code = statuses[-1]
        return response

    client = client_of(both)
    assert client.post("/old/tea").text == "ordered"
    assert items(database) == ["tea", "tea"]
    statuses.append(409)
    client.post("/old/milk")
    assert items(database) == ["tea", "tea"]


@pytest.mark.usefixtures("peer", "database")
@pytest.mark.parametrize("name", ["before", "after"])
def test_requests_inside_of_one_app_context(
    peer: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    opened: list[sqlite3.Connection] = []

    def note(path: str) -> sqlite3.Connection:
        opened.append(connect(path))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", note)
    module = load(name)
    with module.app.app_context():
        client_of(module).post("/orders/tea")
        client_of(module).post("/orders/milk")
        shared = name == "before" and peer == "coming-from-svcs"
        assert len(opened) == (1 if shared else 2)
    for connection in opened:
        connection.close()


@pytest.mark.usefixtures("database")
def test_svcs_and_resources_use_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Page("coming-from-svcs").write(tmp_path, monkeypatch)
    both: t.Any = load("both")
    svcs: t.Any = importlib.import_module("svcs.flask")
    ended: list[type[BaseException]] = []

    def theirs() -> t.Iterator[str]:
        assert both.db()
        yield "theirs"
        with pytest.raises(ClosedError) as caught:
            both.db()
        ended.append(caught.type)

    svcs.register_factory(both.app, str, theirs)

    @load("after").scopes.request  # type: ignore[untyped-decorator]  # the module is any
    def ours() -> str:
        return f"ours of {svcs.get(str)}"

    both.app.add_url_rule("/", view_func=lambda: ours())
    assert client_of(both).get("/").text == "ours of theirs"
    assert ended == [ClosedError]


def test_svcs_enters_what_a_factory_returns() -> None:
    svcs: t.Any = importlib.import_module("svcs.flask")
    app = flask.Flask("shop")
    svcs.init_app(app)
    file = io.StringIO("entered")
    svcs.register_factory(app, io.StringIO, lambda: contextlib.closing(file))
    with app.app_context():
        assert svcs.get(io.StringIO) is file
    assert file.closed


@pytest.mark.usefixtures("database")
def test_dishka_and_resources_use_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Page("coming-from-dishka").write(tmp_path, monkeypatch)
    after: t.Any = load("after")
    dishka: t.Any = importlib.import_module("dishka")
    setup: t.Any = importlib.import_module("dishka.integrations.flask")
    ended: list[type[BaseException]] = []

    def theirs() -> t.Iterator[str]:
        assert after.db()
        yield "theirs"
        with pytest.raises(ClosedError) as caught:
            after.db()
        ended.append(caught.type)

    provider = dishka.Provider()
    provider.provide(theirs, scope=dishka.Scope.REQUEST)

    @after.scopes.request  # type: ignore[untyped-decorator]  # the module is any
    def ours() -> str:
        return f"ours of {flask.g.dishka_container.get(str)}"

    after.app.add_url_rule("/", view_func=lambda: ours())
    setup.setup_dishka(dishka.make_container(provider), after.app)
    assert client_of(after).get("/").text == "ours of theirs"
    assert ended == [ClosedError]


def test_dishka_in_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Page("coming-from-dishka").write(tmp_path, monkeypatch)
    before: t.Any = load("before")
    with before.app.app_context(), pytest.raises(AttributeError, match="dishka"):
        before.order("tea")
    after: t.Any = load("after")
    with after.app.app_context():
        assert after.stock().items == {"tea", "milk"}
    assert len(importlib.import_module("dishka").Scope) == 6


def test_the_commands_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Page("coming-from-dishka").write(tmp_path, monkeypatch)
    runner = load("after").app.test_cli_runner()
    drawn = runner.invoke(args=["scopes", "graph", "--format", "mermaid"])
    assert drawn.exit_code == 0
    assert "stock" in drawn.output
    assert runner.invoke(args=["scopes", "check"]).exit_code == 0


@pytest.mark.parametrize("name", PEERS)
def test_the_pages_are_in_order(name: str) -> None:
    Page(name).check()
