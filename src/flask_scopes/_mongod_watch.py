"""The watcher: parent of one mongod, and the reason why none is left over.

The problem: a process that is killed cannot stop the server it started. Linux
can signal a child when its parent dies, but means the *thread* that forked, and
web servers build objects in threads that soon end. A pipe to the owner closes
when the owner dies, but stays open in any process the owner forked.

The idea: this small process sits in between. It watches both the pipe and who
its parent is, and stops mongod when either is gone. Having one thread, it can
also let the kernel stop mongod should this process itself be killed.

The price is one idle Python, waking four times a second, next to each mongod.

It is run by its path, without site-packages, to start in some 20 ms::

    python -I -S _mongod_watch.py OWNER FOLDER MONGOD [ARGUMENT...]

It writes ``started PID`` or ``busy OWNER PID`` to its standard output, and
``exited with status N`` when mongod ended by itself. Its standard input is the
pipe. The owner's end is :func:`watched`.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import select
import signal
import sys
import time
import typing as t

if t.TYPE_CHECKING:
    import subprocess

_LOOK_SECONDS = 0.25
_BUSY_SECONDS = 0.6  # more than it takes to see that the owner is gone
_STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1

_told_to_stop: list[int] = []


@contextlib.contextmanager
def watched(
    command: c.Sequence[str], folder: str | os.PathLike[str]
) -> c.Generator[subprocess.Popen[str]]:
    """Run the watcher, and with it mongod, until the end of a ``with`` block."""
    import subprocess  # slow to import, and of no use to the watcher

    owner = os.getpid()
    python = sys.executable
    if not os.path.basename(python).startswith(("python", "pypy")):  # uWSGI's is uwsgi
        python = os.path.join(sys.exec_prefix, "bin", "python3")
    watcher = subprocess.Popen(
        [python, "-I", "-S", __file__, str(owner), os.fspath(folder), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C in the terminal is for the owner alone
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    try:
        yield watcher
    finally:
        watcher.stdin.close()
        watcher.stdout.close()
        if os.getpid() != owner:
            # A fork that leaves the block: it has no such child to wait for.
            watcher.returncode = 0
        else:
            try:
                watcher.wait(_STOP_SECONDS + 5)
            except subprocess.TimeoutExpired:
                watcher.kill()
                watcher.wait()


def main(owner: int, folder: str, command: list[str]) -> None:
    """Run mongod until it ends, the owner is gone, or a signal says so."""
    _reset_signals()
    lock = _lock(folder)
    if lock is None:
        return

    log = _open_log(folder)
    child = _start(command, log, lock)
    os.pwrite(lock, b"%d %d" % (owner, child), 0)
    _tell("started", child)
    os.dup2(log, sys.stderr.fileno())

    status = _watch(owner, child)
    # An empty file tells the next run that this one is on its way out.
    os.ftruncate(lock, 0)
    _stop(child)
    if status is not None:
        _tell("exited with status", status)


def _reset_signals() -> None:
    """Take back what a web server may have blocked or ignored: both survive
    ``exec``, and mongod would inherit them.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: _told_to_stop.append(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _tell(word: str, *numbers: int) -> None:
    # The owner may be dead, or may not listen any more.
    with contextlib.suppress(OSError):
        os.write(1, " ".join([word, *map(str, numbers)]).encode() + b"\n")


def _lock(folder: str) -> int | None:
    """Lock the folder, or report who uses it.

    The lock is a ``flock`` that mongod inherits, so the folder stays locked
    exactly as long as anything may write to it, whoever was killed. A server
    whose owner is gone is being stopped: that is worth waiting for.
    """
    import fcntl  # not on Windows, where this module is imported as well

    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    begin = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            users = [int(pid) for pid in os.pread(lock, 64, 0).split()]
            in_use = bool(users) and _exists(users[0])
            patience = _BUSY_SECONDS if in_use else _STOP_SECONDS + 2
            if time.monotonic() - begin > patience:
                _tell("busy", *users)
                return None
            time.sleep(0.02)
        else:
            os.ftruncate(lock, 0)
            return lock


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _open_log(folder: str) -> int:
    """Open an empty log, keeping that of the run before as ``mongod.log.1``."""
    log = os.path.join(folder, "mongod.log")
    with contextlib.suppress(FileNotFoundError):
        os.replace(log, log + ".1")
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _start(command: list[str], log: int, lock: int) -> int:
    """Start mongod in a process group of its own, so that a shell script that
    stands in for it is stopped together with what it started.
    """
    watcher = os.getpid()
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):  # it may have done so, and more, by now
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        _end_with(watcher)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.set_inheritable(lock, True)
        # mongod refuses to start in a locale that the machine lacks.
        os.execve(command[0], command, {**os.environ, "LC_ALL": "C"})
    except OSError as error:
        os.write(log, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _end_with(watcher: int) -> None:
    """Have the kernel stop this process when the watcher is killed (Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(ImportError):  # a Python built without libffi
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != watcher:
        os._exit(0)


def _watch(owner: int, child: int) -> int | None:
    """Wait for a reason to stop; give mongod's exit status if it is the reason."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if _told_to_stop or os.getppid() != owner:
            return None
        if select.select([0], [], [], _LOOK_SECONDS)[0] and not os.read(0, 1):
            return None


def _stop(child: int) -> None:
    """Ask for a clean shutdown, wait, insist. All of the group is gone then."""
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGTERM)
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
            os.killpg(child, 0)
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
