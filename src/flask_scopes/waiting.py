"""Waiting for what another thread is building, unless it waits for us.

Before a thread waits it says so in ``_waiting`` and then looks whether the build that
it is about to wait for is, directly or through others, waiting for one of its own: of
two threads that close a circle the later one sees the earlier one's entry, so no lock
is needed and at least one of them gets an error where both would have hung.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
import types

from . import messages
from .building import Build
from .recipe import Recipe


def wait_for(rival: Build, mine: Build | None) -> None:
    """Return when *rival*, which another thread is making, is ready or has failed.

    :param mine: what this thread is building meanwhile, if anything.
    :raises CycleError: *rival* is part of what asked, or waits for it.
    """
    steps = [] if mine is None else list(mine.chain())
    if rival in steps:
        loop = steps[: steps.index(rival) + 1]
        path = [build.recipe for build in reversed(loop)]
        raise messages.cycle([*path, rival.recipe])
    me, wait = threading.get_ident(), rival.wait
    if rival.thread == me:
        greenlet = _greenlet()
        if greenlet is None or _is_below(rival):
            # Asked for in another context, so that the stack does not tell: by a
            # signal receiver or a teardown function that its factory sets off.
            raise messages.cycle([rival.recipe, rival.recipe])
        me, wait = id(greenlet), functools.partial(_let_others_run, rival)
    # With the thread: several may run in copies of one factory's context, and
    # one that holds a build may ask for another where the stack does not reach.
    _waiting[mine, me] = rival
    try:
        circle = _circle(steps, rival, me)
        if circle is not None:
            raise messages.cycle(circle, threads=True)
        wait()
    finally:
        del _waiting[mine, me]


def _is_below(rival: Build) -> bool:
    """Whether this very call comes from the making of *rival*."""
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None:
        name, here = frame.f_code.co_name, frame.f_locals
        if name == "get_or_build" and here.get("build") is rival:
            return True
        frame = frame.f_back
    return False


def _greenlet() -> object | None:
    """The one that runs, if a hub is there that could run others meanwhile."""
    if "gevent" in sys.modules or "eventlet" in sys.modules:
        current: object = sys.modules["greenlet"].getcurrent()
        return current
    return None


def _let_others_run(rival: Build) -> None:
    """Return when *rival* has ended, which another greenlet of this thread is making:
    to wait for a lock would keep that from ever going on. (Under monkey patching,
    each counts as a thread, and locks let the others run.)
    """
    hub = sys.modules.get("gevent") or sys.modules["eventlet"]
    # By these it is told that somebody wants to know how it ends.
    rival.waiters.append(threading.Lock())
    rival.waiters[-1].acquire()
    while rival.running:
        hub.sleep(0.01)


_waiting: dict[tuple[Build | None, int], Build] = {}
"""Who (the innermost build of a thread, if any, and the thread) waits for what."""


def _waits() -> list[tuple[tuple[Build | None, int], Build]]:
    while True:
        try:
            return list(_waiting.items())
        except RuntimeError:
            # Not even a copy is atomic on Python 3.11: it allocates, a collection
            # may run finalizers then, and other threads meanwhile.
            continue


def _circle(own: list[Build], rival: Build, me: int) -> list[Recipe] | None:
    """The path from one of *own*, this thread's builds with the innermost first,
    through other threads back to it.

    :param me: this thread, or this greenlet.
    """
    ways: list[tuple[Build, list[Recipe]]] = [(rival, [rival.recipe])]
    seen: set[Build] = set()
    while ways:
        goal, path = ways.pop()
        if goal in own:
            below = own[: own.index(goal) + 1]
            return [build.recipe for build in reversed(below)] + path
        if goal.running and goal.thread == me:
            return [goal.recipe, *path]
        if goal in seen:
            continue
        seen.add(goal)
        for (waiter, thread), target in _waits():
            chain = [] if waiter is None else list(waiter.chain())
            if goal in chain:
                above = chain[: chain.index(goal)]
                step = [build.recipe for build in reversed(above)]
                ways.append((target, [*path, *step, target.recipe]))
            elif goal.running and goal.thread == thread:
                ways.append((target, [*path, target.recipe]))
    return None


def _forked() -> None:
    # In the child nobody waits.
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
