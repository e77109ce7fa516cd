"""Tasks of Celery: each is a unit, and a worker builds and closes. Real workers."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import gc
import importlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
import typing as t
import weakref
from pathlib import Path

import flask
import pytest
from celery import Celery  # type: ignore[import-untyped]  # it has no types
from celery import states

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes.celery import task_class

from .celery_probe import Options
from .celery_probe import Probe

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "celery.md"
_SCRIPTS = Path(sysconfig.get_path("scripts"))
SECONDS = 30.0
"""How long to wait for what must come."""
POOLS = ["prefork", "threads", "solo", "gevent"]


def until(condition: c.Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        time.sleep(0.02)


class Worker:
    """``celery worker``, and the processes that it starts, as long as a block."""

    def __init__(
        self, folder: Path, module: str, *arguments: str, **environment: str
    ) -> None:
        self.path = folder / "output"
        paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
        program = [str(_SCRIPTS / "celery"), "--app", module, "worker"]
        options = ["--loglevel=WARNING"]
        with self.path.open("wb") as output:
            self.process = subprocess.Popen(
                [*program, *options, *arguments],
                cwd=folder,
                env={
                    **os.environ,
                    **environment,
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *args: object) -> None:
        print(self.output)  # noqa: T201  # for the report of a test that fails
        # Its whole group, whose number is its own. If all are gone, there is none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)

    @property
    def output(self) -> str:
        return self.path.read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Let it end, by itself; what status it ends with."""
        self.process.send_signal(number)
        return self.wait()


def work(probe: Probe, pool: str, *arguments: str) -> Worker:
    """Start a worker for the tasks of *probe*."""
    options = json.dumps(dataclasses.asdict(probe.options))
    arguments = (f"--pool={pool}", *arguments)
    module = "tests.celery_probe"
    return Worker(probe.folder, module, *arguments, PROBE=options)


def value(result: t.Any) -> t.Any:
    """What a worker returns, or raises."""
    return result.get(timeout=SECONDS, interval=0.02)


def complaints(worker: Worker) -> list[str]:
    return re.findall("Traceback|Exception ignored|ForkWarning", worker.output)


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    return Probe(Options(str(tmp_path)))


# ---- How a task ends, in a worker ------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[Probe]:
    """One with a worker that has two children."""
    probe = Probe(Options(str(tmp_path_factory.mktemp("shop"))))
    with work(probe, "prefork", "--concurrency=2") as worker:
        yield probe
        assert worker.process.poll() is None, worker.output
    assert "Exception ignored" not in worker.output


ENDS: dict[str, tuple[str, str | None, list[str]]] = {
    "return": ("returns", states.SUCCESS, []),
    "raise": ("raises an exception", states.FAILURE, ["LookupError"]),
    "retry": ("calls `self.retry()`, or has", states.SUCCESS, ["Retry"]),
    "ignore": ("raises `Ignore` or `Reject`", None, ["Ignore"]),
    "reject": ("raises `Ignore` or `Reject`", None, ["Reject"]),
    "replace": ("raises `Ignore` or `Reject`", states.SUCCESS, ["Ignore"]),
    "wait": ("runs into", states.FAILURE, ["SoftTimeLimitExceeded"]),
    "doom": ("called `scopes.doom", states.SUCCESS, ["UnitFailed"]),
}
"""The row of the page; the state of the result; what its units were rolled back for."""


@pytest.mark.server
@pytest.mark.parametrize("how", ENDS)
def test_a_task_commits_if_it_returns(shop: Probe, how: str) -> None:
    row, state, errors = ENDS[how]
    (end,) = re.findall(
        rf"^\| {re.escape(row)}.*\| (succeeds|fails)", PAGE.read_text(), re.M
    )
    assert (end == "fails") == bool(errors)
    before = shop.ends()
    result = shop.order.apply_async([how, how], soft_time_limit=1)
    if state is None:
        # Of these, no result is stored.
        until(lambda: shop.ends() != before)
    else:
        result.get(timeout=SECONDS, interval=0.02, propagate=False)
        assert result.state == state
    assert shop.ends() == [*before, *errors]
    # A retry begins with nothing, and succeeds.
    assert shop.rows().count(how) == (how in ("return", "retry"))


def test_all_rows_of_the_page_are_tried() -> None:
    rows = re.findall(r"^\| (.+?) \| (?:succeeds|fails)", PAGE.read_text(), re.M)
    starts = dict.fromkeys(row for row, _, _ in ENDS.values())
    assert len(rows) == len(starts)
    assert all(map(str.startswith, rows, starts))


@pytest.mark.server
def test_a_commit_that_fails(shop: Probe) -> None:
    with pytest.raises(CommitFailed) as raised:
        value(shop.order.delay("lost", "spoil"))
    assert raised.value.resource == "orders"
    assert isinstance(raised.value.cause, sqlite3.IntegrityError)
    assert "lost" not in shop.rows()


