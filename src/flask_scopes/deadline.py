"""Interrupt what takes too long, where that can be done.

In the main thread of a process, by a signal: an exception is raised in the middle
of whatever waits, be it a socket or a lock. Under gevent, by its own time-outs,
since a signal would hit whichever greenlet happens to run. Other threads cannot be
interrupted, and no thread can be started while Python 3.12 or newer shuts down.
"""

from __future__ import annotations

import collections.abc as c
import signal
import sys
import threading
import types
import typing as t

T = t.TypeVar("T")

_AGAIN: t.Final = 1.0  # seconds


class TookTooLong(BaseException):
    """Raised inside of what takes too long.

    Not an :exc:`Exception`, which a driver would take for one more failed attempt
    to reach its server.
    """


def within(seconds: float, step: c.Callable[[], T]) -> T:
    """What *step* returns; it is interrupted after so many *seconds*.

    Where nothing can interrupt, it takes as long as it takes: in a thread that is
    not the main one, and while an alarm of somebody else is set.

    :raises TookTooLong: unless *step* made something else of that.
    """
    if _is_green():
        return _by_gevent(seconds, step)
    if (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    ):
        return _by_signal(seconds, step)
    return step()


def _is_green() -> bool:
    monkey: t.Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _by_gevent(seconds: float, step: c.Callable[[], T]) -> T:
    gevent: t.Any = sys.modules["gevent"]
    timeout = gevent.Timeout.start_new(seconds, TookTooLong())
    try:
        return step()
    finally:
        timeout.close()


def _by_signal(seconds: float, step: c.Callable[[], T]) -> T:
    running = True

    def interrupt(number: int, frame: types.FrameType | None) -> None:
        if running:
            raise TookTooLong

    earlier = signal.signal(signal.SIGALRM, interrupt)
    # Again and again: what was interrupted may begin to wait for something else,
    # and an exception that comes up in a finalizer is lost.
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            return step()
        finally:
            running = False
    finally:
        # In a `finally` of its own, as the last signal may come in the first.
        signal.setitimer(signal.ITIMER_REAL, 0)
        # None is a handler that was not installed from Python.
        signal.signal(signal.SIGALRM, earlier or signal.SIG_DFL)
