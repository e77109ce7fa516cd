"""A shop behind a real server and before a real database, and what a client of it
receives. For the tests of `test_served*.py`.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import http.client
import io
import socket
import sqlite3
import struct
import threading
import typing as t
import uuid
from pathlib import Path

import flask
import pymongo
import pytest
from pymongo.client_session import ClientSession
from werkzeug.serving import make_server

from flask_scopes import Scopes

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

Orders: t.TypeAlias = dict[str, int]
"""How often each thing was ordered."""

SECONDS = 10.0
"""How long to wait for what must come."""


class SQLite:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.patience = SECONDS
        """How long a transaction waits for another."""
        with contextlib.closing(self.connect()) as connection:
            connection.executescript(
                "CREATE TABLE customers (id INTEGER PRIMARY KEY);"
                "CREATE TABLE orders (name TEXT PRIMARY KEY, times INTEGER,"
                " customer REFERENCES customers DEFERRABLE INITIALLY DEFERRED)"
            )

    def connect(self, patience: float = SECONDS) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=patience)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def transaction(self) -> c.Iterator[sqlite3.Connection]:
        with contextlib.closing(self.connect(self.patience)) as connection, connection:
            yield connection

    def order(self, transaction: sqlite3.Connection, name: str) -> None:
        transaction.execute(
            "INSERT INTO orders VALUES (?, 1, NULL)"
            " ON CONFLICT (name) DO UPDATE SET times = times + 1",
            [name],
        )

    def spoil(self, transaction: sqlite3.Connection) -> None:
        """Let *transaction* fail when it is committed."""
        transaction.execute("INSERT INTO orders VALUES ('spoilt', 1, 99)")

    def rows(self) -> Orders:
        """What is committed, as another connection sees it."""
        with contextlib.closing(self.connect()) as connection:
            return dict(connection.execute("SELECT name, times FROM orders"))

    def names(self, transaction: sqlite3.Connection) -> c.Iterator[str]:
        """What was ordered, as *transaction* sees it."""
        for (name,) in transaction.execute("SELECT name FROM orders ORDER BY name"):
            yield name


class Mongo:
    """A database of its own, and another client that looks at it."""

    Document: t.TypeAlias = dict[str, t.Any]

    def __init__(self, uri: str, stack: contextlib.ExitStack) -> None:
        clients = [
            stack.enter_context(pymongo.MongoClient[Mongo.Document](uri))
            for _ in range(2)
        ]
        self.client, self.other = clients
        name = f"shop_{uuid.uuid4().hex}"
        self.orders = self.client[name].create_collection("orders")
        self.seen = self.other[name]["orders"]
        stack.callback(self.client.drop_database, name)

    def transaction(self) -> c.Iterator[ClientSession]:
        with self.client.start_session() as session, session.start_transaction():
            yield session

    def order(self, transaction: ClientSession, name: str) -> None:
        change = {"$inc": {"times": 1}}
        self.orders.update_one({"_id": name}, change, upsert=True, session=transaction)

    def spoil(self, transaction: ClientSession) -> None:
        """Let *transaction* fail when it is committed."""
        session_id = dict(transaction.session_id)
        self.other.admin.command("killSessions", [session_id])

    def rows(self) -> Orders:
        """What is committed, as another connection sees it."""
        return {each["_id"]: each["times"] for each in self.seen.find()}

    def names(self, transaction: ClientSession) -> c.Iterator[str]:
        """What was ordered, as *transaction* sees it."""
        for each in self.orders.find(session=transaction).sort("_id"):
            yield each["_id"]


Database: t.TypeAlias = SQLite | Mongo

DATABASES = ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)]


def make_database(
    request: pytest.FixtureRequest, tmp_path: Path
) -> c.Iterator[Database]:
    """A fixture, for each of ``DATABASES``."""
    if request.param == "sqlite":
        yield SQLite(tmp_path / "shop.db")
        return
    uri: str = request.getfixturevalue("mongo_uri")
    with contextlib.ExitStack() as stack:
        yield Mongo(uri, stack)


@dataclasses.dataclass
class Answer:
    """What a client received, until the server closed the connection."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    complete: bool
    """Whether the body came to its end."""

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def cookie(self) -> str:
        """What to send back as ``Cookie``."""
        cookies = self.headers.get_all("Set-Cookie", [])
        return "; ".join(each.partition(";")[0] for each in cookies)

    @classmethod
    def of(cls, received: bytes) -> t.Self:
        head, _, body = received.partition(b"\r\n\r\n")
        first, _, fields = head.partition(b"\r\n")
        headers = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
        complete = len(body) == int(headers.get("Content-Length", len(body)))
        if headers.get("Transfer-Encoding") == "chunked":
            body, complete = dechunked(body)
        return cls(int(first.split()[1]), headers, body, complete)


