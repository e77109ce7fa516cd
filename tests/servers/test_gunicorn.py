"""Behind gunicorn, with each of its workers."""

from __future__ import annotations

import signal

import pytest

from .conftest import Start
from .conftest import at_once
from .conftest import reloaded
from .running import Run

pytestmark = [pytest.mark.server, pytest.mark.mongo]

CLASSES = {
    "sync": ["--worker-class", "sync"],
    "gthread": ["--worker-class", "gthread", "--threads", "4"],
    "gevent": ["--worker-class", "gevent"],
}


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_from_the_first_request_to_a_stop_in_the_middle_of_one(
    start: Start, preload: bool
) -> None:
    """Two workers; a reload by SIGHUP in between, as after a deployment."""

    def scenario(run: Run) -> None:
        run.until(run.is_ready)
        first, second = reloaded(run)

        answer = run.later("/slow?seconds=0.5")
        run.signal(signal.SIGTERM)
        assert answer.result()[0] == 200
        assert run.wait() == 0
        master = {run.process.pid} if preload else set()
        assert run.of("built").keys() == first | second | master, run
        assert run.builders("orders") == first | second, run
        # What may be shared is, if there is anything to share.
        assert run.builders("words") == (master or first | second), run
        run.check(fork_warnings=4 if preload else 0)

    runs: list[Run] = []
    for kind, arguments in CLASSES.items():
        touch = ""
        if preload:
            arguments = [*arguments, "--preload"]
            # A client has threads, after which gevent can no longer replace them.
            touch = "plain" if kind == "gevent" else "mongo"
        runs.append(start("gunicorn", *arguments, ready=False, touch=touch))
    at_once(scenario, runs)


def test_workers_that_are_replaced(start: Start) -> None:
    """After so many requests each, as a remedy for leaks."""

    def scenario(run: Run) -> None:
        run.until(run.is_ready)
        workers = run.get_from(4)
        run.signal(signal.SIGTERM)
        assert run.wait() == 0
        assert run.of("built").keys() == workers, run
        run.check()

    often = ["--max-requests", "10"]
    at_once(
        scenario,
        [start("gunicorn", *each, *often, ready=False) for each in CLASSES.values()],
    )


def test_a_worker_that_takes_too_long(start: Start) -> None:
    """It is made to leave in the middle of its view, and closes all the same."""
    run = start("gunicorn", "--timeout", "2")
    answer = run.later("/slow?seconds=20")
    (worker,) = run.of("waits")
    assert answer.result()[0] == 500
    run.until(lambda: worker not in run.alive())
    assert run.of("failed: SystemExit") == {worker: ["transaction"]}

    others = run.get_from(2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.of("built").keys() == {worker} | others
    # It is gunicorn that logs what it has raised in the view.
    run.check(tracebacks=run.output.count("SystemExit: 1"), failed={worker: 1})
