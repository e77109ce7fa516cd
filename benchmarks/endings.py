"""How requests end, beside others: what the client sees, and what was saved.

    python benchmarks/endings.py

after ``pip install --group bench``. Each request has a server, a client and an SQLite
file to itself. The views are the same for all; how they come by a connection is what
the documentation of each library shows for Flask. ``-v``: with what is logged.
"""

import collections.abc as c
import contextlib
import faulthandler
import http.client
import logging
import sqlite3
import sys
import tempfile
import threading
import typing as t
from importlib.metadata import version

import dishka.integrations.flask
import flask
import svcs.flask
import wireup.integration.flask
from werkzeug.serving import make_server

from flask_scopes import Scopes

RETURNED = ("ok", "returned 422", "doom", "failed commit")
RAISED = ("unhandled error", "handled, 409", "handled, 200", "abort(404)")
STREAMED = ("stream", "stream, error", "stream, client leaves", "stream, failed commit")
ENDINGS = RETURNED + RAISED + STREAMED
SCHEMA = """CREATE TABLE entry (id INTEGER PRIMARY KEY,
    parent REFERENCES entry DEFERRABLE INITIALLY DEFERRED)"""

Connection = sqlite3.Connection
Get = c.Callable[[], Connection]
Answer = str | tuple[str, int] | flask.Response
View = c.Callable[[Get, str], Answer]
Wrap = c.Callable[[View], c.Callable[..., Answer]]  # tells it how to get one
scopes = Scopes()


class Refused(Exception):
    """An error handler answers with this status."""


def connect() -> Connection:
    connection = sqlite3.connect(flask.current_app.config["DATABASE"])
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def transaction() -> c.Iterator[Connection]:
    """Commits or rolls back. A form that the documentation of each but dishka has."""
    with contextlib.closing(connect()) as connection, connection:
        yield connection


def save(connection: Connection, parent: int | None = None) -> None:
    connection.execute("INSERT INTO entry (parent) VALUES (?)", [parent])


