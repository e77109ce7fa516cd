"""What was left behind: objects that outlive their scope, and what nobody closed.

A :class:`Watch` listens, and holds nothing: of an object it keeps a weak reference, of
all else names and times.
"""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import dataclasses
import gc
import os
import time
import types
import typing as t
import weakref

from .. import overrides
from ..events import Listener
from ..places import short_path
from ..places import user_frame
from ..recipe import Replacement
from ..renewal import Checked
from ..scope import Scope
from ..signals import type_name
from ..unit import Unit
from .holders import holders_of

if t.TYPE_CHECKING:
    from ..application import Application
    from ..building import Build
    from ..events import Took
    from ..recipe import Recipe
    from ..store import Store

WATCHED: t.Final = 1000
"""How many objects that were closed are remembered."""
LOST: t.Final = 100
"""How many units that were lost are remembered."""
UNCLOSED: t.Final = 100
"""How many resources whose objects nobody closes are remembered."""
_REPORTED: t.Final = 20
_FEW: t.Final = 50

# They live as long as their module, or are alive only while somebody reads them.
_NOT_WATCHED: t.Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """An object that was built, by name."""

    resource: str
    scope: str
    place: str
    """Where its factory stands: ``file:line``."""
    asked_at: str
    """Where it was first asked for: ``file:line``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leak(Asked):
    """An object that is still referenced although it was closed."""

    type: str
    closed_ago: float
    """In seconds."""
    holders: list[str]
    """Who holds it, at most five; none, if that is code that runs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A unit that was never finished: its generators were closed by the collector, in
    no order, and nothing was committed.
    """

    objects: list[Asked]
    """What was still open, the first built first."""
    at: float
    """When it was collected, in seconds since 1970."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unclosed:
    """A resource whose objects could be closed, and whose factory does not."""

    resource: str
    scope: str
    place: str
    type: str


class _Entry:
    """One object that was built; lives as long as it is watched."""

    __slots__ = ("build", "closed", "file", "line", "made", "texts", "unit")

    def __init__(
        self,
        build: Build,
        texts: tuple[str, str, str],
        unit: weakref.ref[Unit] | None,
    ) -> None:
        self.build = weakref.ref(build)
        self.texts = texts
        self.unit = unit
        """What may still have to send a body with it."""
        self.made: weakref.ref[object] | None = None
        self.closed = 0.0
        frame = user_frame()
        self.file = frame.f_code.co_filename if frame else ""
        self.line = frame.f_lineno if frame else 0

    def asked(self) -> Asked:
        return Asked(*self.texts, self.asked_at())

    def asked_at(self) -> str:
        return f"{short_path(self.file)}:{self.line}" if self.file else "unknown"

    def object(self) -> object | None:
        return self.made() if self.made is not None else None

    def is_needed(self) -> bool:
        """Whether its unit is in progress, or its response is being sent."""
        unit = self.unit() if self.unit is not None else None
        return unit is not None and not unit.closed


