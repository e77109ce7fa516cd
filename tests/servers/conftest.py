from __future__ import annotations

import collections.abc as c
import contextlib
import signal
import socket
import sys
import sysconfig
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .running import Options
from .running import Run

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_COMMANDS = {
    "command": "flask --app probe",
    "flask": "flask --app probe run --port {port}",
    "granian": "granian --interface wsgi --port {port} --workers 2"
    " --blocking-threads 4 probe:app",
    "gunicorn": "gunicorn --bind 127.0.0.1:{port} --workers 2 --graceful-timeout 8"
    " --no-control-socket probe:app",
    "hypercorn": "hypercorn --bind 127.0.0.1:{port} --graceful-timeout 8 probe:app",
    "uwsgi": "uwsgi --http-socket 127.0.0.1:{port} --module probe:app --need-app"
    " --master --processes 2 --die-on-term --master-fifo fifo"
    # What it runs anew when it reloads; it would find the Python beneath this one.
    " --binary-path {python}",
    "waitress": "waitress-serve --listen=127.0.0.1:{port} --threads=4 probe:app",
}


class Start(t.Protocol):
    """Starts a server, or a script, which is stopped when the test ends."""

    def __call__(
        self, server: str, *arguments: str, ready: bool = True, **options: t.Any
    ) -> Run:
        """
        :param server: the name of a command, or "script".
        :param arguments: further ones, or the text of the script.
        :param ready: whether to wait until it serves.
        :param options: how the probe behaves.
        """
        ...


def reloaded(run: Run) -> tuple[set[int], set[int]]:
    """Its workers before and after a SIGHUP in the middle of a request."""
    first = run.get_from(2)
    answer = run.later("/slow?seconds=0.5")
    run.signal(signal.SIGHUP)
    assert answer.result()[0] == 200
    run.until(lambda: not first & run.alive())
    return first, run.get_from(2)


def at_once(scenario: c.Callable[[Run], None], runs: c.Iterable[Run]) -> None:
    """Let *scenario* happen to each: most of it is waiting."""
    with ThreadPoolExecutor() as pool:
        for each in pool.map(scenario, runs):
            assert each is None


@pytest.fixture
def start(tmp_path: Path, mongo_uri: str) -> c.Iterator[Start]:
    runs: list[Run] = []
    with contextlib.ExitStack() as stack:

        def start(
            server: str, *arguments: str, ready: bool = True, **options: t.Any
        ) -> Run:
            if server.startswith("uwsgi") and sys.platform != "linux":
                pytest.skip("pyuwsgi, which the tests install, is for Linux")
            port = 0
            if server == "script":
                command = [sys.executable, "-c"]
            else:
                with socket.create_server(("127.0.0.1", 0)) as free:
                    port = free.getsockname()[1]
                program, *rest = _COMMANDS[server].split()
                values = {"port": port, "python": sys.executable}
                command = [f"{_SCRIPTS / program}", *(x.format(**values) for x in rest)]
            probe = Options(**{"uri": mongo_uri, **options})
            folder = tmp_path / str(len(runs))
            folder.mkdir()
            run = Run([*command, *arguments], folder, probe, port)
            runs.append(stack.enter_context(run))
            if port and ready:
                run.until(run.is_ready)
            return run

        yield start
