"""What happens to objects, as signals: for metrics, traces and logs of your own.

They are Blinker's, as Flask's own are, and sent by the app. Each receiver is called
where it happens, with what happened as ``event``::

    @resource_built.connect_via(app)
    def count(app, event):
        built.labels(event.resource).inc()

An event has names and times, never an object. What a receiver raises is logged, and
does nothing else: a teardown must not fail because it was counted. To an app whose
objects nobody asks about, all of this costs nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import typing as t

import blinker

from . import events

if t.TYPE_CHECKING:
    from .building import Build
    from .events import Took
    from .store import Store
    from .unit import Unit

_log = logging.getLogger("flask_scopes")
_signals = blinker.Namespace()

resource_built = _signals.signal("scopes-resource-built")
"""A factory has made an object: *event* is a :class:`ResourceEvent`."""

resource_failed = _signals.signal("scopes-resource-failed")
"""A factory has raised, and there is no object: the same, with its ``error``."""

resource_closed = _signals.signal("scopes-resource-closed")
"""An object was let go, after its teardown, if it has one: the same, with what that
raised, if it did. (Not sent when an app is collected that nobody has closed.)
"""

unit_finished = _signals.signal("scopes-unit-finished")
"""A unit of work was committed or rolled back: *event* is a :class:`UnitEvent`. (Not
sent for one in which nothing was used.)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class ResourceEvent:
    """What happened to one object; lives as long as you keep it."""

    resource: str
    """The name of its factory."""
    scope: str
    """``application``, ``session``, ``request`` or ``until sent``."""
    place: str
    """Where its factory stands: ``file:line``."""
    type: str
    """Of the object, with its module; empty when there is none, or none any more."""
    has_teardown: bool
    started: int
    """When its factory, or its teardown, began, in nanoseconds since 1970."""
    seconds: float
    """How long that took. What a factory asks for is part of it."""
    error: BaseException | None
    """What that raised. Do not keep it: it holds on to the frames it came through."""

    @property
    def ended(self) -> int:
        """In nanoseconds since 1970."""
        return self.started + round(self.seconds * 1e9)


@dataclasses.dataclass(frozen=True, slots=True)
class UnitEvent:
    """How one unit of work has ended; lives as long as you keep it."""

    started: int
    """When it began to be finished, in nanoseconds since 1970."""
    seconds: float
    """How long that took: all teardowns, without those that wait until all was sent."""
    committed: bool
    """Whether it succeeded."""
    error: BaseException | None
    """Why it did not."""

    @property
    def ended(self) -> int:
        """In nanoseconds since 1970."""
        return self.started + round(self.seconds * 1e9)


class _Sender(events.Listener):
    """Sends what happens as signals; one for all apps, as long as the program."""

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        kind = type(made)
        self._send(resource_built, store, build, took, None, type_name(kind))

    def failed(
        self, store: Store, build: Build, error: BaseException, took: Took
    ) -> None:
        self._send(resource_failed, store, build, took, error)

    def closed(
        self, store: Store, build: Build, error: BaseException | None, took: Took
    ) -> None:
        self._send(resource_closed, store, build, took, error)

    def finished(self, unit: Unit, took: Took) -> None:
        event = UnitEvent(
            started=_since_1970(took.began),
            seconds=took.seconds,
            committed=unit.error is None,
            error=unit.error,
        )
        _send(unit_finished, unit, event)

    def _send(
        self,
        signal: blinker.NamedSignal,
        store: Store,
        build: Build,
        took: Took,
        error: BaseException | None,
        kind: str = "",
    ) -> None:
        if not signal.receivers:
            # It is another one that somebody wants to hear.
            return
        recipe = build.recipe
        event = ResourceEvent(
            resource=recipe.name,
            scope=str(recipe.scope),
            place=recipe.place,
            type=kind,
            has_teardown=recipe.yields,
            started=_since_1970(took.began),
            seconds=took.seconds,
            error=error,
        )
        _send(signal, store, event)


def type_name(kind: type) -> str:
    """The name of *kind*, with its module."""
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _send(
    signal: blinker.NamedSignal, store: Store, event: ResourceEvent | UnitEvent
) -> None:
    reference = store.events.app
    app = None if reference is None else reference()
    if app is None:
        return
    for receiver in signal.receivers_for(app):
        try:
            app.ensure_sync(receiver)(app, event=event)
        except Exception:
            # The others are still to hear of it, and so is this one next time: an
            # exporter that is away for once must not be silent for good.
            _log.exception("A receiver of %r failed", signal.name)


def _since_1970(moment: float) -> int:
    """What *moment*, by :func:`time.perf_counter`, is in nanoseconds since 1970."""
    global _apart
    apart = time.time_ns() - time.perf_counter_ns()
    # The same for all, unless the clock was set, or the machine asleep: by one that was
    # read anew each time, what is part of another could seem to begin before it.
    if abs(apart - _apart) > _SET:
        _apart = apart
    return _apart + round(moment * 1e9)


_SET: t.Final = 50_000_000
_apart = 0
_sender: t.Final = _Sender()


def _listen(signal: object, /, **receiver: object) -> None:
    """Somebody wants to hear: from now on it is told."""
    if _sender not in events.everywhere:
        events.everywhere.append(_sender)


for _signal in (resource_built, resource_failed, resource_closed, unit_finished):
    _signal.receiver_connected.connect(_listen)