@pytest.mark.server
def test_a_commit_that_fails_can_be_tried_again(shop: Probe) -> None:
    assert value(shop.insist.delay("insisted")) == 1
    assert shop.rows().count("insisted") == 1


# ---- A worker begins and ends ----------------------------------------------------


EAGER = ["files", "stock"]


@pytest.mark.server
@pytest.mark.parametrize("pool", POOLS)
def test_a_process_builds_once_and_closes_once(probe: Probe, pool: str) -> None:
    workers = 2 if pool == "prefork" else 1
    with work(probe, pool, "--concurrency=2") as worker:
        # What is eager is there before there is anything to do.
        until(lambda: [*probe.of("built").values()] == [EAGER] * workers)
        results = [probe.order.delay(f"{number}") for number in range(6)]
        pids = {value(result) for result in results}
        assert worker.stop() == 0
    built = probe.of("built")
    assert len(built) == workers
    assert (worker.process.pid in built) == (pool != "prefork")
    for pid, names in built.items():
        assert names == [*EAGER, *["prices"] * (pid in pids)]
    assert probe.of("closed") == {pid: names[::-1] for pid, names in built.items()}
    assert sorted(probe.rows()) == [f"{number}" for number in range(6)]
    assert not complaints(worker), worker.output


@pytest.mark.server
def test_children_that_are_replaced(tmp_path: Path) -> None:
    """If one cannot start, its worker goes on, and Celery tries again."""
    probe = Probe(Options(str(tmp_path), builds=3))
    arguments = ["--concurrency=1", "--max-tasks-per-child=1"]
    with work(probe, "prefork", *arguments) as worker:
        pids = [value(probe.order.delay(f"{number}")) for number in range(3)]
        until(lambda: worker.output.count("could not be built") == 2)
        assert worker.stop() == 0
    built, closed = probe.of("built"), probe.of("closed")
    assert [built.pop(pid) for pid in pids] == [[*EAGER, "prices"]] * 3
    assert [closed.pop(pid) for pid in pids] == [["prices", *EAGER[::-1]]] * 3
    assert closed == built
    assert {*map(tuple, built.values())} == {("files",)}
    assert not complaints(worker), worker.output


@pytest.mark.server
def test_a_worker_that_is_restarted(probe: Probe) -> None:
    """At ``SIGHUP`` it becomes a new program, without the end of the old one."""
    with work(probe, "threads", "--concurrency=2") as worker:
        until(lambda: probe.notes("built"))
        assert value(probe.order.delay("apple")) == worker.process.pid
        worker.process.send_signal(signal.SIGHUP)
        until(lambda: len(probe.notes("built")) == 5)
        assert value(probe.order.delay("pear")) == worker.process.pid
        assert worker.stop() == 0
    all_three = [*EAGER, "prices"]
    assert probe.notes("built") == all_three * 2
    assert probe.notes("closed") == all_three[::-1] * 2
    assert not complaints(worker), worker.output


@pytest.mark.server
def test_a_task_that_is_interrupted(probe: Probe) -> None:
    """By a cold shutdown."""
    with work(probe, "prefork", "--concurrency=1") as worker:
        probe.order.delay("interrupted", "wait")
        until(lambda: probe.of("waits"))
        worker.stop(signal.SIGQUIT)
    assert probe.ends() == ["SystemExit"]
    assert [*probe.of("closed").values()] == [["prices", *EAGER[::-1]]]
    assert probe.rows() == []


@pytest.mark.server
@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_that_cannot_start(tmp_path: Path, pool: str) -> None:
    probe = Probe(Options(str(tmp_path), builds=0))
    probe.order.delay("apple")
    with work(probe, pool, "--concurrency=2") as worker:
        assert worker.wait() == 1
    text = "could not be built: ConnectionError: there is no such host"
    assert text in worker.output
    assert not complaints(worker), worker.output
    # What could be built is closed.
    assert {*map(tuple, probe.of("built").values())} == {("files",)}
    assert probe.of("closed") == probe.of("built")
    assert len([*(tmp_path / "queue").iterdir()]) == 1


# ---- What the page shows ---------------------------------------------------------


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture
def page(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[t.Any]:
    """Its module, in a folder with a database and with the one for workers."""
    shop, worker, more = blocks()
    (tmp_path / "shop.py").write_text(f"{shop}\n{more}")
    (tmp_path / "worker.py").write_text(worker)
    settings = probe.settings()
    del settings["result_backend"]
    monkeypatch.setenv("FLASK_CELERY", json.dumps(settings))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY,item,receipt)")
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    yield importlib.import_module("shop")
    del sys.modules["shop"]


