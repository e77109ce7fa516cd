"""The hot path beside others: one process, one run, interleaved, as ratios.

    python benchmarks/hot_path.py

after ``pip install --group bench``. Machines are noisy, so all contenders take
turns in every round, and what is printed is the median over the rounds; compare
figures within one run only. Times are CPU time of the thread.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import gc
import platform
import statistics
import sys
import time
import typing as t
from importlib.metadata import version

import dishka
import dishka.integrations.flask
import flask
import svcs.flask
import wireup
import wireup.integration.flask
from werkzeug.test import EnvironBuilder

from flask_scopes import Scopes

ROUNDS = 41
CALLS = 20_000
REQUESTS = 60


class Client:
    """Lives as long as the application."""


class Session:
    """Lives for one request, and is closed at its end."""

    closed = 0

    def close(self) -> None:
        Session.closed += 1


@dataclasses.dataclass
class Contender:
    """One way to do it: an app, and how code in a view gets at the objects."""

    name: str
    app: flask.Flask
    client: c.Callable[[], Client]
    session: c.Callable[[], Session]


def with_cache() -> Contender:
    """The floor: no lifetimes at all."""
    return Contender(
        "functools.cache",
        flask.Flask("cache"),
        functools.cache(Client),
        functools.cache(Session),
    )


def with_g() -> Contender:
    """As in Flask's documentation."""
    app = flask.Flask("g")
    app.extensions["client"] = Client()

    def client() -> Client:
        return t.cast(Client, flask.current_app.extensions["client"])

    def session() -> Session:
        if "session" not in flask.g:
            flask.g.session = Session()
        return t.cast(Session, flask.g.session)

    @app.teardown_appcontext
    def close(error: BaseException | None) -> None:
        opened = flask.g.pop("session", None)
        if opened is not None:
            opened.close()

    return Contender("flask.g by hand", app, client, session)


def make_session() -> c.Iterator[Session]:
    session = Session()
    try:
        yield session
    finally:
        session.close()


def with_svcs() -> Contender:
    app = svcs.flask.init_app(flask.Flask("svcs"))
    svcs.flask.register_value(app, Client, Client())
    svcs.flask.register_factory(app, Session, make_session)
    return Contender(
        f"svcs {version('svcs')}",
        app,
        lambda: svcs.flask.get(Client),
        lambda: svcs.flask.get(Session),
    )


def with_dishka() -> Contender:
    app = flask.Flask("dishka")
    provider = dishka.Provider()
    provider.provide(Client, scope=dishka.Scope.APP)
    provider.provide(make_session, scope=dishka.Scope.REQUEST)
    container = dishka.make_container(provider)
    dishka.integrations.flask.setup_dishka(container=container, app=app)
    return Contender(
        f"dishka {version('dishka')}",
        app,
        lambda: t.cast(Client, flask.g.dishka_container.get(Client)),
        lambda: t.cast(Session, flask.g.dishka_container.get(Session)),
    )


def with_wireup() -> Contender:
    app = flask.Flask("wireup")
    client = wireup.injectable(Client)
    session = wireup.injectable(make_session, lifetime="scoped")
    container = wireup.create_sync_container(injectables=[client, session])
    get = wireup.integration.flask.get_request_container
    contender = Contender(
        f"wireup {version('wireup')}",
        app,
        lambda: get().get(Client),
        lambda: get().get(Session),
    )
    add_views(contender)
    wireup.integration.flask.setup(container, app)
    return contender


def with_scopes() -> Contender:
    scopes = Scopes()
    app = flask.Flask("scopes")
    scopes.init_app(app)
    return Contender(
        "Flask-Scopes", app, scopes.application(Client), scopes.request(make_session)
    )


def add_views(contender: Contender) -> None:
    app, client, session = contender.app, contender.client, contender.session
    if not app.view_functions.get("empty"):
        app.add_url_rule("/empty", "empty", lambda: "ok")
        app.add_url_rule("/one", "one", lambda: session() and "ok")
        app.add_url_rule("/same", "same", lambda: str(session() is session()))
        app.add_url_rule("/client", "client", lambda: str(id(client())))


def request(app: flask.Flask, path: str) -> bytes:
    body = app.wsgi_app(
        EnvironBuilder(path).get_environ(), lambda *args: lambda data: None
    )
    try:
        return b"".join(body)
    finally:
        body.close()  # type: ignore[attr-defined]  # a werkzeug.wsgi.ClosingIterator


def check(contender: Contender) -> None:
    """Nobody is timed who does not do the work."""
    before = Session.closed
    assert request(contender.app, "/same") == b"True", contender.name
    assert request(contender.app, "/client") == request(contender.app, "/client")
    if contender.name != "functools.cache":
        assert Session.closed == before + 1, contender.name


def call_time(call: c.Callable[[], object]) -> float:
    calls = [None] * CALLS
    start = time.thread_time_ns()
    for _ in calls:
        call()
    middle = time.thread_time_ns()
    for _ in calls:
        pass
    return (2 * middle - start - time.thread_time_ns()) / CALLS


def request_time(app: flask.Flask, path: str) -> float:
    environ = EnvironBuilder(path).get_environ()
    start = time.thread_time_ns()
    for _ in range(REQUESTS):
        body = app.wsgi_app(dict(environ), lambda *args: lambda data: None)
        b"".join(body)
        body.close()  # type: ignore[attr-defined]  # a werkzeug.wsgi.ClosingIterator
    return (time.thread_time_ns() - start) / REQUESTS


def measure(contender: Contender) -> dict[str, float]:
    with contender.app.test_request_context():
        contender.app.preprocess_request()
        contender.client(), contender.session()
        figures = {
            "application, ns": call_time(contender.client),
            "request, ns": call_time(contender.session),
        }
    figures["empty request, us"] = request_time(contender.app, "/empty") / 1000
    figures["with one object, us"] = request_time(contender.app, "/one") / 1000
    return figures


def main() -> None:
    makers = [with_cache, with_g, with_svcs, with_dishka, with_wireup, with_scopes]
    contenders = [make() for make in makers]
    for contender in contenders:
        add_views(contender)
        check(contender)
    gc.collect()
    gc.freeze()
    gc.disable()
    rounds: dict[str, list[dict[str, float]]] = {each.name: [] for each in contenders}
    for number in range(ROUNDS):
        turn = number % len(contenders)
        for contender in contenders[turn:] + contenders[:turn]:
            rounds[contender.name].append(measure(contender))
        gc.collect()
    report(rounds)


def report(rounds: dict[str, list[dict[str, float]]]) -> None:
    """Medians, and in brackets the median ratio to the first within a round."""
    floor = rounds["functools.cache"]
    write = sys.stdout.write
    write(
        f"CPython {platform.python_version()}, Flask {version('flask')},"
        f" {ROUNDS} rounds; in brackets: times the first row\n\n"
    )
    columns = list(floor[0])
    write(" " * 18 + "".join(f"{column:>24}" for column in columns) + "\n")
    for name, figures in rounds.items():
        write(f"{name:<18}")
        for column in columns:
            values = [figure[column] for figure in figures]
            ratios = [
                figure[column] / base[column]
                for figure, base in zip(figures, floor, strict=True)
            ]
            ratio = f"({statistics.median(ratios):.2f})"
            write(f"{statistics.median(values):>14.1f}{ratio:>10}")
        write("\n")


if __name__ == "__main__":
    main()
