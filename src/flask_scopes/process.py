"""The end of a process: finish what is in progress, and close what is open.

Python has no hook that runs at the end of every process, so several are used, and
whichever comes first does it all. ``atexit`` runs nearly everywhere, but not in the
children of :mod:`multiprocessing` (before Python 3.13) and of Granian, which is made
of them: those run its finalizers. A child of Celery's runs neither, but sends a
signal; and uWSGI, under gevent, calls its own ``uwsgi.atexit``.

Hooks are inherited by forks. Each looks first whether this is the process that it
would close things of.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import functools
import os
import sys
import threading
import time
import typing as t
import weakref

from . import forks
from .deadline import within
from .errors import CloseTimeout
from .store import State
from .teardown import leaves

if t.TYPE_CHECKING:
    import collections.abc as c

    from flask import Flask

    from .application import Application
    from .application_store import ApplicationStore
    from .unit import Unit

_STDERR: t.Final = 2

_homes: list[weakref.ref[Application]] = []
"""Those to be closed, in the order of their first use; some more than once."""
_imported: list[int] = [0]
"""How many modules there were when the hooks were installed last."""
_finalizers: list[t.Any] = []
"""That of :mod:`multiprocessing`, if it is there."""
_hooked: set[int] = set()
"""The processes in which the hooks are installed; this one's parents are as well."""


def watch(home: Application) -> None:
    """Close what *home* has in this process when the process ends."""
    # To rebuild the list would lose what another thread appends meanwhile.
    _homes.append(weakref.ref(home, _homes.remove))
    if os.getpid() not in _hooked:
        _hooked.add(os.getpid())
        _hook()


def homes() -> list[Application]:
    """What the apps of this process keep, the latest first."""
    found = [reference() for reference in reversed(_homes)]
    # In this order, and each once.
    return list(dict.fromkeys(home for home in found if home is not None))


def come_first() -> None:
    """End before all that was imported so far: factories use it. (What was
    registered last is called first.)
    """
    if len(sys.modules) != _imported[-1]:
        # Once more, and not instead: what is registered while these are called is not
        # called, and this may be called by one of them.
        _imported[:] = [len(sys.modules)]
        atexit.register(end)
    util: t.Any = sys.modules.get("multiprocessing.util")
    # A child begins by forgetting all of them, after it has imported the program.
    if util is not None and not any(each.still_active() for each in _finalizers):
        # Before all of its own, which join what a teardown may still talk to.
        _finalizers[:] = [util.Finalize(None, end, exitpriority=1000)]


def _hook() -> None:
    come_first()
    signals: t.Any = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_end, weak=False, dispatch_uid=__name__)
    uwsgi: t.Any = sys.modules.get("uwsgi")
    if uwsgi is not None:
        after(uwsgi, "atexit", end)


def _end(**signal: object) -> None:
    end()


def after(module: t.Any, name: str, function: c.Callable[[], None]) -> None:
    """Let *function* run after what *module* calls under *name* so far, if anything."""
    theirs: c.Callable[[], object] | None = getattr(module, name, None)

    def both() -> None:
        try:
            if theirs is not None:
                theirs()
        finally:
            function()

    setattr(module, name, both)


def end() -> None:
    """Finish and close all that this process has. Later calls do nothing."""
    for home in homes():
        _leave_alone(home)
        units = any(unit.is_own() for unit in _units(home))
        if home.app() is None or not (units or os.getpid() in home.stores):
            continue
        store = home.store()
        if store.state is State.OPEN:
            store.deadline = time.monotonic() + store.seconds
            with _ended_after(store.seconds + 1):
                # Whoever asks twice does not want to wait any longer.
                with contextlib.suppress(KeyboardInterrupt):
                    _finish_units(home, store)
                _log(home, "Not all application objects could be closed", store.close)


def _leave_alone(home: Application) -> None:
    """Let nothing of the parent's end with this process; see ``forks.py``."""
    for pid, store in list(home.stores.items()):
        if pid != os.getpid():
            forks.keep(store)
    for unit in _units(home):
        if not unit.is_own():
            forks.keep(unit)


def _units(home: Application) -> list[Unit]:
    found = [reference() for reference in list(home.units.values())]
    return [unit for unit in found if unit is not None]


def _finish_units(home: Application, store: ApplicationStore) -> None:
    """Let other threads finish their units, for half of the time, and roll back what
    nobody else will ever finish: a context that was pushed and never popped.
    """
    until = time.monotonic() + store.seconds / 2
    while any(map(_goes_on, _units(home))) and time.monotonic() < until:
        time.sleep(0.01)
    for unit in _units(home):
        if unit.is_open() and not _goes_on(unit):
            step = functools.partial(within, store.seconds / 4, unit.abandon)
            _log(home, "A unit that was left open could not be rolled back", step)


def _goes_on(unit: Unit) -> bool:
    """Whether another thread is in it, which may go on while this one sleeps."""
    return (
        unit.is_own()
        and unit.thread != threading.get_ident()
        and unit.thread in sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
    )


def _log(home: Application, text: str, step: c.Callable[[], None]) -> None:
    try:
        step()
    except BaseException as error:
        for failure in leaves(error):
            # Where a time limit struck, its text tells; the way there is ours.
            way = None if isinstance(failure, CloseTimeout) else failure
            logger = t.cast("Flask", home.app()).logger
            logger.error("%s: %s", text, failure, exc_info=way)  # noqa: TRY400  # as *way* says


@contextlib.contextmanager
def _ended_after(seconds: float) -> c.Generator[None, None, None]:
    """End the process, if the block takes longer, and say where each thread is: the
    last resort, for what could not be interrupted.
    """
    # A thread that is not Python's: those cannot be started any more.
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
