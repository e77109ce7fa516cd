"""Both applications behind gunicorn, and what their workers use of the processor."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from .served import ROOT

_TICK: t.Final = 1 / os.sysconf("SC_CLK_TCK")
_CONFIGS: t.Final = {
    "ours": "examples/journal/gunicorn.conf.py",
    "by_hand": "benchmarks/end_to_end/by_hand/gunicorn.conf.py",
}


@dataclasses.dataclass(frozen=True)
class Served:
    """An application that runs; as long as the ``with`` block that started it."""

    name: str
    port: int
    folder: Path
    prefix: str
    """Of its databases."""
    process: subprocess.Popen[bytes]

    def workers(self) -> list[int]:
        pid = self.process.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in text.split()]

    def cpu(self) -> float:
        """Seconds that the workers have computed so far, their own and the kernel's."""
        return sum(map(cpu_of, self.workers()))


def cpu_of(pid: int) -> float:
    """Seconds that the process *pid* has computed so far."""
    # The name, in parentheses, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


@contextlib.contextmanager
def serving(name: str, uri: str, folder: Path) -> c.Generator[Served]:
    """Run *name* from the beginning to the end of the block; it is ready by then."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    prefix = f"{name}_"
    instance = folder / name
    instance.mkdir()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in ("src", "examples")),
        "JOURNAL_INSTANCE": str(instance),
        "MONGO_URI": uri,
        "PORT": str(port),
        "PREFIX": prefix,
    }
    env.pop("FLASK_DEBUG", None)
    app = f"benchmarks.end_to_end.served:{name}()"
    command = [sys.executable, "-m", "gunicorn", "--config", _CONFIGS[name]]
    command += ["--log-level", "warning", "--worker-class", "gthread", app]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
    served = Served(name, port, instance, prefix, process)
    try:
        _wait_until_ready(served)
        yield served
        process.terminate()
        assert process.wait(20) == 0
    except BaseException:
        sys.stderr.write(f"{name}:\n{(folder / f'{name}.log').read_text()[-6000:]}\n")
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(served: Served) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and served.process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", served.port), 5).close()
            if len(served.workers()) == 2:
                return
        time.sleep(0.1)
    raise TimeoutError
