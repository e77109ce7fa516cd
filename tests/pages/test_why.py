"""What the page "Why" says goes wrong by hand does, and does not with resources."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import logging
import os
import re
import socket
import sqlite3
import typing as t
from pathlib import Path

import pytest

from flask_scopes import CommitFailed

from ..test_forks import in_child
from .page import Page
from .page import load
from .page import meet_as_they_connect

BY_HAND, HERE = "by_hand", "shop"


@pytest.fixture
def page() -> Page:
    return Page("why")


@pytest.fixture
def server() -> c.Iterator[socket.socket]:
    """The stock: who connects is let in, and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def database(tmp_path: Path) -> c.Iterator[sqlite3.Connection]:
    with contextlib.closing(
        sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    ) as connection:
        connection.executescript("CREATE TABLE orders (item); CREATE TABLE log (line)")
        yield connection


@pytest.fixture(params=[BY_HAND, HERE])
def shop(
    request: pytest.FixtureRequest,
    page: Page,
    server: socket.socket,
    database: sqlite3.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> c.Iterator[t.Any]:
    """The module; as `kind`, which of the two it is; and all that it has opened."""
    page.write(tmp_path, monkeypatch)
    module = load(request.param)
    module.kind = request.param
    module.app.config.update(STOCK=server.getsockname(), DATABASE=tmp_path / "shop.db")
    module.databases = note_calls(monkeypatch, sqlite3, "connect")
    module.stocks = note_calls(monkeypatch, socket, "create_connection")
    yield module
    if module.kind == HERE:
        module.scopes.close(module.app)
    for opened in module.databases + module.stocks:
        opened.close()


def note_calls(
    monkeypatch: pytest.MonkeyPatch, module: t.Any, name: str
) -> list[t.Any]:
    """What calling this function of *module* gives from now on."""
    original = getattr(module, name)
    given: list[t.Any] = []

    def call(*args: t.Any, **options: t.Any) -> t.Any:
        given.append(original(*args, **options))
        return given[-1]

    monkeypatch.setattr(module, name, call)
    return given


@pytest.fixture
def says(shop: t.Any, page: Page) -> c.Callable[[str], str]:
    """The cell of the page's table for the shop at hand."""
    cells = {row[0]: row[1:] for row in page.rows()}
    return lambda row: cells[row][shop.kind == HERE]


def rows(database: sqlite3.Connection, table: str) -> int:
    (number,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def test_an_abort(
    shop: t.Any, database: sqlite3.Connection, says: c.Callable[[str], str]
) -> None:
    assert shop.app.test_client().post("/orders/unicorn").status_code == 404
    expected = {"committed": 1, "rolled back": 0}[says("`abort(404)` after a write")]
    assert rows(database, "orders") == expected


@pytest.fixture
def locked(database: sqlite3.Connection) -> c.Iterator[None]:
    """A reader holds up the commit of other connections, and only that."""
    database.execute("BEGIN").execute("SELECT * FROM orders").fetchall()
    yield
    database.execute("COMMIT")


@pytest.mark.usefixtures("locked")
def test_a_commit_that_fails(
    shop: t.Any, says: c.Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[type[Exception]] = []
    started: list[str] = []
    later: list[str] = []

    def note(error: Exception) -> tuple[str, int]:
        handled.append(type(error))
        return "not kept", 503

    shop.app.register_error_handler(Exception, note)
    # They are called from the last to the first: after all that the page has.
    shop.app.teardown_appcontext_funcs.insert(0, lambda error: later.append("ran"))
    environ = shop.app.test_request_context(
        "/orders/tea", method="POST"
    ).request.environ
    cell = says("the commit fails")
    with caplog.at_level(logging.INFO):
        if shop.kind == BY_HAND:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                shop.app.wsgi_app(environ, lambda status, *rest: started.append(status))
            assert cell == "the error leaves the app, unlogged"
            assert (started, handled, later) == (["200 OK"], [], [])
            assert not caplog.records
            # It is open: closed, it would refuse.
            assert shop.databases[0].in_transaction
        else:
            shop.app.wsgi_app(environ, lambda status, *rest: started.append(status))
            assert cell == "a 500, or what `@app.errorhandler(CommitFailed)` says"
            assert started == ["503 SERVICE UNAVAILABLE"]
            assert (handled, later) == ([CommitFailed], ["ran"])


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("shop", [HERE], indirect=True)
def test_without_an_error_handler_it_is_a_500(shop: t.Any) -> None:
    assert shop.app.test_client().post("/orders/tea").status_code == 500


def test_the_log_is_kept_with_the_order(
    shop: t.Any, database: sqlite3.Connection, says: c.Callable[[str], str]
) -> None:
    assert shop.app.test_client().post("/orders/tea").text == "ordered"
    assert rows(database, "orders") == 1
    kept = says("the log is written, then the database committed")
    assert rows(database, "log") == {"yes": 1, "no": 0}[kept]
    assert len(shop.databases) == {"yes": 1, "no": 2}[kept]


def stock(shop: t.Any) -> t.Any:
    with shop.app.app_context():
        found = shop.stock() if shop.kind == HERE else shop.get_stock()
        return found.getsockname()


@pytest.mark.filterwarnings("ignore::flask_scopes.ForkWarning")
# Python 3.12 warns about any fork of a process with threads: it is meant.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_fork(shop: t.Any, says: c.Callable[[str], str]) -> None:
    own = stock(shop)
    assert stock(shop) == own
    same = in_child(lambda: stock(shop)) == str(own)
    said = says("a forked process uses the application's connection")
    assert said == ("its parent's" if same else "its own")


def test_two_threads(
    shop: t.Any, says: c.Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    meet_as_they_connect(monkeypatch)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        found = set(threads.map(stock, [shop, shop]))
    said = says("two threads ask for it first")
    assert said == {1: "one is opened", 2: "two are opened"}[len(shop.stocks)]
    assert len(found) == len(shop.stocks)


def test_the_cart(shop: t.Any, says: c.Callable[[str], str]) -> None:
    client = shop.app.test_client()
    client.post("/orders/tea")
    client.post("/orders/milk")
    said = says("a second item is put into the cart")
    assert (
        client.get("/cart").json
        == {
            "saved": ["tea", "milk"],
            "lost": ["tea"],
        }[said]
    )


def test_requests_inside_of_one_app_context(
    shop: t.Any, says: c.Callable[[str], str]
) -> None:
    with shop.app.app_context():
        shop.app.test_client().post("/orders/tea")
        shop.app.test_client().post("/orders/milk")
        opened = len(shop.databases)
    said = says("two requests inside of one `app.app_context()`")
    assert said == {1: "one connection", 2: "two connections"}[opened]


def test_each_row_of_the_table_has_a_test(page: Page) -> None:
    said = set(re.findall(r"says\(\s*(['\"])(.*?)\1\)", Path(__file__).read_text()))
    assert {row[0] for row in page.rows()} == {row for _, row in said}


def test_the_page_is_in_order(page: Page) -> None:
    page.check()
