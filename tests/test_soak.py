"""Promises 14 to 18 for 10,000 requests that end in every way, in eight threads: each
object is closed exactly once, and nothing is left of any request.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import dataclasses
import gc
import io
import logging
import sys
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import flask.testing
import pytest
from flask.typing import ResponseReturnValue

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes import events

THREADS = 8
# Coverage takes five times as long, and its own memory could not be told from ours: all
# of them are for the matrix, which measures none.
ALL = 10_000 if sys.gettrace() is None else 5_000
WARM = ALL // 4
"""How many requests come before the memory is looked at for the first time."""
GROWTH = 1_000
"""How many pieces of memory more there may be by then: a seventh for each request."""
KEY = "soak.record"
ORDER = bytes(range(256)) * 10


class Thing:
    """What a request opened, and how it was closed."""

    def __init__(self, refuses: bool = False) -> None:
        self.ends: list[str] = []
        self.refuses = refuses

    def living(self) -> c.Iterator[Thing]:
        try:
            yield self
        except BaseException:
            self.ends.append("rolled back")
            raise
        self.ends.append("refused" if self.refuses else "committed")
        if self.refuses:
            raise ConnectionError


def close(body: c.Iterable[bytes]) -> None:
    t.cast(t.Any, body).close()


def send(body: c.Iterable[bytes]) -> None:
    for _ in body:
        pass
    close(body)


def begin(body: c.Iterable[bytes]) -> None:
    next(iter(body))
    close(body)


def drop(body: c.Iterable[bytes]) -> None:
    """As no server should: not even close it."""


def begin_and_close_elsewhere(body: c.Iterable[bytes]) -> None:
    """Flask 3.1 stumbles over that (pallets/flask issue 6123)."""

    def elsewhere() -> None:
        with contextlib.suppress(RuntimeError, ValueError, LookupError):
            close(body)

    next(iter(body))
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()


@dataclasses.dataclass(frozen=True)
class Way:
    """How a request ends, and its objects with it."""

    path: str
    status: int
    finished: tuple[str, ...] = ("committed",)
    """Those that lived until the finish, in the order in which they were built."""
    sent: tuple[str, ...] | None = ("committed",)
    """Those that lived until the response was sent; None: once, but anyhow."""
    send: c.Callable[[c.Iterable[bytes]], None] = send
    method: str = "GET"
    logged: int = 0


FAILED = ("rolled back",)
REFUSED = ("refused",)
COMMITTED = ("committed",)
ELSEWHERE = Way("/stream", 200, sent=FAILED, send=begin_and_close_elsewhere)
WAYS = [
    Way("/ok", 200),
    Way("/ok", 200, method="HEAD"),
    Way("/nothing", 200, (), ()),
    Way("/redirected", 302),
    Way("/raises", 500, FAILED, FAILED, logged=1),
    Way("/handled", 200, FAILED, FAILED),
    Way("/missing", 404, FAILED, FAILED),
    Way("/refused", 500, REFUSED, FAILED, logged=1),
    Way("/refused-and-handled", 503, REFUSED, FAILED),
    Way("/invalid", 422, FAILED, FAILED),
    Way("/doomed", 200, FAILED, FAILED),
    Way("/kept", 401),
    Way("/audited", 409, FAILED + COMMITTED, FAILED),
    Way("/followed", 200, COMMITTED * 2),
    Way("/stale", 200, FAILED * 2 + COMMITTED, FAILED * 2 + COMMITTED, method="POST"),
    Way("/file", 200),
    Way("/file", 200, method="HEAD"),
    Way("/file", 200, sent=FAILED, send=begin),
    Way("/plain", 200),
    Way("/plain", 200, method="HEAD"),
    Way("/plain", 200, sent=FAILED, send=begin),
    Way("/plain", 200, send=close),
    Way("/plain", 200, sent=None, send=drop),
    Way("/stream", 200),
    Way("/stream", 200, sent=FAILED, send=begin),
    Way("/stream", 200, sent=None, send=close),
    ELSEWHERE,
]


@dataclasses.dataclass
class Record:
    """What became of one request."""

    way: Way
    finished: list[Thing] = dataclasses.field(default_factory=list)
    sent: list[Thing] = dataclasses.field(default_factory=list)
    own: Thing | None = None
    """What the request itself used, in its last attempt."""

    def check(self) -> None:
        way = self.way
        for things, ends in [(self.finished, way.finished), (self.sent, way.sent)]:
            assert [len(thing.ends) for thing in things] == [1] * len(things), way
            assert ends in (None, tuple(thing.ends[0] for thing in things)), way


def record_of_request() -> Record:
    record: Record = flask.request.environ[KEY]
    return record


class Soak:
    """An app with a view for each way."""

    def __init__(self) -> None:
        self.app = flask.Flask("soak")
        self.app.secret_key = "a key for tests"
        self.scopes = Scopes(self.app)
        self.errors: list[int] = []

        @self.scopes.request
        def work() -> c.Iterator[Thing]:
            record = record_of_request()
            thing = Thing(refuses=record.way.finished == REFUSED)
            record.finished.append(thing)
            yield from thing.living()

        @self.scopes.request(until="sent")
        def sent() -> c.Iterator[Thing]:
            thing = Thing()
            record_of_request().sent.append(thing)
            yield from thing.living()

        self.work, self.sent = work, sent
        self.add_views()
        self.add_units()
        self.add_bodies()
        self.environs = [
            flask.testing.EnvironBuilder(
                self.app, way.path, method=way.method, content_length=len(ORDER)
            ).get_environ()
            for way in WAYS
        ]

    def count(self, record: logging.LogRecord) -> bool:
        """Let no record through: who keeps one, as pytest does, keeps frames."""
        if record.levelno >= logging.ERROR:
            self.errors.append(record.levelno)
        return False

    def use(self) -> None:
        """Use objects of both kinds, and change the session."""
        record_of_request().own = self.work()
        flask.session["last"] = self.work() is self.work()
        assert self.sent() is self.sent()

    def add(self, path: str, answer: c.Callable[[], ResponseReturnValue]) -> None:
        def view() -> ResponseReturnValue:
            self.use()
            return answer()

        self.app.add_url_rule(path, path, view, methods=["GET", "POST"])

    def add_views(self) -> None:
        def fail(error: type[Exception]) -> t.NoReturn:
            raise error

        def doomed() -> str:
            self.scopes.doom("by the way")
            return "doomed"

        @self.app.errorhandler(CommitFailed)
        def refused(error: CommitFailed) -> ResponseReturnValue:
            if record_of_request().way.logged:
                raise error
            return "try later", 503

        self.app.register_error_handler(ArithmeticError, lambda error: "handled")
        self.app.add_url_rule("/nothing", view_func=lambda: "nothing")
        for path in ("/ok", "/refused", "/refused-and-handled"):
            self.add(path, lambda: "ok")
        self.add("/redirected", lambda: flask.redirect("/ok"))
        self.add("/raises", lambda: fail(LookupError))
        self.add("/handled", lambda: fail(ArithmeticError))
        self.add("/missing", lambda: flask.abort(404))
        self.add("/invalid", lambda: ("invalid", 422))
        self.add("/doomed", doomed)

    def add_units(self) -> None:
        @self.scopes.retry(3, on=TimeoutError)
        def stale() -> str:
            assert flask.request.get_data() == ORDER
            if len(record_of_request().finished) < 3:
                raise TimeoutError
            return "ok"

        def audited() -> ResponseReturnValue:
            with self.scopes.unit():
                self.work()
            return "no", 409

        def followed() -> str:
            self.scopes.after_commit(self.work)
            return "ok"

        self.add("/stale", stale)
        self.add("/audited", audited)
        self.add("/followed", followed)
        self.add("/kept", self.scopes.commit_on(401)(lambda: ("no", 401)))

    def add_bodies(self) -> None:
        def chunks() -> c.Iterator[str]:
            yield from "abc"

        def stream() -> c.Iterator[str]:
            for each in "abc":
                assert self.sent() is self.sent()
                yield each

        self.add("/file", lambda: flask.send_file(io.BytesIO(ORDER), "text/plain"))
        self.add("/plain", lambda: flask.Response(chunks()))
        self.add("/stream", lambda: flask.Response(flask.stream_with_context(stream())))

    def ask(self, number: int) -> None:
        """One request, whose end is checked."""
        record = Record(WAYS[number])
        answer: list[t.Any] = []
        environ = dict(self.environs[number])
        environ.update({"wsgi.input": io.BytesIO(ORDER), KEY: record})

        def start_response(*args: t.Any) -> c.Callable[[bytes], object]:
            answer[:] = args
            return lambda data: None

        record.way.send(self.app.wsgi_app(environ, start_response))
        status, headers = answer[:2]
        assert status.startswith(str(record.way.status)), record.way
        record.check()
        saved = any(name == "Set-Cookie" for name, _ in headers)
        assert saved == bool(record.own and record.own.ends == ["committed"])

    def work_off(self, numbers: range) -> None:
        for number in numbers:
            if WAYS[number % len(WAYS)].send is begin_and_close_elsewhere:
                # What Flask leaves on the thread goes with this.
                contextvars.Context().run(self.ask, number % len(WAYS))
            else:
                self.ask(number % len(WAYS))


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> c.Iterator[Soak]:
    # The plugin's guard remembers up to a thousand objects, or less: it could not be
    # told from a leak.
    monkeypatch.setattr(events, "everywhere", [])
    soak = Soak()
    soak.app.logger.addFilter(soak.count)
    interval = sys.getswitchinterval()
    # So that threads meet in the middle of requests.
    sys.setswitchinterval(0.0002)
    yield soak
    sys.setswitchinterval(interval)
    soak.app.logger.removeFilter(soak.count)


def blocks() -> int:
    """How many pieces of memory Python has in use, whatever is in them."""
    while gc.collect():
        pass
    return sys.getallocatedblocks()


def test_nothing_is_left_of_requests_that_end_in_every_way(soak: Soak) -> None:
    used: list[int] = []
    # What comes last, so that all are there and wait when it is called.
    together = threading.Barrier(THREADS, action=lambda: used.append(blocks()))

    def work(thread: int) -> None:
        numbers = range(thread, ALL, THREADS)
        try:
            if thread % 2:
                # From now on, a context is left on this thread.
                soak.ask(WAYS.index(ELSEWHERE))
            soak.work_off(numbers[: WARM // THREADS])
            together.wait(60)
            soak.work_off(numbers[WARM // THREADS :])
            together.wait(60)
        except threading.BrokenBarrierError:
            # Another one has more to say.
            return
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))

    logged = sum(WAYS[number % len(WAYS)].logged for number in range(ALL))
    assert len(soak.errors) == logged
    before, after = used
    now = blocks()
    if sys.gettrace() is None:
        # Coverage itself keeps something for each request: here, not in the matrix.
        assert after - before < GROWTH
        assert now < before + GROWTH
    assert soak.app.extensions["scopes"].units == {}
    # (Not by `isinstance`, which asks a weak proxy of Flask's for what is gone.)
    assert not any(type(each) is Thing for each in gc.get_objects())
