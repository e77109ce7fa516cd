"""The pages for those who come from code by hand: before, after, and both at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
import socket
import sqlite3
import typing as t
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from flask_scopes import ClosedError

from .page import Page
from .page import load
from .page import meet_as_they_connect

G = "coming-from-g"
FIRST = "coming-from-before-first-request"
ANN = {"User": "ann"}


@pytest.fixture
def notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[sqlite3.Connection]:
    """The database of the page about g, as somebody else sees it."""
    Page(G).write(tmp_path, monkeypatch)
    with contextlib.closing(
        sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    ) as connection:
        connection.executescript(
            "CREATE TABLE notes (who, text);"
            "CREATE TABLE users (name); INSERT INTO users VALUES ('ann')"
        )
        yield connection


def texts(notes: sqlite3.Connection) -> list[str]:
    return [text for (text,) in notes.execute("SELECT text FROM notes")]


def client_of(module: t.Any) -> FlaskClient:
    app = t.cast(flask.Flask, module.app)
    return app.test_client()


@pytest.mark.parametrize("name", ["before", "after"])
def test_g_before_and_after(name: str, notes: sqlite3.Connection) -> None:
    client = client_of(load(name))
    assert client.post("/notes/hello", headers=ANN).text == "written"
    assert client.post("/notes/hello").status_code == 401
    assert texts(notes) == ["hello"]


@pytest.mark.parametrize(("name", "expected"), [("before", ["x"]), ("after", [])])
def test_g_when_it_fails(
    name: str, expected: list[str], notes: sqlite3.Connection
) -> None:
    module = load(name)

    @module.app.after_request  # type: ignore[untyped-decorator]  # the module is any
    def fail(response: flask.Response) -> flask.Response:
        response.status_code = 409
        return response

    client_of(module).post("/notes/x", headers=ANN)
    assert texts(notes) == expected


@pytest.mark.parametrize("name", ["before", "after"])
def test_who_asks_is_looked_up_where_it_is_needed(
    name: str, notes: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(name)
    module.app.add_url_rule("/", view_func=lambda: "nobody asks")
    connect = sqlite3.connect
    opened: list[str] = []

    def note(path: str) -> sqlite3.Connection:
        opened.append(path)
        return connect(path)

    monkeypatch.setattr(sqlite3, "connect", note)
    client_of(module).get("/")
    assert len(opened) == {"before": 1, "after": 0}[name]


@pytest.mark.usefixtures("notes")
def test_teardown_functions_come_too_late() -> None:
    after = load("after")
    seen: list[type[BaseException]] = []

    @after.app.teardown_appcontext  # type: ignore[untyped-decorator]  # the module is any
    def late(error: BaseException | None) -> None:
        with pytest.raises(ClosedError) as caught:
            after.db()
        seen.append(caught.type)

    client_of(after).post("/notes/hello", headers=ANN)
    assert seen == [ClosedError]


def test_g_side_by_side(notes: sqlite3.Connection) -> None:
    both = load("both")

    @both.app.post("/late")  # type: ignore[untyped-decorator]  # the module is any
    def committed_by_hand() -> t.NoReturn:
        both.old_db.execute("INSERT INTO notes VALUES ('old', 'c')")
        both.old_db.commit()
        both.old_db.execute("INSERT INTO notes VALUES ('old', 'd')")
        flask.abort(404)

    assert client_of(both).post("/old/a").text == "written"
    assert client_of(both).post("/notes/b", headers=ANN).text == "written"
    assert texts(notes) == ["a", "a", "b"]
    client_of(both).post("/late")
    assert texts(notes) == ["a", "a", "b", "c"]


@pytest.fixture
def listening(tmp_path: Path) -> t.Iterator[socket.socket]:
    """The stock: who connects is let in, and nothing is said."""
    (tmp_path / "prices.json").write_text(json.dumps({"tea": 3}))
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture(params=["before", "after", "both"])
def first(
    request: pytest.FixtureRequest,
    listening: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> t.Iterator[t.Any]:
    """A module of the page about the first request, with all that it has opened."""
    Page(FIRST).write(tmp_path, monkeypatch)
    module = load(request.param)
    module.app.config.update(STOCK=listening.getsockname(), PRICES="prices.json")
    module.opened = []
    connect = socket.create_connection

    def note(address: tuple[str, int]) -> socket.socket:
        module.opened.append(connect(address))
        return t.cast(socket.socket, module.opened[-1])

    monkeypatch.setattr(socket, "create_connection", note)
    yield module
    if "scopes" in module.app.extensions:
        load("after").scopes.close(module.app)
    for opened in module.opened:
        opened.close()


def test_the_prices(first: t.Any) -> None:
    assert client_of(first).get("/prices/tea").text == "3"
    if hasattr(first.app, "stock") and "scopes" in first.app.extensions:
        assert client_of(first).get("/old/tea").text == "3"
        with first.app.app_context():
            assert first.app.stock.getsockname() == first.stock().getsockname()


def test_it_was_removed() -> None:
    assert not hasattr(flask.Flask, "before_first_request")


@pytest.mark.parametrize("first", ["before", "after"], indirect=True)
@pytest.mark.parametrize("flag", ["first", "last"])
def test_two_that_are_first(
    first: t.Any, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand = "scopes" not in first.app.extensions
    if by_hand and flag == "last":
        set_last(first)
    elif not by_hand:
        # It is the eager one that all wait for; let it need the other one.
        first.app.before_request(lambda: first.stock() and None)
    meet_as_they_connect(monkeypatch)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(client_of(first).get, "/prices/tea") for _ in "ab"]
    statuses = sorted(each.result().status_code for each in asked)
    if by_hand and flag == "first":
        assert statuses == [200, 500]
    else:
        assert statuses == [200, 200]
    assert len(first.opened) == (2 if by_hand and flag == "last" else 1)


def set_last(module: t.Any) -> None:
    """Let the page's function set its flag when all is done."""
    (code,) = re.findall(
        r"    if not .*?\n\n", Page(FIRST).modules()["before.py"], re.S
    )
    flag = "        app.is_prepared = True\n"
    body = f"def prepare():\n{code.replace(flag, '').rstrip()}\n{flag}"
    exec(body, vars(module))
    module.app.before_request_funcs[None] = [module.prepare]


@pytest.mark.parametrize("first", ["before", "after"], indirect=True)
def test_a_stock_that_is_away_for_a_moment(first: t.Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        nobody = gone.getsockname()
    there, first.app.config["STOCK"] = first.app.config["STOCK"], nobody
    by_hand = "scopes" not in first.app.extensions
    if not by_hand:
        first.app.before_request(lambda: first.stock() and None)
    assert client_of(first).get("/prices/tea").status_code == 500
    first.app.config["STOCK"] = there
    again = client_of(first).get("/prices/tea").status_code
    assert again == (500 if by_hand else 200)


@pytest.mark.parametrize("first", ["after"], indirect=True)
def test_the_eager_one_is_there_before_the_first_view(
    first: t.Any, tmp_path: Path
) -> None:
    @first.app.get("/")  # type: ignore[untyped-decorator]  # the module is any
    def index() -> str:
        (tmp_path / "prices.json").unlink()
        return str(first.prices()["tea"])

    assert client_of(first).get("/").text == "3"
    assert first.opened == []


@pytest.mark.parametrize("first", ["after"], indirect=True)
def test_the_command(first: t.Any) -> None:
    load("command")
    assert first.app.test_cli_runner().invoke(args=["prepare"]).output == "1 prices\n"


@pytest.mark.parametrize("name", [G, FIRST])
def test_the_pages_are_in_order(name: str) -> None:
    Page(name).check()
