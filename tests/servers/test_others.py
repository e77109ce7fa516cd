"""Behind servers that need no fork, and Flask's own."""

from __future__ import annotations

import http.client
import os
import signal
import time

import pytest

from .conftest import Start
from .conftest import at_once
from .running import Run

pytestmark = [pytest.mark.server, pytest.mark.mongo]


def test_waitress(start: Start) -> None:
    """Ctrl-C in the middle of a request."""
    run = start("waitress")
    run.get_from(1)
    answer = run.later("/slow?seconds=0.5")
    run.signal(signal.SIGINT)
    assert answer.result()[0] == 200
    assert run.wait() == 0
    assert run.of("built").keys() == {run.process.pid}
    run.check()


@pytest.mark.parametrize(("server", "workers"), [("hypercorn", 1), ("granian", 2)])
def test_sigterm_in_the_middle_of_a_request(
    start: Start, server: str, workers: int
) -> None:
    """Granian's workers are children of :mod:`multiprocessing`."""
    run = start(server)
    pids = run.get_from(workers)
    answer = run.later("/slow?seconds=0.5")
    run.signal(signal.SIGTERM)
    assert answer.result()[0] == 200
    assert run.wait() == 0
    assert run.of("built").keys() == pids
    run.check()


def test_hypercorn_with_two_workers(start: Start) -> None:
    """The first one that ends takes the other one's requests with it."""
    run = start("hypercorn", "--workers", "2")
    workers = run.get_from(2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.of("built").keys() == workers
    run.check()


def test_flask_run(start: Start) -> None:
    """Ctrl-C in the middle of a request, whose thread nobody waits for but us."""
    run = start("flask", eager=True)
    assert run.of("built") == {run.process.pid: ["plain"]}
    run.get_from(1)
    answer = run.later("/slow?seconds=1.5")
    run.signal(signal.SIGINT)
    assert answer.result()[0] == 200
    assert run.wait() == 0
    assert run.of("built").keys() == {run.process.pid}
    run.check()


def test_sigterm_where_the_app_handles_it(start: Start) -> None:
    """By one line that makes it an orderly end. Python would die at once."""

    def scenario(run: Run) -> None:
        run.until(run.is_ready)
        answer = run.later("/slow?seconds=1.5")
        run.signal(signal.SIGTERM)
        assert answer.result()[0] == 200
        assert run.wait() == 0
        run.check()

    servers = ["waitress", "flask"]
    at_once(scenario, [start(each, ready=False, sigterm=True) for each in servers])


def test_sigterm_where_nobody_handles_it(start: Start) -> None:
    """Nothing is closed, and the database sees that nobody is left."""

    def scenario(run: Run) -> None:
        run.until(run.is_ready)
        run.get_from(1)
        run.signal(signal.SIGTERM)
        assert run.wait() == -signal.SIGTERM
        assert not run.of("closed")
        run.until(lambda: run.connections() == 0)

    servers = ["waitress", "flask"]
    at_once(scenario, [start(each, ready=False) for each in servers])


def test_flask_run_with_the_reloader(start: Start) -> None:
    run = start("flask", "--debug", eager=True)
    first = run.get_from(1)
    now = time.time() + 10
    os.utime(run.folder / "probe.py", (now, now))
    run.until(lambda: not first & run.alive())
    run.until(run.is_ready)
    second = run.get_from(1)

    for pid in second:
        os.kill(pid, signal.SIGINT)
    run.wait()
    # Nothing by the first process, which only starts the others.
    assert run.of("built").keys() == first | second
    assert run.process.pid not in first | second
    run.check()


def test_ctrl_c_with_the_reloader(start: Start) -> None:
    """A terminal tells both processes. The first one waits for a quarter of a second,
    and kills the other one.
    """
    run = start("flask", "--debug")
    answer = run.later("/slow?seconds=5")
    run.signal(signal.SIGINT, group=True)
    with pytest.raises((OSError, http.client.HTTPException)):
        answer.result()
    run.wait()
    assert not run.of("closed")
    run.until(lambda: run.connections() == 0)
