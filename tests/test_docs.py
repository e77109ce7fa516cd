"""What "How a request ends" shows and says is run."""

from __future__ import annotations

import functools
import importlib
import pathlib
import re
import sqlite3
import sys
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "how-a-request-ends.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture
def shop(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The page's blocks, one after the other, as one module."""
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text("\n".join(blocks()))
    module: t.Any = importlib.import_module("shop")
    module.mails = []
    module.send_mail = module.mails.append
    return module


@pytest.fixture
def database(shop: t.Any) -> t.Iterator[sqlite3.Connection]:
    connection = sqlite3.connect("shop.db", isolation_level=None)
    connection.execute("CREATE TABLE orders (item)")
    connection.execute("CREATE TABLE attempts (number INTEGER PRIMARY KEY)")
    yield connection
    connection.close()


@pytest.fixture
def client(shop: t.Any) -> Client:
    return t.cast(Client, shop.app.test_client())


def count(database: sqlite3.Connection, table: str) -> int:
    (number,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(number)


def test_orders(client: Client, database: sqlite3.Connection) -> None:
    assert client.post("/orders/apple").text == "ordered"
    assert client.post("/orders/unicorn").status_code == 404
    assert count(database, "orders") == 1


def test_commit_on(client: Client, database: sqlite3.Connection) -> None:
    assert client.post("/sign-in").status_code == 401
    assert count(database, "attempts") == 1


def test_a_unit_and_after_commit(
    shop: t.Any, client: Client, database: sqlite3.Connection
) -> None:
    assert client.post("/checkout/unicorn").status_code == 409
    assert client.post("/checkout/apple").text == "thank you"
    assert count(database, "attempts") == 2
    assert count(database, "orders") == 1
    assert shop.mails == ["apple"]


def test_the_export(client: Client, database: sqlite3.Connection) -> None:
    database.executemany("INSERT INTO orders VALUES (?)", [["a"], ["b"]])
    assert client.get("/orders.csv").text == "a\nb\n"


def test_a_commit_that_fails(
    shop: t.Any,
    client: Client,
    database: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A reader holds up the commit of another connection, and only that.
    database.execute("BEGIN").execute("SELECT * FROM orders").fetchall()
    impatient = functools.partial(sqlite3.connect, timeout=0)
    monkeypatch.setattr(shop.sqlite3, "connect", impatient)

    response = client.post("/orders/apple")
    database.execute("COMMIT")

    assert response.status_code == 503
    assert response.text == "Nothing was kept. Please try again."
    assert count(database, "orders") == 0


def test_a_retry(client: Client, database: sqlite3.Connection) -> None:
    assert client.post("/restock/apple").text == "restocked"
    assert count(database, "orders") == 1


def test_a_message_of_an_error_handler(
    shop: t.Any, client: Client, database: sqlite3.Connection
) -> None:
    @shop.app.post("/secret")  # type: ignore[untyped-decorator]  # the module is any
    def secret() -> t.NoReturn:
        shop.orders().execute("INSERT INTO orders VALUES ('x')")
        flask.session["half"] = "done"
        flask.abort(403)

    assert client.post("/secret").location == "/"
    with client.session_transaction() as session:
        assert dict(session) == {"_flashes": [("message", "This is not for you.")]}
    assert count(database, "orders") == 0


ROWS: dict[str, t.Callable[[t.Any], t.Any]] = {
    "returns a status below 400": lambda shop: "ok",
    "returns or raises a redirect": lambda shop: flask.abort(flask.redirect("/")),
    "returns a status of 400 or above": lambda shop: ("no", 400),
    "calls `abort(404)`, or any from 400 on": lambda shop: flask.abort(404),
    "raises an exception that an error handler turns into a response": (
        lambda shop: [][0]
    ),
    "raises an exception that nobody handles": lambda shop: 1 / 0,
    'called `scopes.doom("a reason")`': lambda shop: shop.scopes.doom("why") or "ok",
}


def test_the_table_of_what_counts_as_failure(
    shop: t.Any, client: Client, database: sqlite3.Connection
) -> None:
    rows = re.findall(r"^\| (.+?) \| (succeeds|fails)", PAGE.read_text(), re.M)
    assert [row for row, _ in rows] == list(ROWS)
    shop.app.register_error_handler(LookupError, lambda error: "handled")
    for number, row in enumerate(ROWS):

        def view(row: str = row) -> t.Any:
            shop.orders().execute("INSERT INTO orders VALUES ('x')")
            return ROWS[row](shop)

        shop.app.add_url_rule(f"/row/{number}", f"row{number}", view)
    for number, (row, end) in enumerate(rows):
        database.execute("DELETE FROM orders")
        client.get(f"/row/{number}")
        assert count(database, "orders") == (end == "succeeds"), row


def test_the_page_says_what_the_code_does() -> None:
    text = PAGE.read_text()
    for block in blocks():
        assert max(map(len, block.splitlines())) <= 92
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (PAGE.parent / link).exists(), link
