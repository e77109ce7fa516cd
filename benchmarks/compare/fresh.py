"""What needs a process of its own: importing, memory, and counting locks.

    python -m benchmarks.compare.fresh locks with_svcs

prints one JSON object.
"""

from __future__ import annotations

import _thread
import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import typing as t


def run(what: str, *arguments: str) -> dict[str, float]:
    """What a new process says of it."""
    command = [sys.executable, "-m", __name__, what, *arguments]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environ)
    return t.cast("dict[str, float]", json.loads(done.stdout))


_IMPORTS = """
import sys, time
started = time.process_time_ns()
import flask
between, before = time.process_time_ns(), len(sys.modules)
{statement}
beyond = time.process_time_ns() - between
print((between - started) / 1e6, beyond / 1e6, len(sys.modules) - before)
"""


def imports(statement: str) -> tuple[float, float, float]:
    """CPU milliseconds of Flask's import, those of *statement*, and its modules."""
    command = [sys.executable, "-c", _IMPORTS.format(statement=statement)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, env=environ, text=True
    )
    flask, beyond, modules = map(float, done.stdout.split())
    return flask, beyond, modules


class _CountingLock:
    """A lock that counts each time that one like it is taken."""

    taken = 0

    def __init__(self, lock: t.Any) -> None:
        self._lock = lock

    def acquire(self, *args: t.Any, **kwargs: t.Any) -> bool:
        _CountingLock.taken += 1
        return bool(self._lock.acquire(*args, **kwargs))

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._lock, name)


class _Makes:
    """Makes locks that count. (No function: some keep it on a class.)"""

    def __init__(self, make: t.Callable[[], t.Any]) -> None:
        self._make = make

    def __call__(self) -> _CountingLock:
        return _CountingLock(self._make())


def _count_locks() -> None:
    lock, recursive = _thread.allocate_lock, threading.RLock
    for module, name, make in [
        (_thread, "allocate_lock", lock),
        (threading, "Lock", lock),
        (threading, "RLock", recursive),
        (_thread, "RLock", recursive),
    ]:
        setattr(module, name, _Makes(make))


def locks(contender: str) -> dict[str, float]:
    """How many locks a warm read takes, of each scope."""
    _count_locks()
    # All that follows makes locks that count.
    from .contenders import contender as load
    from .serving import GRAPH_VIEWS
    from .serving import Serving
    from .shop import GRAPH

    serving = Serving(load(contender), GRAPH, GRAPH_VIEWS)
    loops = {"application": serving.loop("Client"), "request": serving.loop("Db")}
    counted = {}

    def count(*objects: object) -> None:
        for what, loop in loops.items():
            loop(itertools.repeat(None, 10))
            before = _CountingLock.taken
            loop(itertools.repeat(None, 100))
            counted[what] = (_CountingLock.taken - before) / 100

    serving.while_holding(count)
    return counted


def memory(contender: str) -> dict[str, float]:
    """Bytes of one more that is registered: 1000 of them against 10.

    Without their classes and factories, which are there before; and without the names
    that code has for them.
    """
    from .contenders import contender as load
    from .serving import Serving
    from .shop import many

    few, most = many(10, closing=True), many(1000, closing=True)
    Serving(load(contender), few, {})
    held = []
    for things in (few, most):
        gc.collect()
        tracemalloc.start()
        made = Serving(load(contender), things, {}).made
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0] - _names(made.names))
        tracemalloc.stop()
    return {"bytes": (held[1] - held[0]) / (len(most) - len(few))}


def _names(names: dict[str, t.Any]) -> int:
    """Bytes of *names* as such. (Those of classes have been there before.)"""
    own = [name for name in names if not name.startswith("Thing")]
    return sys.getsizeof(names) + sum(map(sys.getsizeof, own))


if __name__ == "__main__":
    functions = {"locks": locks, "memory": memory}
    json.dump(functions[sys.argv[1]](*sys.argv[2:]), sys.stdout)
