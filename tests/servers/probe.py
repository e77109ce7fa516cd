"""An app for real servers to run, which notes what becomes of its objects.

Its environment says how it behaves; see ``running.py``, which starts it. Each note is
a line of JSON, written at once, so that the notes of all processes are in order.
"""

from __future__ import annotations

import collections.abc as c
import json
import os
import signal
import socket
import sys
import threading
import time
import typing as t

import flask
import pymongo
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from flask_scopes import Scopes

Document: t.TypeAlias = dict[str, t.Any]

OPTIONS: t.Final[dict[str, t.Any]] = json.loads(os.environ["PROBE"])
"""What a test wants to be different; see ``running.Options``."""


def note(event: str, what: str) -> None:
    thread = threading.current_thread().name
    line = {"event": event, "what": what, "pid": os.getpid(), "thread": thread}
    file = os.open("events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.close(file)


scopes = Scopes()
app = flask.Flask("probe")
app.config["SCOPES_CLOSE_TIMEOUT"] = OPTIONS["close_timeout"]


@scopes.application(eager=OPTIONS["eager"])
def plain() -> c.Iterator[int]:
    """Holds nothing that a fork could harm."""
    if OPTIONS["broken"]:
        raise ConnectionError("there is no such host")
    note("built", "plain")
    yield os.getpid()
    note("closed", "plain")


@scopes.application
def mongo() -> c.Iterator[pymongo.MongoClient[Document]]:
    """Holds sockets, and has threads of its own."""
    plain()
    uri, name = OPTIONS["uri"], OPTIONS["name"]
    with pymongo.MongoClient[Document](uri, appname=name) as client:
        client.admin.command("ping")
        time.sleep(OPTIONS["slow"])
        note("built", "mongo")
        yield client
    note("closed", "mongo")


@scopes.application
def stuck() -> c.Iterator[None]:
    """Is not closed before the end of time, if that is what the test wants."""
    note("built", "stuck")
    yield
    if OPTIONS["hang"]:
        note("hangs", "stuck")
    # Nobody writes to the other one.
    one, _other = socket.socketpair()
    while OPTIONS["hang"]:
        try:
            one.recv(1)
        except BaseException:
            if OPTIONS["hang"] != "forever":
                raise
    note("closed", "stuck")


@scopes.application
def orders() -> c.Iterator[Collection[Document]]:
    stuck()
    collection = mongo()["shop"]["orders"]
    note("built", "orders")
    yield collection
    note("closed", "orders")


@scopes.application(fork="share")
def words() -> c.Iterator[list[str]]:
    """May be used by everybody."""
    note("built", "words")
    yield ["one", "two"]
    note("closed", "words")


@scopes.request
def transaction() -> c.Iterator[int]:
    note("begun", "transaction")
    try:
        yield os.getpid()
    except BaseException as error:
        note(f"failed: {type(error).__name__}", "transaction")
        raise
    note("ended", "transaction")


@scopes.request
def session() -> c.Iterator[ClientSession]:
    """A transaction, committed or aborted."""
    with mongo().start_session() as made, made.start_transaction():
        yield made


def use() -> None:
    """Ask for everything, and see that it is of this process and works."""
    assert transaction() == plain() == os.getpid()
    orders().find_one()
    assert words() == ["one", "two"]


def use_in_context() -> None:
    """The same, in a process that serves nothing."""
    with app.app_context():
        use()


@app.get("/")
def index() -> dict[str, int]:
    use()
    return {"pid": os.getpid()}


@app.get("/slow")
def slow() -> dict[str, int]:
    use()
    note("waits", "slow")
    time.sleep(float(flask.request.args["seconds"]))
    # All is still there, however far the end of the process has come.
    use()
    return {"pid": os.getpid()}


@app.get("/pid")
def pid() -> dict[str, int]:
    return {"pid": os.getpid()}


app.cli.command("use")(use)
if "uwsgi" in sys.modules:
    # Others may use its only hook as well.
    vars(sys.modules["uwsgi"])["atexit"] = lambda: note("uwsgi.atexit", "probe")
scopes.init_app(app)
note("imported", "probe")
if OPTIONS["sigterm"]:
    # What the documentation advises, for servers that do not handle it.
    signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
if OPTIONS["touch"]:
    with app.app_context():
        plain() if OPTIONS["touch"] == "plain" else mongo()
        words()
if OPTIONS["start"]:
    scopes.start(app)
