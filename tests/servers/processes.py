"""What scripts do that fork, for ``test_processes.py``.

Not in the scripts themselves: Python 3.12 warns there about any fork of a process
with threads.
"""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import ctypes
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import typing as t

import flask

from flask_scopes import Scopes

FORKS: dict[str, c.Callable[[], int]] = {
    "os": os.fork,
    # As uWSGI does it: Python is not told, and the GIL is not held.
    "libc": ctypes.CDLL(None).fork,
}


def multiprocess(method: str) -> None:
    """Use the probe here, in a child, in the workers of a pool, and here again."""
    probe: t.Any = importlib.import_module("probe")
    context: t.Any = multiprocessing.get_context(method)
    probe.use_in_context()
    process = context.Process(target=probe.use_in_context)
    process.start()
    process.join()
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        for _ in range(4):
            pool.submit(probe.use_in_context).result()
    probe.use_in_context()
    sys.exit(process.exitcode)


def fork_in_use() -> None:
    """Fork while a cursor and a transaction are open; the child ends orderly."""
    probe: t.Any = importlib.import_module("probe")
    numbers = probe.OPTIONS["name"]
    with probe.app.app_context():
        probe.use()
        collection = probe.mongo()["shop"][numbers]
        collection.insert_many([{"_id": each} for each in range(10)])
        cursor = collection.find(batch_size=2).sort("_id")
        next(cursor)
        collection.delete_one({"_id": 9}, session=probe.session())
        pid = os.fork()
        if not pid:
            # Not `os._exit`: all that Python does at an end is to be done. It leaves
            # this block, too.
            probe.use_in_context()
            sys.exit()
        assert os.waitpid(pid, 0)[1] == 0
        collection.delete_one({"_id": 8}, session=probe.session())
        assert [each["_id"] for each in cursor] == [*range(1, 10)]
    with probe.app.app_context():
        assert probe.mongo()["shop"][numbers].count_documents({}) == 8
        probe.mongo()["shop"].drop_collection(numbers)


def fork_while_building(fork: str, times: int) -> None:
    """Fork while one thread is in a factory, and another one waits for it."""
    for _ in range(times):
        _fork_while_building(FORKS[fork])


def _fork_while_building(fork: c.Callable[[], int]) -> None:
    parent = os.getpid()
    entered, go_on = threading.Event(), threading.Event()
    scopes = Scopes()
    app = flask.Flask("probe")
    scopes.init_app(app)

    @scopes.application
    def slow() -> c.Iterator[int]:
        if os.getpid() == parent:
            entered.set()
            go_on.wait()
        yield os.getpid()

    def use() -> None:
        with app.app_context():
            found.append(slow())

    found: list[int] = []
    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    entered.wait()
    pid = fork()
    if not pid:
        # Ends it, whatever it hangs in.
        signal.alarm(10)
        use()
        scopes.close(app)
        os._exit(found != [os.getpid()])
    status = os.waitpid(pid, 0)[1]
    go_on.set()
    for thread in threads:
        thread.join()
    assert status == 0, f"the child ended with {status}"
    assert found == [parent] * 2
