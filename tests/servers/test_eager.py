"""What is eager is built where a process is about to serve, and nowhere else."""

from __future__ import annotations

import os
import re
import signal
import typing as t

import pytest

from .conftest import Start
from .running import Run

pytestmark = [pytest.mark.server, pytest.mark.mongo]

HOOK = "from flask_scopes.gunicorn import post_worker_init\n"
EAGER: dict[str, t.Any] = {"eager": True, "ready": False}
BROKEN: dict[str, t.Any] = {"eager": True, "broken": True, "ready": False}


def is_told(run: Run) -> None:
    """It says what is wrong, in four parts."""
    parts = [
        r"'plain' \(probe\.py:\d+\) could not be built: ConnectionError: there is no",
        r"plain +probe\.py:\d+",
        "It is eager, so nothing is served without it.",
        "To fix it, look at what it raised",
    ]
    assert re.search(".*".join(parts), run.output, re.DOTALL), run
    assert not run.of("built")


@pytest.fixture
def hook(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A configuration for gunicorn."""
    file = tmp_path_factory.mktemp("hook") / "gunicorn.conf.py"
    file.write_text(HOOK)
    return str(file)


@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_gunicorn(start: Start, hook: str, kind: str) -> None:
    """Before any request, and after the fork."""
    arguments = ("--config", hook, "--preload", "--worker-class", kind)
    run = start("gunicorn", *arguments, **EAGER)
    run.until(lambda: len(run.of("built")) == 2)
    assert run.process.pid not in run.of("built")
    run.until(run.is_ready)
    run.get_from(2)
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert len(run.of("built")) == 2
    run.check()


def test_gunicorn_does_not_start_without_it(start: Start, hook: str) -> None:
    # With more, gunicorn itself fails now and then, while the second one fails.
    run = start("gunicorn", "--config", hook, "--workers", "1", **BROKEN)
    # "App failed to load."
    assert run.wait() == 4
    is_told(run)
    assert "Traceback" not in run.output, run


def test_uwsgi(start: Start) -> None:
    run = start("uwsgi", **EAGER)
    run.until(lambda: len(run.of("built")) == 2)
    assert run.process.pid not in run.of("built")
    run.get_idle()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    run.check()


def test_uwsgi_does_not_start_without_it(start: Start) -> None:
    run = start("uwsgi", **BROKEN)
    # What it makes of being stopped.
    assert run.wait() == 0
    is_told(run)
    assert "Traceback" not in run.output, run


CALLS = pytest.mark.parametrize(
    ("server", "workers", "failed"), [("waitress", 1, 1), ("uwsgi --lazy-apps", 2, 22)]
)


@CALLS
def test_a_call_in_the_module(
    start: Start, server: str, workers: int, failed: int
) -> None:
    """For servers that do not tell us; uWSGI does so before it imports the app."""
    run = start(*server.split(), start=True, **EAGER)
    run.until(lambda: len(run.of("built")) == workers)
    assert not run.of("begun")
    run.until(run.is_ready)
    run.get_from(workers)
    run.get_idle()
    run.signal(signal.SIGINT)
    assert run.wait() == 0
    assert len(run.of("built")) == workers
    run.check()


@CALLS
def test_a_call_in_the_module_that_fails(
    start: Start, server: str, workers: int, failed: int
) -> None:
    run = start(*server.split(), start=True, **BROKEN)
    assert run.wait() == failed
    is_told(run)


def test_granian_by_the_first_request(start: Start) -> None:
    run = start("granian", "--workers", "1", eager=True)
    # That was a request for a page that uses nothing.
    assert list(run.of("built").values()) == [["plain"]]
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    run.check()


def test_flask_run_does_not_start_without_it(start: Start) -> None:
    run = start("flask", **BROKEN)
    assert run.wait() == 1
    is_told(run)
    assert "Traceback" not in run.output, run


def test_the_reloader_waits_for_a_change(start: Start) -> None:
    run = start("flask", "--debug", **BROKEN)
    run.until(lambda: "To fix it" in run.output)
    file = run.folder / "probe.py"
    text = file.read_text()
    file.write_text(text.replace('if OPTIONS["broken"]', "if False"))
    run.until(lambda: run.of("built"))
    run.until(run.is_ready)
    (child,) = run.of("built")
    os.kill(child, signal.SIGINT)
    run.wait()
    run.check()


def test_a_command_that_serves_nothing_builds_nothing(start: Start) -> None:
    run = start("command", "routes", **BROKEN)
    assert run.wait() == 0
    assert "/slow" in run.output
    assert not run.of("built")
