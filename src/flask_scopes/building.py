"""What is being built now, by whom, and who waits for it.

A :class:`Build` is one making of one object. While it runs it is a frame on a
stack: the stack is a chain of parents, its top is a ContextVar, so that each
thread, greenlet and copied context has its own, and two threads that build the
same object are no cycle. A context copied inside of a factory (for a thread
that the factory starts and waits for) carries the stack along, so there it is.

When the object is ready the same record stays with it: which generator will
tear it down, and what it asked for while it was made.
"""

from __future__ import annotations

import collections.abc as c
import contextvars
import os
import threading
import types
import typing as t

from . import errors
from . import messages
from .recipe import Key
from .recipe import Recipe
from .recipe import Replacement

current_build: contextvars.ContextVar[Build | None] = contextvars.ContextVar(
    "flask_scopes.current_build", default=None
)

_GENERATOR, _COROUTINE = types.GeneratorType, types.CoroutineType


class Build:
    """One making of one object: a frame while it runs, a record afterwards."""

    # What is different in few of them stands here: setting it takes time in each.
    generator: types.GeneratorType[object, None, None] | None = None
    """Suspended at its yield; None if there is nothing to tear down."""
    context: contextvars.Context | None = None
    """Where an application object was made and will be torn down."""
    error: Exception | None = None
    """What the factory raised, for those who are waiting."""
    place = ""
    """Where an application object was first asked for."""
    running = True

    def __init__(self, recipe: Recipe, key: Key, parent: Build | None) -> None:
        self.recipe = recipe
        self.key = key
        self.parent = parent
        self.uses: dict[Build | Replacement, None] = {}
        """How what the factory asked for was built (or what replaced it), in
        order.
        """
        self.thread = threading.get_ident()
        self.waiters: list[threading.Lock] = []
        """One lock for each thread that waits for this build; see `wait`."""

    def inherited(self) -> Build:
        """The record of the same object in a forked process, which does not tear
        it down.
        """
        build = Build(self.recipe, self.key, None)
        build.uses, build.place = self.uses, self.place
        build.end()
        return build

    def end(self) -> None:
        """Let those go on who wait for it, and let go of the frame below."""
        self.running = False
        self.parent = None
        while self.waiters:
            self.waiters.pop().release()

    def fail(self, error: BaseException) -> None:
        """Keep *error* for those who are waiting, unless it is about this thread
        (it is to stop, or has closed a circle).
        """
        if self.waiters and not isinstance(error, errors.ScopesError):
            self.error = error if isinstance(error, Exception) else None

    def wait(self) -> None:
        """Return when the build has ended, well or badly.

        The lock is made here, by the thread that needs it: at import a server's
        monkey patching may still be to come, and nobody pays who does not wait.
        """
        lock = threading.Lock()
        lock.acquire()
        self.waiters.append(lock)
        # Looked up after appending, as `end` sets it before taking from the
        # list: whichever thread comes second sees what the first one did.
        while self.running:
            # Again and again: an exception from outside (a signal, a killed
            # greenlet) can keep `end` from coming here.
            lock.acquire(timeout=1)

    def chain(self) -> c.Iterator[Build]:
        """This build, what asked for it, what asked for that, and so on."""
        build: Build | None = self
        while build is not None:
            yield build
            build = build.parent


def run_factory(
    build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
) -> object:
    """Run the factory, as far as its yield if it is a generator.

    :raises YieldError: a generator ended without a yield.
    """
    recipe = build.recipe
    token = current_build.set(build)
    try:
        made = recipe.factory(*args, **kwargs) if args or kwargs else recipe.factory()
        # (There are no subclasses of these two.)
        kind = type(made)
        if kind is _GENERATOR and recipe.yields:
            generator = t.cast("types.GeneratorType[object, None, None]", made)
            build.generator = generator
            for first in generator:
                return first
            raise messages.no_yield(recipe)
        if kind is _COROUTINE:
            t.cast("types.CoroutineType[object, object, object]", made).close()
            raise messages.bad_factory(recipe.scope, recipe.factory, messages.IS_ASYNC)
        return made
    finally:
        current_build.reset(token)


def _forked() -> None:
    # What the parent was building is not being built in the child.
    current_build.set(None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