@pytest.mark.server
def test_the_page(page: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent for a request that fails; what is sent finds what it needs."""

    def rows() -> list[tuple[str, str]]:
        with contextlib.closing(sqlite3.connect("shop.db")) as connection:
            return connection.execute("SELECT item, receipt FROM orders").fetchall()

    app = page.create_app()
    client = app.test_client()
    assert client.post("/orders/unicorn").status_code == 404
    assert not [*(tmp_path / "queue").iterdir()]
    with Worker(tmp_path, "worker", "--pool=solo") as worker:
        assert client.post("/orders/apple").text == "ordered"
        until(lambda: rows() == [("apple", "sent")])
        assert worker.stop() == 0
    assert not complaints(worker), worker.output
    # Not a test of its own: Celery knows tasks by their names, in all of the process.
    try_again(page, monkeypatch)


def try_again(page: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader holds up the first commit, and only that."""
    reader = sqlite3.connect("shop.db", isolation_level=None)
    reader.execute("BEGIN").execute("SELECT * FROM orders").fetchall()
    connect = sqlite3.connect
    attempts: list[str] = []

    def impatient(path: str) -> sqlite3.Connection:
        attempts.append(path)
        if len(attempts) == 2:
            reader.execute("COMMIT")
        return connect(path, timeout=0)

    monkeypatch.setattr(page.sqlite3, "connect", impatient)
    assert page.reserve.apply(["apple"]).state == states.SUCCESS
    assert len(attempts) == 2
    reserved = reader.execute("SELECT item FROM orders WHERE receipt = 'none'")
    assert reserved.fetchall() == [("apple",)]
    reader.close()


def test_the_page_fits() -> None:
    for block in blocks():
        assert max(map(len, block.splitlines())) <= 92


# ---- In one process --------------------------------------------------------------


@pytest.mark.parametrize("how", ["call", "apply", "eager"])
@pytest.mark.parametrize("around", ["succeeds", "fails"])
def test_a_task_inside_of_a_request(probe: Probe, how: str, around: str) -> None:
    """It is a unit of its own, whatever becomes of the one around it."""
    probe.celery.conf.task_always_eager = how == "eager"

    @probe.app.get("/")
    def index() -> tuple[str, int]:
        with contextlib.suppress(LookupError):
            run("lost", "raise")
        run("kept")
        mine = probe.orders()
        mine.execute("INSERT INTO orders VALUES ('mine', NULL)")
        assert probe.orders() is mine
        return "done", 200 if around == "succeeds" else 400

    def run(*args: str) -> None:
        if how == "call":
            probe.order(*args)
        elif how == "apply":
            probe.order.apply(args)
        else:
            probe.order.delay(*args)

    probe.app.test_client().get("/")
    assert probe.rows() == ["kept", "mine"][: 2 if around == "succeeds" else 1]


def test_a_retry_that_is_applied(probe: Probe) -> None:
    result = probe.order.apply(["again", "retry"])
    assert result.state == states.SUCCESS
    assert probe.ends() == ["Retry"]
    assert probe.rows() == ["again"]
    assert probe.insist.apply(["insisted"]).get() == 1
    assert probe.rows() == ["again", "insisted"]


def test_a_task_that_is_a_class(probe: Probe) -> None:
    """With ``super().run()``, which is the same unit."""
    base: t.Any = probe.celery.Task

    class Order(base):  # type: ignore[misc]  # of any type
        def run(self, item: str) -> None:
            probe.orders().execute("INSERT INTO orders VALUES (?, NULL)", [item])

    class OrderTwice(Order):
        name = "twice"

        def run(self, item: str) -> None:
            super().run(item)
            raise LookupError

    task = probe.celery.register_task(OrderTwice())
    assert task.apply(["apple"]).state == states.FAILURE
    assert probe.rows() == []
    assert probe.ends() == ["LookupError"]


def test_what_users_see_of_a_task_is_theirs(probe: Probe) -> None:
    @probe.celery.task(bind=True, shared=False)  # type: ignore[untyped-decorator]  # as all of Celery
    def add(task: t.Any, one: int, other: int) -> tuple[int, object]:
        """Adds."""
        return one + other, task.request.args

    assert add.__doc__ == add.run.__doc__ == "Adds."
    assert add.run.__name__ == "add"
    assert add(1, other=2) == (3, (1,))
    with pytest.raises(TypeError, match="missing 1 required"):
        add.delay(1)


def test_nothing_is_kept() -> None:
    """Of an app that Celery has forgotten."""
    scopes = Scopes()
    app = flask.Flask("shop")
    scopes.init_app(app)
    celery = Celery("shop", task_cls=task_class(app, scopes), set_as_current=False)

    @celery.task(shared=False)  # type: ignore[untyped-decorator]  # as all of Celery
    def add(one: int, other: int) -> int:
        return one + other

    assert add(1, 2) == 3
    references = [weakref.ref(app), weakref.ref(celery)]
    celery.close()
    del app, celery, add
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_without_celery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flask_scopes.celery")
    monkeypatch.setitem(sys.modules, "celery", None)
    with pytest.raises(ImportError, match=r"pip install 'Flask-Scopes\[celery\]'"):
        importlib.import_module("flask_scopes.celery")
