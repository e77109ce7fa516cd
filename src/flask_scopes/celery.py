"""Celery: each task is a unit, and what is eager is built before a worker works.

::

    celery = Celery("shop", task_cls=task_class(app, scopes))

Closing needs nothing more: ``process.py`` is told how each kind of worker ends.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import signal
import time
import typing as t

from .extras import brought_by

with brought_by("celery", "celery", "flask_scopes.celery works with Celery"):
    from celery import Task  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it has none

from . import process
from .errors import StartError
from .starting import start_all

if t.TYPE_CHECKING:
    import collections.abc as c

    from flask import Flask

    from .extension import Scopes

_PAUSE: t.Final = 1.0
"""How many seconds a child waits that cannot start. (After four, Celery kills it.)"""

_starting = False
"""Whether this worker has not begun to work; children inherit it."""


def task_class(app: Flask, scopes: Scopes) -> type[Task]:
    """The class of tasks whose ``run`` is a unit of its own, wherever it is called:
    in a worker, by ``apply()``, or directly. It is committed before Celery stores
    a result, acknowledges the message or sends what follows; rolled back if any
    exception leaves it, which ``retry()``, ``Ignore`` and ``Reject`` are.

    The class keeps *app*, and Celery keeps the class, as long as there are tasks.

    :param app: whose context tasks run in.
    :param scopes: what *app* is set up with, by the time the first task runs.
    """

    class UnitTask(Task):  # type: ignore[misc]  # a class of any type, to mypy
        def __new__(cls, *args: object, **kwargs: object) -> t.Self:
            task: t.Any = super().__new__(cls)
            # Not in `__call__`, as that is outside of `autoretry_for`, which should
            # see the error itself, and a commit that failed. And of the task, not
            # of its class, so that `super().run()` does not begin another unit.
            task.run = _in_units(task.run, app, scopes)
            return t.cast("t.Self", task)

    _watch_workers()
    return UnitTask


def _in_units(
    run: c.Callable[..., object], app: Flask, scopes: Scopes
) -> c.Callable[..., object]:
    @functools.wraps(run)
    def run_in_unit(*args: object, **kwargs: object) -> object:
        with scopes.unit(app):
            return run(*args, **kwargs)

    return run_in_unit


def _watch_workers() -> None:
    """Be told when a process is about to work.

    Who tells it depends on the pool. ``worker_process_init`` is sent by the children
    of prefork, and by solo. The other pools, which run in one process, have
    ``celeryd_after_setup``, which the parent of prefork sends as well.
    """
    signals: t.Any = importlib.import_module("celery.signals")
    signals.celeryd_after_setup.connect(_after_setup, dispatch_uid=__name__)
    signals.worker_process_init.connect(_start, dispatch_uid=__name__)
    signals.worker_ready.connect(_ready, dispatch_uid=__name__)


def _after_setup(*, instance: t.Any, **sent: object) -> None:
    """The program ``celery worker`` begins. (A worker inside of another program, of a
    test, does not send this, and its end is not the end of the process.)
    """
    global _starting
    _starting = True
    signals: t.Any = importlib.import_module("celery.signals")
    signals.worker_shutdown.connect(_end, dispatch_uid=__name__)
    prefork: t.Any = importlib.import_module("celery.concurrency.prefork")
    if not isinstance(instance.pool, prefork.TaskPool):
        _start()


def _ready(**sent: object) -> None:
    global _starting
    _starting = False
    # Before it takes a message, if a child could not start.
    state: t.Any = importlib.import_module("celery.worker.state")
    state.maybe_shutdown()


def _end(**sent: object) -> None:
    # At SIGHUP no other hook runs: the first one, of Celery, becomes a new program.
    process.end()


def _start(**sent: object) -> None:
    """Build what is eager, or end this process.

    :raises SystemExit: it could not be built. (Any other exception would be logged
        by Celery, and the process would work all the same.)
    """
    try:
        start_all()
    except StartError as error:
        logging.getLogger("celery.worker").critical("%s", error)
        # Here, because a child that ends now sends no `worker_process_shutdown`.
        process.end()
        _hold_back()
        raise SystemExit(1) from None


def _hold_back() -> None:
    """This process ends, and if it is a child of prefork, its parent would start
    another one at once: let that end, too, if it has only just begun, or else wait.
    """
    billiard: t.Any = importlib.import_module("billiard")
    state: t.Any = importlib.import_module("celery.worker.state")
    number: int | None = getattr(billiard.current_process(), "index", None)
    if number is None:
        return
    if number == 0 and _starting and state.should_stop is None:
        # A warm shutdown, whose status is 1; SIGTERM is one whose status is 0. Sent
        # by one child, and not again by the next: the second would be a cold one.
        os.kill(os.getppid(), signal.SIGINT)
    else:
        time.sleep(_PAUSE)
