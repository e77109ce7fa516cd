"""A shop with tasks, which notes what becomes of its objects: for real workers to run,
and for tests that send to them. See ``test_celery.py``.

Each note is a line of JSON, written at once, so that the notes of all processes are in
order.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import json
import os
import sqlite3
import time
import typing as t
import uuid
from pathlib import Path

import flask
from celery import Celery  # type: ignore[import-untyped]  # it has no types
from celery.exceptions import Ignore  # type: ignore[import-untyped]  # it has no types
from celery.exceptions import Reject
from kombu.transport import filesystem

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes.celery import task_class


class Channel(filesystem.Channel):
    """Messages are files; not to be seen before they are whole, as readers do not look
    at the locks of writers.
    """

    def _put(self, *args: t.Any, **kwargs: t.Any) -> None:
        queue, message = args
        folder = Path(self.data_folder_out)
        draft = folder / f"{time.monotonic_ns():020}_{uuid.uuid4()}"
        draft.write_text(json.dumps(message))
        draft.rename(f"{draft}.{queue}.msg")


class Transport(filesystem.Transport):
    """Like Celery's own, but it does not wait for two seconds."""

    Channel = Channel

    def drain_events(
        self, connection: t.Any, timeout: object = None, **kwargs: t.Any
    ) -> None:
        drain: t.Any = super().drain_events
        drain(connection, timeout=0.1)


@dataclasses.dataclass(frozen=True)
class Options:
    """How the shop behaves."""

    folder: str
    builds: int = 100
    """How many processes can build what is eager; the next ones fail."""


class Probe:
    """The shop: an app and its tasks, in one process; as long as a test."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = Path(options.folder)
        self.scopes = Scopes()
        self.app = flask.Flask("shop")
        self.scopes.init_app(self.app)
        self.celery = Celery("shop", task_cls=task_class(self.app, self.scopes))
        self.celery.conf.update(self.settings())
        self._add_resources()
        self._add_tasks()

    def settings(self) -> dict[str, t.Any]:
        for each in ["queue", "control", "results"]:
            (self.folder / each).mkdir(exist_ok=True)
        queue = str(self.folder / "queue")
        return {
            "broker_url": "filesystem://localhost",
            "broker_transport_options": {
                "data_folder_in": queue,
                "data_folder_out": queue,
                "control_folder": str(self.folder / "control"),
                "polling_interval": 0.05,
            },
            "result_backend": f"file://{self.folder / 'results'}",
            "result_serializer": "pickle",
            "result_accept_content": ["pickle"],
            "worker_enable_remote_control": False,
            # It sees sooner that it is to end.
            "broker_transport": f"{__name__}:Transport",
            "worker_timer_precision": 0.1,
        }

    def _add_resources(self) -> None:
        @self.scopes.application(eager=True)
        def files() -> c.Iterator[int]:
            self.note("built", "files")
            yield os.getpid()
            self.note("closed", "files")

        @self.scopes.application(eager=True)
        def stock() -> c.Iterator[int]:
            if self.notes("built").count("stock") >= self.options.builds:
                raise ConnectionError("there is no such host")
            self.note("built", "stock")
            yield files()
            self.note("closed", "stock")

        @self.scopes.application
        def prices() -> c.Iterator[int]:
            self.note("built", "prices")
            yield stock()
            self.note("closed", "prices")

        @self.scopes.request
        def orders() -> c.Iterator[sqlite3.Connection]:
            with contextlib.closing(self.connect()) as connection:
                try:
                    with connection:
                        yield connection
                except BaseException as error:
                    self.note("rolled back", type(error).__name__)
                    raise

        self.prices, self.orders = prices, orders

    def _add_tasks(self) -> None:
        @self.celery.task(  # type: ignore[untyped-decorator]  # as all of Celery
            name="order", bind=True, default_retry_delay=0, shared=False
        )
        def order(task: t.Any, item: str, how: str = "return") -> int:
            assert self.prices() == os.getpid()
            self.orders().execute("INSERT INTO orders VALUES (?, NULL)", [item])
            leave: c.Callable[[t.Any], None] = getattr(self, f"_{how}")
            leave(task)
            return os.getpid()

        @self.celery.task(  # type: ignore[untyped-decorator]  # as all of Celery
            name="insist",
            bind=True,
            autoretry_for=(CommitFailed,),
            default_retry_delay=0,
            shared=False,
        )
        def insist(task: t.Any, item: str) -> int:
            self.orders().execute("INSERT INTO orders VALUES (?, NULL)", [item])
            if not task.request.retries:
                self._spoil(task)
            return int(task.request.retries)

        self.order, self.insist = order, insist

    # ---- How a task can end ------------------------------------------------------

    def _return(self, task: t.Any) -> None:
        pass

    def _raise(self, task: t.Any) -> None:
        raise LookupError("deliberately")

    def _replace(self, task: t.Any) -> None:
        task.replace(self.order.si("another"))

    def _ignore(self, task: t.Any) -> None:
        raise Ignore

    def _reject(self, task: t.Any) -> None:
        raise Reject("deliberately")

    def _retry(self, task: t.Any) -> None:
        if not task.request.retries:
            raise task.retry()

    def _doom(self, task: t.Any) -> None:
        self.scopes.doom("deliberately")

    def _spoil(self, task: t.Any) -> None:
        self.orders().execute("INSERT INTO orders VALUES ('spoilt', 99)")

    def _wait(self, task: t.Any) -> None:
        self.note("waits", "order")
        while True:
            time.sleep(0.05)

    # ---- What is left of it ------------------------------------------------------

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.folder / "shop.db", timeout=10)
        connection.executescript(
            "PRAGMA foreign_keys = ON;"
            "CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY);"
            "CREATE TABLE IF NOT EXISTS orders"
            " (item, customer REFERENCES customers DEFERRABLE INITIALLY DEFERRED)"
        )
        return connection

    def rows(self) -> list[str]:
        """What is committed, as another connection sees it."""
        with contextlib.closing(self.connect()) as connection:
            return [item for (item,) in connection.execute("SELECT item FROM orders")]

    def note(self, event: str, what: str) -> None:
        line = json.dumps([event, what, os.getpid()]).encode() + b"\n"
        file = os.open(self.folder / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line)
        os.close(file)

    def of(self, event: str) -> dict[int, list[str]]:
        """What it happened to, in order, in each process."""
        found: dict[int, list[str]] = {}
        for each, what, pid in self._notes():
            if each == event:
                found.setdefault(pid, []).append(what)
        return found

    def notes(self, event: str) -> list[str]:
        """What it happened to, in order, in all processes."""
        return [what for each, what, _ in self._notes() if each == event]

    def ends(self) -> list[str]:
        """What each unit was rolled back for."""
        return self.notes("rolled back")

    def _notes(self) -> list[tuple[str, str, int]]:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "events").read_text().splitlines()
            return [json.loads(line) for line in lines]
        return []


if "PROBE" in os.environ:
    celery = Probe(Options(**json.loads(os.environ["PROBE"]))).celery