def count(connection: Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM entry").fetchone()[0])


def whole(get: Get, ending: str) -> Answer:
    flask.session["changed"] = True
    save(get())
    match ending:
        case "returned 422":
            return "refused", 422
        case "doom":
            scopes.doom("For the table.")
        case "failed commit":
            save(get(), parent=99)  # Nobody misses it until COMMIT looks.
        case "unhandled error":
            raise ZeroDivisionError
        case "handled, 409" | "handled, 200":
            raise Refused(int(ending[-3:]))
        case "abort(404)":
            flask.abort(404)
    return "saved"


def streamed(get: Get, ending: str) -> Answer:
    def body() -> c.Iterator[str]:
        save(get())
        yield f"{count(get())} row"
        match ending:
            case "stream, error":
                raise ZeroDivisionError
            case "stream, client leaves":
                # More than fits in between, and yet not without end.
                yield from ["." * 65_536] * 1000
            case "stream, failed commit":
                save(get(), parent=99)
        yield f"{count(get())} in the end"

    flask.session["changed"] = True
    return flask.Response(flask.stream_with_context(body()))


def add_views(app: flask.Flask, wrap: Wrap, wrap_streamed: Wrap) -> flask.Flask:
    app.secret_key = "a key for the table"
    app.add_url_rule("/whole/<ending>", "whole", wrap(whole))
    app.add_url_rule("/streamed/<ending>", "streamed", wrap_streamed(streamed))
    app.register_error_handler(Refused, lambda error: ("refused", error.args[0]))
    app.register_error_handler(500, lambda error: ("a page of the app", 500))
    return app


def calling(get: Get) -> Wrap:
    return lambda view: lambda ending: view(get, ending)


def injecting(marker: t.Any) -> Wrap:
    def wrap(view: View) -> c.Callable[..., Answer]:
        # Evaluated here: so there is no `from __future__ import annotations`.
        def injected(ending: str, connection: marker) -> Answer:
            return view(lambda: connection, ending)

        return injected

    return wrap


def with_scopes() -> flask.Flask:
    app = flask.Flask("Flask-Scopes")
    scopes.init_app(app)
    finished = scopes.request(transaction)
    sent = scopes.request(until="sent")(transaction)
    return add_views(app, calling(finished), calling(sent))


def with_svcs() -> flask.Flask:
    app = svcs.flask.init_app(flask.Flask("svcs"))
    svcs.flask.register_factory(app, Connection, transaction)
    wrap = calling(lambda: svcs.flask.get(Connection))
    return add_views(app, wrap, wrap)


def dishka_transaction() -> c.Iterable[Connection]:
    # As documented: errors are sent and not raised, so a `with` has no use.
    with contextlib.closing(connect()) as connection:
        error = yield connection
        connection.rollback() if error else connection.commit()


def with_dishka() -> flask.Flask:
    # As documented; but Flask 3.1.3 has it torn down before a stream begins.
    wrap = injecting(dishka.FromDishka[Connection])
    app = add_views(flask.Flask("dishka"), wrap, wrap)
    provider = dishka.Provider(scope=dishka.Scope.REQUEST)
    provider.provide(dishka_transaction)
    container = dishka.make_container(provider)
    dishka.integrations.flask.setup_dishka(container, app, auto_inject=True)
    return app


def with_wireup() -> flask.Flask:
    # In streams by the other documented way: what was injected is torn down by then.
    wrap = injecting(wireup.Injected[Connection])
    scope = wireup.integration.flask.get_request_container
    app = flask.Flask("wireup")
    add_views(app, wrap, calling(lambda: scope().get(Connection)))
    factory = wireup.injectable(transaction, lifetime="scoped")
    container = wireup.create_sync_container(injectables=[factory])
    wireup.integration.flask.setup(container, app)
    return app


class Outcome(t.NamedTuple):
    sees: str
    told: bool | None  # that it worked; None: the client did not wait to hear
    changed: bool
    saved: bool = False

    def is_lie(self) -> bool:
        return self.told is not None and self.told != self.saved

    def __str__(self) -> str:
        row = "row" if self.saved else "nothing"
        change = "change" if self.changed else "-"
        return f"{self.sees} / {row} / {change}{' **(!)**' if self.is_lie() else ''}"


def visit(app: flask.Flask, port: int, ending: str) -> Outcome:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    path = "streamed" if ending in STREAMED else "whole"
    client.request("GET", f"/{path}/{ending}".replace(" ", "%20"))
    sees, changed = "connection closed", False
    with contextlib.suppress(ConnectionError, http.client.IncompleteRead):
        response = client.getresponse()
        sees, told = f"{response.status}, body cut off", response.status < 400
        cookie = response.headers.get("Set-Cookie", "")
        with app.test_request_context(headers={"Cookie": cookie}):
            changed = "changed" in flask.session
        if "leaves" in ending and told:
            response.read(1)
            response.close()
            return Outcome(f"{response.status}, left", None, changed)
        # Werkzeug's page: the app, which has another, was not asked.
        bare = b"<title>500" in response.read()
        return Outcome(f"{response.status}{' of the server' * bare}", told, changed)
    return Outcome(sees, False, changed)


def run(app: flask.Flask, ending: str) -> Outcome | None:
    if ending == "doom" and "scopes" not in app.extensions:
        return None
    with tempfile.TemporaryDirectory() as directory:
        app.config["DATABASE"] = f"{directory}/database"
        with contextlib.closing(sqlite3.connect(app.config["DATABASE"])) as connection:
            connection.execute(SCHEMA)
            with make_server("127.0.0.1", 0, app, threaded=True) as server:
                server.daemon_threads = False  # Closing waits until it has served.
                threading.Thread(target=server.handle_request, daemon=True).start()
                outcome = visit(app, server.server_port, ending)
            return outcome._replace(saved=count(connection) > 0)


def main() -> None:
    logging.disable(logging.NOTSET if "-v" in sys.argv else logging.CRITICAL)
    faulthandler.dump_traceback_later(50, exit=True)  # Ends whatever hangs.
    apps = with_scopes(), with_svcs(), with_dishka(), with_wireup()
    report({app.name: {ending: run(app, ending) for ending in ENDINGS} for app in apps})


def report(outcomes: dict[str, dict[str, Outcome | None]]) -> None:
    write = sys.stdout.write
    versions = [f"{name} {version(name)}" for name in ("flask", "werkzeug", *outcomes)]
    write(f"Python {sys.version.split()[0]}, {', '.join(versions)}.\n\n")
    write(f"| client sees / database has / session has | {' | '.join(outcomes)} |\n")
    write("|---" * (len(outcomes) + 1) + "|\n")
    for ending in ENDINGS:
        cells = [str(of_app[ending] or "-") for of_app in outcomes.values()]
        write(f"| {ending} | {' | '.join(cells)} |\n")
    write("\n(!) is a lie, by the status and by whether the body came to its end:\n\n")
    write("| | told success, nothing saved | told failure, saved |\n|---|---|---|\n")
    for name, of_app in outcomes.items():
        lies = [(e, o.saved) for e, o in of_app.items() if o is not None and o.is_lie()]
        lost, kept = ("; ".join(e for e, s in lies if s is w) for w in (False, True))
        write(f"| {name} | {lost} | {kept} |\n")


if __name__ == "__main__":
    main()
