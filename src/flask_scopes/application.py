"""What one app keeps: the stores of its processes, and the units in progress."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import typing as t
import weakref

from . import contexts
from . import forks
from . import process
from . import process_messages
from .application_store import ApplicationStore
from .events import Events
from .unit import Unit

if t.TYPE_CHECKING:
    from flask import Flask
    from werkzeug.exceptions import HTTPException

    from .recipe import Recipe


class Member(t.Protocol):
    """What an app is set up with: :class:`~flask_scopes.Scopes`."""

    kept: list[Recipe]
    longest_body: int


_beginning: dict[int, Unit] = {}
"""The first unit that was made for a context, by its id, until it is kept there."""


def _keep(context: contexts.Context, unit: Unit) -> Unit:
    """Keep *unit* on *context*, and return the one that is kept there: a thread
    with a copy of the context may have been first.
    """
    # Atomic, unlike "if there is none, set it"; and by the context's own `__dict__` all
    # that Flask reads from it would be slower.
    key = id(context)
    try:
        first = _beginning.setdefault(key, unit)
        kept: Unit | None = getattr(context, "scopes_unit", None)
        if kept is None or kept.forks != unit.forks:
            # (Or it is of the process that forked this one, in the middle of it.)
            context.scopes_unit = kept = first
    finally:
        # One call, whoever was first: a signal that raises must leave nothing here.
        _beginning.pop(key, None)
    return kept


if hasattr(os, "register_at_fork"):
    # Of threads that are not here.
    os.register_at_fork(after_in_child=_beginning.clear)


Managers: t.TypeAlias = list[c.Callable[[], contextlib.AbstractContextManager[object]]]


def entered(managers: Managers) -> contextlib.AbstractContextManager[object]:
    """What all of *managers* make, entered in this order. (Mostly there are none.)"""
    if not managers:
        return _NOTHING
    return _all_of(managers)


_NOTHING: t.Final = contextlib.nullcontext()


@contextlib.contextmanager
def _all_of(managers: Managers) -> c.Generator[None, None, None]:
    with contextlib.ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager())
        yield


class Application:
    """What one Flask app keeps in ``app.extensions["scopes"]``; lives as long."""

    __slots__ = (
        "__weakref__",
        "answers",
        "app",
        "around_requests",
        "around_units",
        "events",
        "hooked",
        "inspector",
        "keeps_in_session",
        "keeps_until_sent",
        "members",
        "replays",
        "starts",
        "stores",
        "units",
        "wraps_requests",
    )

    def __init__(self, app: Flask) -> None:
        # Weak, because the app holds us.
        self.app = weakref.ref(app)
        self.events = Events(self.app)
        self.hooked: tuple[object, ...] = ()
        """What of the app was found to be in order by :func:`hooks.watch`."""
        self.inspector: object = None
        """Whoever shows what happens, if anybody does."""
        self.members: set[Member] = set()
        """The :class:`~flask_scopes.Scopes` that may be used with this app."""
        self.answers: list[c.Callable[[Exception], HTTPException | None]] = []
        """Each may know what page to answer with for an error that nobody handles."""
        self.keeps_in_session = False
        """Whether any object may live with a visitor."""
        self.keeps_until_sent = False
        """Whether any object may have to live until a response was sent."""
        self.around_requests: Managers = []
        """What each request is handled in; entered and left in one frame, so that
        it may set a ContextVar. A body that is streamed comes after it.
        """
        self.around_units: Managers = []
        """The same for each ``with scopes.unit():``, be it inside of a request."""
        self.wraps_requests = False
        """Whether ``wsgi_app`` is wrapped, as one of these needs it."""
        self.replays = False
        """Whether views may be retried."""
        self.starts = False
        """Whether anything is to be built when a process begins to serve."""
        self.stores: dict[int, ApplicationStore] = {}
        """By process id. After a fork the parent's stays here untouched: to
        drop it would close, from the child, what the parent uses.
        """
        self.units: dict[int, weakref.ref[Unit]] = {}
        """The units in progress, by id: an override has to find them."""
        config = t.cast("dict[str, t.Any]", app.config)
        config.setdefault("SCOPES_CLOSE_TIMEOUT", 10)
        process.watch(self)

    def store(self) -> ApplicationStore:
        """The store of this process, made at first use."""
        return self.stores.get(os.getpid()) or self._begin()

    def _begin(self) -> ApplicationStore:
        pid = os.getpid()
        parents = list(self.stores.values())
        store = ApplicationStore(self.app, self._close_timeout(), self.events)
        if parents:
            store.inherit(parents[-1])
        # Atomic, so that threads agree on one, and without a lock, which
        # a fork could hand down locked.
        kept = self.stores.setdefault(pid, store)
        if kept is store:
            process.watch(self)
            forks.warn(
                [
                    build
                    for parent in parents
                    for build in parent.built
                    if build.recipe.options.fork != "share"
                ]
            )
        return kept

    def _close_timeout(self) -> float:
        app = t.cast("Flask", self.app())
        config = t.cast("dict[str, t.Any]", app.config)
        value = config["SCOPES_CLOSE_TIMEOUT"]
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = 0.0
        # (Not a number, that is false as well.)
        if not seconds > 0 or isinstance(value, bool):
            raise process_messages.bad_close_timeout(value, app.name)
        return seconds

    def unit(self, context: contexts.Context) -> Unit | None:
        """The unit that code in app context *context* belongs to, made at first
        use; None if there cannot be one any more: Flask has popped the context, or
        the request had nothing to finish and is finished.
        """
        return self.unit_of(*contexts.locate(context), context)

    def unit_of(
        self, inner: contexts.Context, alone: bool, context: contexts.Context
    ) -> Unit | None:
        """The unit of a request or app context *inner*.

        :param alone: whether app context *context* was pushed for it alone.
        """
        unit: Unit | None = getattr(inner, "scopes_unit", None)
        if unit is None or unit.forks != contexts.forks:
            if contexts.is_over(inner) or hasattr(inner, "scopes_finished"):
                return None
            if unit is not None:
                forks.keep(unit)
            made = Unit(self.units, self.events, self.members)
            unit = _keep(inner, made)
        if alone or inner is context:
            early: Unit | None = getattr(context, "scopes_unit", None)
            if early is not None and early.is_open():
                # Begun by a receiver of `appcontext_pushed`, before there was a
                # request: it is the request's.
                inner.scopes_unit = unit = early
            # It ends with the request: what is asked for between that and the
            # end of the app context must not begin another.
            context.scopes_unit = unit
            if not hasattr(context, "scopes_application"):
                context.scopes_application = contexts.NOTHING
            contexts.attach(context, unit)
        return unit

    def longest_body(self) -> int:
        """How much of a request's body any view wants to be kept, in bytes."""
        return max(member.longest_body for member in self.members)
