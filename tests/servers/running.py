"""Start the app of ``probe.py`` behind a real server, and see what becomes of it."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
import types
import typing as t
import uuid
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo

SECONDS = 30.0
"""How long to wait for what must come. Nothing is as slow, unless it hangs."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How the probe behaves."""

    uri: str
    name: str = dataclasses.field(default_factory=lambda: f"probe-{uuid.uuid4().hex}")
    """What its connections are called, so that those that are left can be counted."""
    slow: float = 0.1
    """How many seconds a factory takes."""
    touch: t.Literal["", "plain", "mongo"] = ""
    """What is used while the app is imported."""
    hang: t.Literal["", "once", "forever"] = ""
    """How a teardown hangs: until it is interrupted, or longer."""
    eager: bool = False
    broken: bool = False
    """Whether what may be eager cannot be built."""
    start: bool = False
    """Whether the app calls ``scopes.start`` itself."""
    sigterm: bool = False
    """Whether the app makes an orderly end of SIGTERM."""
    close_timeout: float = 10


@dataclasses.dataclass(frozen=True)
class Event:
    """What the probe has noted."""

    event: str
    what: str
    pid: int
    thread: str


class Run:
    """A process, and those that it starts, as long as a ``with`` block."""

    def __init__(
        self, command: list[str], folder: Path, options: Options, port: int
    ) -> None:
        self.command = command
        self.folder = folder
        self.options = options
        self.port = port
        # A copy: a reloader watches it, and servers leave their files beside it.
        here = Path(__file__).parent
        shutil.copy(here / "probe.py", folder)
        paths = [f"{folder}", f"{here}", os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            "PROBE": json.dumps(dataclasses.asdict(options)),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUNBUFFERED": "1",
        }
        # A shell starts what it runs in the background with Ctrl-C ignored, and so
        # would be everything from here on; with a handler, the default is restored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with (folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        signal.signal(signal.SIGINT, before)
        self.pool = ThreadPoolExecutor(16)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *args: object) -> None:
        # Its whole group, whose number is its own. If all are gone, there is none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self.pool.shutdown()

    # ---- What it does ----------------------------------------------------------

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"it does not start: {self}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/pid")[0] == 200
        return False

    def get(self, path: str, timeout: float = SECONDS) -> tuple[int, int]:
        """The status of a page, and which process it came from (0 if that fails)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            body = answer.read()
        return answer.status, json.loads(body)["pid"] if answer.status == 200 else 0

    def later(self, path: str) -> Future[tuple[int, int]]:
        """Ask for *path*, and return when the probe has begun with it."""
        before = self.count("waits")
        answer = self.pool.submit(self.get, path)
        self.until(lambda: answer.done() or self.count("waits") > before)
        return answer

    def get_from(self, workers: int, path: str = "/") -> set[int]:
        """Ask for *path*, several at once, until as many workers have answered."""
        pids: set[int] = set()

        def ask() -> bool:
            for status, pid in self.pool.map(self.get, [path] * 8):
                assert status == 200, self
                pids.add(pid)
            return len(pids) >= workers

        self.until(ask)
        return pids

    def get_idle(self) -> None:
        """Wait, as uWSGI takes a worker for busy until shortly after its answer."""
        self.until(lambda: self.of("ended") == self.of("begun"))
        time.sleep(0.3)

    def signal(self, number: signal.Signals, group: bool = False) -> None:
        """Send a signal; to its *group*, as a terminal does at Ctrl-C."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)

    def until(
        self, condition: c.Callable[[], object], seconds: float = SECONDS
    ) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"in vain: {self}"
            time.sleep(0.02)

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit status, once it has ended and all of its group have."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self}") from None
        self.until(lambda: not self.alive())
        return status

    # ---- What is left of it ----------------------------------------------------

    def alive(self) -> set[int]:
        """Those of its processes that run the probe. (Dead ones may be unreaped.)"""
        pids = ",".join({str(each.pid) for each in self.events()})
        ps = ["ps", "-o", "pid=,stat=", "-p", pids or "0"]
        lines = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
        rows = [line.split() for line in lines.splitlines()]
        return {int(pid) for pid, state in rows if not state.startswith("Z")}

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def events(self) -> list[Event]:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "events").read_text().splitlines()
            return [Event(**json.loads(line)) for line in lines]
        return []

    def of(self, event: str) -> dict[int, list[str]]:
        """What it happened to, in order, in each process."""
        found: dict[int, list[str]] = {}
        for each in self.events():
            if each.event == event:
                found.setdefault(each.pid, []).append(each.what)
        return found

    def builders(self, what: str) -> set[int]:
        """The processes that have built it."""
        return {pid for pid, names in self.of("built").items() if what in names}

    def count(self, event: str) -> int:
        return sum(each.event == event for each in self.events())

    def connections(self) -> int:
        """How many the probe has, as the database sees it."""
        everybodys: dict[str, t.Any] = {"allUsers": True, "idleConnections": True}
        stages = [
            {"$currentOp": everybodys},
            {"$match": {"appName": self.options.name}},
        ]
        with pymongo.MongoClient[dict[str, t.Any]](self.options.uri) as client:
            return len(list(client.admin.aggregate(stages)))

    def __repr__(self) -> str:
        return "\n".join([*self.command, *map(str, self.events()), self.output])

    def check(
        self,
        fork_warnings: int = 0,
        tracebacks: int = 0,
        failed: c.Mapping[int, int] = types.MappingProxyType({}),
        never_ends: int = 0,
    ) -> None:
        """It has ended as it should: each object was closed once, where it was built,
        the last one first; all units were finished; nobody complained.

        :param failed: how many units have not, by process.
        :param never_ends: a process whose end nobody is told of.
        """
        built, closed = self.of("built"), self.of("closed")
        built.pop(never_ends, None)
        assert built, self
        for names in built.values():
            assert len(set(names)) == len(names), self
        assert closed == {pid: names[::-1] for pid, names in built.items()}, self
        begun, ended = self.of("begun"), self.of("ended")
        for pid, units in begun.items():
            assert len(units) == len(ended.get(pid, [])) + failed.get(pid, 0), self
        # What gevent says of an app that is imported before it: at once; and, as the
        # order in which Python takes modules apart has it, when a log handler goes.
        output = self.output.replace("MonkeyPatchWarning", "")
        # (Two workers may write at once: not "Exception ignored in: " before it.)
        ignored = output.count("<function _removeHandlerRef at ")
        assert output.count("gevent/thread.py") == ignored, self
        assert output.count("Exception ignored") == ignored, self
        assert output.count("Traceback") == tracebacks + ignored, self
        assert output.count("ForkWarning: ") == fork_warnings, self
        assert len(re.findall(r"\w+Warning", output)) == fork_warnings, self
        self.until(lambda: self.connections() == 0)
