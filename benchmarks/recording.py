"""What it costs to be looked at: one process, one run.

    python benchmarks/recording.py

A request that builds three objects and uses each ten times goes through one app, in
turns: with nobody listening, with a receiver of a signal, and with the inspector on.
Then the inspector's own pages are asked for. The median over the rounds is printed.
"""

from __future__ import annotations

import collections.abc as c
import gzip
import platform
import statistics
import sys
import time
import timeit
import typing as t

import flask

from flask_scopes import Scopes
from flask_scopes import events
from flask_scopes.signals import resource_built

ROUNDS = 41
REQUESTS = 50
CALLS = 20_000


class Shop(t.NamedTuple):
    app: flask.Flask
    warm: c.Callable[[], object]


def make_shop(*, inspector: bool) -> Shop:
    app = flask.Flask(__name__)
    app.debug = inspector
    app.config["SCOPES_INSPECTOR"] = inspector
    scopes = Scopes(app)

    @scopes.application
    def engine() -> object:
        return object()

    @scopes.request
    def session() -> c.Iterator[object]:
        engine()
        yield object()

    @scopes.request
    def orders() -> object:
        session()
        return object()

    @scopes.request
    def account() -> object:
        session()
        return object()

    @app.get("/")
    def view() -> str:
        for _ in range(10):
            orders(), account(), session()
        return "ordered"

    return Shop(app, session)


def receive(sender: object, event: object) -> None: ...


def requests(shop: Shop) -> float:
    """Seconds for one request."""
    client = shop.app.test_client()
    client.get("/")
    return timeit.timeit(lambda: client.get("/"), number=REQUESTS) / REQUESTS


def warm_calls(shop: Shop) -> float:
    with shop.app.test_request_context():
        shop.warm()
        return timeit.timeit(shop.warm, number=CALLS) / CALLS


def main() -> None:
    plain, watched = make_shop(inspector=False), make_shop(inspector=True)
    ways = {"nobody listens": [], "a signal is received": [], "the inspector is on": []}
    costs: dict[str, list[tuple[float, float]]] = dict(ways)
    for _ in range(ROUNDS):
        costs["nobody listens"].append((requests(plain), warm_calls(plain)))
        with resource_built.connected_to(receive):
            costs["a signal is received"].append((requests(plain), warm_calls(plain)))
        events.everywhere.clear()
        costs["the inspector is on"].append((requests(watched), warm_calls(watched)))
    write(f"Python {platform.python_version()}, Flask-Scopes' events")
    base = statistics.median(took for took, _ in costs["nobody listens"])
    for name, times in costs.items():
        request = statistics.median(took for took, _ in times)
        warm = statistics.median(took for _, took in times)
        write(
            f"    {name:<22}{request * 1e6:7.0f} us a request ({request / base:.2f}),"
            f"{warm * 1e9:7.0f} ns a warm call"
        )
    pages(watched)


def pages(shop: Shop) -> None:
    client = shop.app.test_client()
    at = client.get("/").headers["X-Scopes"].removeprefix("http://localhost")
    for path in (at, "/_scopes/", "/_scopes/resources", "/_scopes/graph"):
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            page = client.get(path)
            times.append(time.perf_counter() - began)
        size, packed = len(page.data), len(gzip.compress(page.data))
        shown = "/_scopes/requests/..." if path == at else path
        write(
            f"    {shown:<22}{statistics.median(times) * 1e3:5.1f} ms,"
            f" {size / 1e3:.1f} kB, {packed / 1e3:.1f} kB gzipped"
        )


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
