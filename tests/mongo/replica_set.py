"""A real replica set, whose members can crash, hang and come back.

It lives as long as a ``with`` block; its data and logs are in one folder for each
member. No mongod outlives the process that runs it, see ``_mongod_watch.py``.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import typing as t
from pathlib import Path

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from flask_scopes import embedded
from flask_scopes._mongod_watch import watched

Document = dict[str, t.Any]

SECONDS = 30.0  # for what must come. Nothing is as slow, unless it hangs.

NAME = "tests"
_OPTIONS = (
    *("--bind_ip", "127.0.0.1", "--nounixsocket"),
    *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
    *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
)
# Of the default ten seconds of an election nothing is learnt but patience. It is four
# heartbeats all the same: where cores are few, one of them is late now and then.
_SETTINGS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
_IS_PRIMARY = "isWritablePrimary"
_PORTS = iter(random.sample(range(20000, 30000), 10000))


class Member:
    """One mongod. Its port and its data stay the same, however often it is started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = _free_port()
        self.pid = 0
        """Of mongod itself; 0 while it does not run."""
        self.paused = False
        self._running = contextlib.ExitStack()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it accepts connections; it may have to catch up with others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [embedded._program(self.folder), "--port", f"{self.port}"]
        command += ["--dbpath", f"{self.folder}", *_OPTIONS, *self.options]
        watcher = self._running.enter_context(watched(command, self.folder))
        assert watcher.stdout is not None
        self.pid = embedded._started(watcher.stdout, self.folder)

        def accepts() -> bool:
            assert watcher.poll() is None, f"see {self.folder / 'mongod.log'}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(accepts)

    def kill(self) -> None:
        """As a crash does, which no mongod hears coming. Returns when it is gone."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                # Its group, as a script may stand in for it.
                os.killpg(self.pid, signal.SIGKILL)
        self._running.close()
        self.pid, self.paused = 0, False

    def pause(self) -> None:
        """Let it hang: its connections stay open, and nobody answers."""
        pause(self.pid)
        self.paused = True

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)
        self.paused = False

    def ask(self, command: str, value: object = 1, **more: t.Any) -> Document:
        """Have it run a command of its own, whatever it is to the others."""
        client = MongoClient[Document](self.host, directConnection=True)
        with client, pymongo.timeout(10):
            return client.admin.command(command, value, **more)

    def hello(self) -> Document:
        """What it is just now; nothing, if it does not answer."""
        if self.pid and not self.paused:
            with contextlib.suppress(PyMongoError):
                return self.ask("hello")
        return {}


class ReplicaSet:
    """Some members, each of which can be the primary."""

    def __init__(self, folder: Path, size: int, *options: str) -> None:
        options = ("--replSet", NAME, *options)
        self.members = [Member(folder / f"{n}", *options) for n in range(size)]

    @property
    def uri(self) -> str:
        hosts = ",".join(member.host for member in self.members)
        return f"mongodb://{hosts}/?replicaSet={NAME}"

    def primary(self) -> Member:
        """The one that takes writes, once there is one."""
        found: list[Member] = []

        def elected() -> bool:
            found[:] = [each for each in self.members if each.hello().get(_IS_PRIMARY)]
            # Of two, one has hung, and is about to hear of the other.
            return len(found) == 1

        until(elected)
        return found[0]

    def step_down(self) -> Member:
        """Have the primary hand over to another. Returns the one that was it."""
        before = self.primary()
        # For five seconds it does not stand for election.
        before.ask("replSetStepDown", 5, secondaryCatchUpPeriodSecs=4)
        return before

    def wait_until_whole(self) -> None:
        """Wait for one primary, and secondaries that agree about it."""

        def whole() -> bool:
            # Each is asked for itself, as what others know of it is a heartbeat old.
            hellos = [member.hello() for member in self.members]
            primaries = sum(each.get(_IS_PRIMARY, False) for each in hellos)
            secondaries = sum(each.get("secondary", False) for each in hellos)
            agreed = len({each.get("primary") for each in hellos}) == 1
            return (primaries, secondaries, agreed) == (1, len(hellos) - 1, True)

        until(whole)

    def initiate(self) -> None:
        """Make a set of members that have just been started with no data."""
        hosts = enumerate(member.host for member in self.members)
        members = [{"_id": number, "host": host} for number, host in hosts]
        config = {"_id": NAME, "members": members, "settings": _SETTINGS}
        self.members[0].ask("replSetInitiate", config)
        self.wait_until_whole()


@contextlib.contextmanager
def replica_set(folder: Path, size: int, *options: str) -> c.Generator[ReplicaSet]:
    """Run *size* mongods, from the beginning to the end of a ``with`` block."""
    replicas = ReplicaSet(folder, size, *options)
    with contextlib.ExitStack() as stack:
        for member in replicas.members:
            # A clean end would take its time, for data that nobody will read.
            stack.callback(member.kill)
            member.start()
        replicas.initiate()
        yield replicas


@contextlib.contextmanager
def standalone(folder: Path) -> c.Generator[Member]:
    """Run a mongod that is no replica set, and so knows no transactions."""
    member = Member(folder)
    try:
        member.start()
        yield member
    finally:
        member.kill()


def pause(pid: int) -> None:
    """Stop the group of a mongod. Returns when it stands still: until its first thread
    has had a core, the others go on and answer.
    """
    os.killpg(pid, signal.SIGSTOP)
    ps = ["ps", "-o", "stat=", "-p", f"{pid}"]
    until(lambda: subprocess.check_output(ps, text=True).startswith("T"))


def until(condition: c.Callable[[], bool]) -> None:
    """Wait for *condition*."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {condition.__qualname__}"
        time.sleep(0.05)


def _free_port() -> int:
    """A port below those that systems give to whoever connects: while a member is
    away, nobody else gets its port by chance, nor connects to itself there.
    """
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")
