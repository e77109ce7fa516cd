"""What one app keeps: the stores of its processes, and the units in progress."""

from __future__ import annotations

import contextvars
import os
import threading
import typing as t
import weakref

from . import contexts
from . import messages
from .isolation import app_alone
from .store import Store
from .store import run_and_publish
from .teardown import finish
from .unit import Unit
from .unit import keep_inherited

if t.TYPE_CHECKING:
    import collections.abc as c

    from flask import Flask

    from .building import Build

T = t.TypeVar("T")


# How Flask 3.1 and 3.2 say that there is no request.
_NO_REQUEST = ("Working outside of request context", "There is no request in this")


class Member(t.Protocol):
    """What an app is set up with: :class:`~flask_scopes.Scopes`."""

    longest_body: int


class ApplicationStore(Store):
    """The application objects of one app in one process.

    Each is made, and torn down, in an empty :class:`contextvars.Context` of its
    own with nothing but an app context pushed: nothing of the request that
    happened to come first can be kept, and what a factory enters before its
    yield can be left after it.
    """

    __slots__ = ("app",)

    def __init__(self, app: weakref.ref[Flask]) -> None:
        super().__init__()
        self.app = app

    def make(
        self, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> object:
        build.context = contextvars.Context()
        # Published inside: teardown functions of the app, which run when the
        # context is popped, may use it.
        return self._in_app(build, lambda: run_and_publish(self, build, args, kwargs))

    def finish(self, build: Build, error: BaseException | None) -> BaseException | None:
        if build.generator is None:
            return None
        # At the end of a process there is no unit to fail: that one object
        # could not be closed is no reason for another to roll back.
        try:
            return self._in_app(build, lambda: finish(build, None))
        except BaseException as raised:
            # The context could not even be pushed. The others still have to go.
            return finish(build, None) or raised

    def _in_app(self, build: Build, step: c.Callable[[], T]) -> T:
        def run() -> T:
            app = t.cast("Flask", self.app())
            with app_alone(app, lambda: messages.no_g(build.recipe)):
                try:
                    return step()
                except RuntimeError as error:
                    if str(error).startswith(_NO_REQUEST):
                        error.add_note(messages.no_request(build.recipe))
                    raise

        if build.context is None and build.thread != threading.get_ident():
            # Another thread is still in it, with the app's teardown functions.
            build.wait()
        context, build.context = build.context, None
        if context is None:
            # In it already: a teardown function of the app closes the app.
            return step()
        try:
            return context.run(run)
        finally:
            build.context = context


class Application:
    """What one Flask app keeps in ``app.extensions["scopes"]``; lives as long."""

    __slots__ = (
        "__weakref__",
        "app",
        "keeps_until_sent",
        "members",
        "replays",
        "stores",
        "units",
    )

    def __init__(self, app: Flask) -> None:
        # Weak, because the app holds us.
        self.app = weakref.ref(app)
        self.members: set[Member] = set()
        """The :class:`~flask_scopes.Scopes` that may be used with this app."""
        self.keeps_until_sent = False
        """Whether any object may have to live until a response was sent."""
        self.replays = False
        """Whether views may be retried."""
        self.stores: dict[int, ApplicationStore] = {}
        """By process id. After a fork the parent's stays here untouched: to
        drop it would close, from the child, what the parent uses.
        """
        self.units: dict[int, weakref.ref[Unit]] = {}
        """The units in progress, by id: an override has to find them."""

    def store(self) -> ApplicationStore:
        """The store of this process, made at first use."""
        pid = os.getpid()
        store = self.stores.get(pid)
        if store is None:
            # Atomic, so that threads agree on one, and without a lock, which
            # a fork could hand down locked.
            store = self.stores.setdefault(pid, ApplicationStore(self.app))
        return store

    def unit(self, context: contexts.Context) -> Unit | None:
        """The unit that code in app context *context* belongs to, made at first
        use; None if there cannot be one any more: Flask has popped the context, or
        the request had nothing to finish and is finished.
        """
        inner, alone = contexts.locate(context)
        unit: Unit | None = getattr(inner, "scopes_unit", None)
        if unit is None or unit.forks != contexts.forks:
            if contexts.is_over(inner) or hasattr(inner, "scopes_finished"):
                return None
            if unit is not None:
                keep_inherited(unit)
            unit = contexts.keep_unit(inner, Unit(self.units))
        if alone:
            early: Unit | None = getattr(context, "scopes_unit", None)
            if early is not None and early.is_open():
                # Begun by a receiver of `appcontext_pushed`, before there was a
                # request: it is the request's.
                inner.scopes_unit = unit = early
            # It ends with the request: what is asked for between that and the
            # end of the app context must not begin another.
            context.scopes_unit = unit
            contexts.attach(context, unit, shortcut=False)
        return unit

    def longest_body(self) -> int:
        """How much of a request's body any view wants to be kept, in bytes."""
        return max(member.longest_body for member in self.members)