class Watch(Listener):
    """Watches what becomes of the objects of an app, or of all apps; lives as long as
    its owner listens with it.
    """

    def __init__(self) -> None:
        # By the id of the build: in a collection, weak references to what is collected
        # have been cleared when a unit says that it is lost.
        self._open: dict[int, _Entry] = {}
        self._most_open = _FEW
        self._closed: collections.deque[_Entry] = collections.deque(maxlen=WATCHED)
        self._most_closed = _FEW
        self._lost: collections.deque[Lost] = collections.deque(maxlen=LOST)
        self._unclosed: dict[tuple[str, str], Unclosed] = {}
        self._texts: weakref.WeakKeyDictionary[Recipe, tuple[str, str, str]] = (
            weakref.WeakKeyDictionary()
        )

    # ---- What is heard -------------------------------------------------------

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        recipe, kind = build.recipe, type(made)
        # What an override made is a test's own. What another resource has made is
        # watched, and closed, there.
        own = not isinstance(recipe, Replacement) and not _is_of_another(
            store, build, made
        )
        if own and not recipe.yields:
            self._note_unclosed(recipe, kind)
        if recipe.scope is Scope.APPLICATION:
            return
        unit = weakref.ref(store) if isinstance(store, Unit) else None
        entry = self._open[id(build)] = _Entry(build, self._texts_of(recipe), unit)
        # By its type: the class that a proxy claims to have depends on the context.
        # And if somebody else has it as well, such as an enumeration its member, it was
        # there before, and is to outlive this.
        is_own = own and (is_new or recipe.yields)
        if is_own and not issubclass(kind, _NOT_WATCHED):
            # Of a list, a number, or a class with slots, it cannot be told.
            with contextlib.suppress(TypeError):
                entry.made = weakref.ref(made)
        if len(self._open) > self._most_open:
            self._prune()

    def _prune(self) -> None:
        """Forget what was never closed, and is gone."""
        for key, entry in list(self._open.items()):
            if entry.build() is None:
                self._open.pop(key, None)
        self._most_open = max(_FEW, 2 * len(self._open))

    def closed(
        self, store: Store, build: Build, error: BaseException | None, took: Took
    ) -> None:
        entry = self._open.pop(id(build), None)
        if entry is None or entry.made is None or entry.build() is not build:
            return
        entry.closed = time.monotonic()
        if len(self._closed) >= self._most_closed:
            # Or those that are held would be forgotten for those that are gone.
            held = [each for each in self._closed.copy() if each.object() is not None]
            self._closed.clear()
            self._closed.extend(held[-WATCHED // 2 :])
            self._most_closed = max(_FEW, 2 * len(self._closed))
        self._closed.append(entry)

    def lost(self, unit: Unit) -> None:
        # In the middle of a collection, perhaps: nothing else is done here.
        self._lost.append(Lost(self.open_in(unit), time.time()))

    def _note_unclosed(self, recipe: Recipe, kind: type) -> None:
        if len(self._unclosed) >= UNCLOSED:
            return
        if kind is types.GeneratorType or not _can_be_closed(kind):
            return
        name, scope, place = self._texts_of(recipe)
        self._unclosed[name, place] = Unclosed(name, scope, place, type_name(kind))

    def _texts_of(self, recipe: Recipe) -> tuple[str, str, str]:
        texts = self._texts.get(recipe)
        if texts is None:
            texts = (recipe.name, str(recipe.scope), recipe.place)
            self._texts[recipe] = texts
        return texts

    # ---- What is asked -------------------------------------------------------

    def still_referenced(
        self, excused: c.Callable[[object], bool] = lambda made: False
    ) -> list[Leak]:
        """The objects of units and visitors that somebody holds although they were
        closed; the last closed first. Collects garbage if there seem to be any.

        :param excused: whether somebody may hold that.
        """
        if not self._held():
            return []
        gc.collect()
        now = time.monotonic()
        leaks: list[Leak] = []
        for entry in self._held()[:_REPORTED]:
            made = entry.object()
            if made is None or excused(made):
                continue
            kind, ago = type_name(type(made)), now - entry.closed
            texts = (*entry.texts, entry.asked_at())
            leaks.append(Leak(*texts, kind, ago, holders_of(made)))
        return leaks

    def may_leak(self) -> bool:
        """Whether any seem to be there, as long as nothing was collected."""
        return bool(self._held())

    def _held(self) -> list[_Entry]:
        alive = [each for each in self._closed.copy() if each.object() is not None]
        if len(alive) < len(self._closed):
            self._closed.clear()
            self._closed.extend(alive)
        return [entry for entry in reversed(alive) if not entry.is_needed()]

    def forget(self) -> None:
        """Begin anew: what was built, closed or lost so far is not told of."""
        self._open.clear()
        self._closed.clear()
        self._lost.clear()

    def lost_units(self) -> list[Lost]:
        """The units that were left open, and collected; the last first."""
        return list(reversed(self._lost.copy()))

    def never_closed(self) -> list[Unclosed]:
        """What could be closed, and nobody does."""
        return list(self._unclosed.values())

    def open_in(self, store: Store) -> list[Asked]:
        """What is open in *store*, the first built first."""
        entries = [self._open.get(id(build)) for build in list(store.built)]
        return [entry.asked() for entry in entries if entry is not None]


@dataclasses.dataclass(frozen=True, slots=True)
class Inherited:
    """An application object that this process was forked with, and does not use."""

    resource: str
    place: str
    asked_at: str
    """Where it was first asked for."""


def built_before_fork(home: Application) -> list[Inherited]:
    """What had been built when this process was forked, and is not shared."""
    return [
        Inherited(build.recipe.name, build.recipe.place, build.place)
        for pid, store in list(home.stores.items())
        for build in list(store.built)
        if pid != os.getpid() and build.recipe.options.fork != "share"
    ]


def _is_of_another(store: Store, build: Build, made: object) -> bool:
    """Whether *made* was made by another resource, or is what an override hands out."""
    for key, value in list(store.objects.items()):
        if value is made and store.records.get(key) is not build:
            return True
    app = store.events.app() if store.events.app is not None else None
    home: Application | None = app.extensions.get("scopes") if app else None
    shared = home.stores.get(os.getpid()) if home else None
    if shared is not None and shared is not store:
        for value in list(shared.objects.values()):
            if (value.value if type(value) is Checked else value) is made:
                return True
    return app is made or overrides.hands_out(made)


def _can_be_closed(kind: type) -> bool:
    return any(
        name in vars(each) for each in kind.__mro__ for name in ("close", "aclose")
    )
