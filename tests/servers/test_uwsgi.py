"""Behind uWSGI, which forks without telling Python."""

from __future__ import annotations

import http.client
import re
import signal

import pytest

from .conftest import Start
from .conftest import reloaded

pytestmark = [pytest.mark.server, pytest.mark.mongo]


def test_from_the_first_request_to_a_reload_and_a_stop(start: Start) -> None:
    """The app is imported before the fork. A client that is opened there can hang
    uWSGI before any request: so here it is something without threads.
    """
    run = start("uwsgi", touch="plain")
    master = run.process.pid
    first, second = reloaded(run)

    run.get_idle()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.of("built").keys() == first | second | {master}
    # uWSGI's master runs no hooks, neither at its end nor when it replaces itself.
    assert run.of("built")[master] == ["plain", "words"] * 2
    assert run.builders("words") == {master}
    run.check(fork_warnings=4, never_ends=master)


def test_lazy_apps_and_threads(start: Start) -> None:
    """Workers are replaced, and then stopped by the one way that waits for them."""
    recycle = ("--max-requests", "12", "--min-worker-lifetime", "1")
    run = start("uwsgi", "--lazy-apps", "--threads", "4", *recycle)
    first = run.get_from(3)

    def both_answer() -> bool:
        ended = run.of("uwsgi.atexit").keys()
        ready = re.findall(r"ready in .* pid: (\d+)", run.output)
        # While one is being started, all that is asked would wear out the other.
        if len({int(pid) for pid in ready} - ended) == 2:
            run.get("/")
        return len(run.of("begun").keys() - ended) == 2

    # A worker that is just being started would not hear of it.
    run.until(both_answer)
    answer = run.later("/slow?seconds=0.5")
    (run.folder / "fifo").write_text("q")
    assert answer.result()[0] == 200
    assert run.wait() == 0
    assert len(first) >= 3
    assert run.of("built").keys() >= first
    run.check()


def test_gevent(start: Start) -> None:
    """Its workers end by ``uwsgi.atexit``, which somebody else may have set."""
    gevent = ("--gevent", "50", "--gevent-monkey-patch")
    run = start("uwsgi", *gevent, "--lazy-apps")
    first, second = reloaded(run)

    run.get_idle()
    run.signal(signal.SIGTERM)
    assert run.wait() == 0
    assert run.of("built").keys() == first | second
    assert run.of("uwsgi.atexit").keys() == first | second
    run.check()


def test_sigterm_in_the_middle_of_a_request(start: Start) -> None:
    """The worker is killed, and nothing in it can be closed."""
    run = start("uwsgi", "--processes", "1")
    answer = run.later("/slow?seconds=5")
    run.signal(signal.SIGTERM)
    with pytest.raises((OSError, http.client.HTTPException)):
        answer.result()
    assert run.wait() == 0
    assert not run.of("closed")
    assert "Traceback" not in run.output
    run.until(lambda: run.connections() == 0)
