"""A process ends, whatever a teardown does."""

from __future__ import annotations

import os
import signal
import typing as t
from pathlib import Path

import pytest

from flask_scopes.embedded import mongod

from ..mongo.replica_set import pause
from .conftest import Start
from .conftest import at_once
from .running import Run

pytestmark = [pytest.mark.server, pytest.mark.mongo]

SCRIPT = "import probe; probe.use_in_context()"
SERVERS = [
    "gunicorn --workers 1 --worker-class sync",
    "gunicorn --workers 1 --worker-class gthread",
    "gunicorn --workers 1 --worker-class gevent",
    "uwsgi --processes 1",
]


def stop(run: Run) -> None:
    """Use all, and stop it."""
    if run.port:
        run.until(run.is_ready)
        run.get_from(1)
        run.get_idle()
        run.signal(signal.SIGTERM)


def test_a_teardown_that_hangs(start: Start) -> None:
    """What else there is is closed, and it is named."""

    def scenario(run: Run) -> None:
        stop(run)
        assert run.wait() == 0
        (names,) = run.of("built").values()
        assert names == ["plain", "stuck", "mongo", "orders", "words"], run
        assert [*run.of("hangs").values()] == [["stuck"]], run
        (names,) = run.of("closed").values()
        assert names == ["words", "orders", "mongo", "plain"], run
        assert "'stuck' (probe.py" in run.output, run
        assert "was not closed within" in run.output, run
        assert "'mongo'" not in run.output, run
        run.until(lambda: run.connections() == 0)

    options: dict[str, t.Any] = {"hang": "once", "close_timeout": 2, "ready": False}
    runs = [start(*server.split(), **options) for server in SERVERS]
    at_once(scenario, [*runs, start("script", SCRIPT, **options)])


def test_a_teardown_that_cannot_be_interrupted(start: Start) -> None:
    """The process says where it is, and ends."""
    run = start("script", SCRIPT, hang="forever", close_timeout=1)
    assert run.wait() == 1
    # What was built after it.
    assert [*run.of("closed").values()] == [["words", "orders", "mongo"]]
    assert "Timeout (0:00:02" in run.output
    assert "in stuck" in run.output
    run.until(lambda: run.connections() == 0)


def test_a_database_that_no_longer_answers(start: Start, tmp_path: Path) -> None:
    """A client says goodbye to it, and would wait for half a minute."""

    def scenario(run: Run) -> None:
        run.signal(signal.SIGTERM)
        assert run.wait(20) == 0
        (names,) = run.of("closed").values()
        assert names == ["words", "orders", "stuck", "plain"], run
        assert "'mongo' (probe.py" in run.output, run

    with mongod(tmp_path / "mongod") as stopped:
        options: dict[str, t.Any] = {"uri": stopped.uri, "close_timeout": 2}
        runs = [start(*server.split(), **options) for server in SERVERS]
        for run in runs:
            run.get_from(1)
            run.get_idle()
        pause(stopped.pid)
        try:
            at_once(scenario, runs)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        runs[0].until(lambda: not any(run.connections() for run in runs))