def dechunked(received: bytes) -> tuple[bytes, bool]:
    """A body that came in chunks, and whether the last one came."""
    body = b""
    while received:
        size, _, received = received.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return body, True
        body, received = body + received[:length], received[length + 2 :]
    return body, False


class Shop:
    """An app, and the server that it is behind; as long as a test."""

    def __init__(self, app: flask.Flask, scopes: Scopes, database: Database) -> None:
        self.app = app
        self.scopes = scopes
        self.database = database
        self.port = 0
        self.closing = contextlib.ExitStack()
        self.left: list[Orders] = []
        """What others saw in the database as each response began to leave."""
        self.ends: list[BaseException | None] = []
        """What each transaction ended with; None if it was committed."""

        @scopes.request
        def orders() -> c.Iterator[t.Any]:
            try:
                yield from database.transaction()
            except BaseException as error:
                self.ends.append(error)
                raise
            self.ends.append(None)

        self.orders = orders

    def order(self, name: str) -> None:
        """Order one more of *name*, in the transaction of this unit."""
        order: c.Callable[..., None] = self.database.order
        order(self.orders(), name)

    def spoil(self) -> None:
        """Let the transaction of this unit fail when it is committed."""
        spoil: c.Callable[..., None] = self.database.spoil
        spoil(self.orders())

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> c.Iterable[bytes]:
        """The app, for a server."""

        def start(*args: t.Any) -> t.Any:
            self.left.append(self.database.rows())
            return start_response(*args)

        return self.app(environ, start)

    def open(self) -> None:
        server = make_server("127.0.0.1", 0, self, threaded=True)
        # So that its end waits for the requests that are still being handled.
        server.daemon_threads = False  # type: ignore[attr-defined]  # of the threaded one
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.closing.callback(thread.join)
        self.closing.callback(server.shutdown)

    def close(self) -> None:
        """Wait for the end of all that is being handled. Later calls do nothing."""
        self.closing.close()

    @contextlib.contextmanager
    def connect(
        self,
        path: str,
        method: str = "GET",
        body: bytes = b"",
        chunked: bool = False,
        **headers: str,
    ) -> c.Iterator[socket.socket]:
        """Send a request, and leave the rest to the block."""
        headers["Host"] = "shop"
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
            parts = [body[at : at + 999] for at in range(0, len(body), 999)]
            body = b"".join(
                b"%x\r\n%b\r\n" % (len(each), each) for each in [*parts, b""]
            )
        else:
            headers["Content-Length"] = str(len(body))
        lines = [f"{name.replace('_', '-')}: {each}" for name, each in headers.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "\r\n"])
        with socket.create_connection(("127.0.0.1", self.port), SECONDS) as connection:
            connection.sendall(head.encode() + body)
            yield connection

    def ask(self, path: str, *args: t.Any, **kwargs: t.Any) -> Answer:
        """Send a request, and read until the server is done with it."""
        with self.connect(path, *args, **kwargs) as connection:
            # Werkzeug ends the body, then our objects, then the connection.
            return Answer.of(b"".join(iter(lambda: connection.recv(65536), b"")))


class Reader:
    """A transaction of its own that lives until the response was sent."""

    def __init__(self, shop: Shop, database: Database | None = None) -> None:
        database = database or shop.database
        self.built = 0
        self.ends: list[BaseException | None] = []
        """What each ended with; None if nothing failed."""
        self.left: list[list[Orders]] = []
        """The responses that had begun to leave by then."""
        self.ended = threading.Event()

        @shop.scopes.request(until="sent")
        def reader() -> c.Iterator[t.Any]:
            self.built += 1
            try:
                yield from database.transaction()
            except BaseException as error:
                self.ends.append(error)
                raise
            else:
                self.ends.append(None)
            finally:
                self.left.append([*shop.left])
                self.ended.set()

        self.transaction = reader
        self.names: c.Callable[[t.Any], c.Iterator[str]] = database.names


def drop(connection: socket.socket) -> None:
    """Go away at once, without a farewell."""
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def make_shop(app: flask.Flask, scopes: Scopes, database: Database) -> c.Iterator[Shop]:
    """A fixture: the shop is open."""
    shop = Shop(app, scopes, database)
    shop.open()
    try:
        yield shop
    finally:
        shop.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Who has logged errors: "shop", which is the app, or "werkzeug"."""
    return [each.name for each in caplog.records if each.levelname == "ERROR"]
