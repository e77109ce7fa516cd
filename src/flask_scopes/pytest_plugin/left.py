"""What one test has left open or leaked, for the pytest plugin."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import gc
import inspect
import threading
import types
import typing as t
import weakref

import flask
from flask.testing import FlaskClient

from .. import contexts
from ..places import is_ours
from ..places import short_path
from ..recording.leaks import Asked
from ..recording.leaks import Watch
from ..scope import Scope
from ..store import State
from ..unit import Unit

if t.TYPE_CHECKING:
    from ..building import Build
    from ..events import Took
    from ..store import Store

_FEW: t.Final = 50
_PACKAGES: t.Final = ("blinker", "contextlib", "flask", "werkzeug")


@dataclasses.dataclass(slots=True)
class Left:
    """A unit that a test began, and did not end; by name."""

    thread: int
    pushed_at: str
    """Where its context was pushed."""
    objects: list[Asked]
    is_lost: bool = False
    """Whether the collector has ended it."""


class Guard(Watch):
    """Watches one test after the other; lives as long as the run of pytest."""

    def __init__(self) -> None:
        super().__init__()
        self._testing = False
        self._wide = 0
        self._units: dict[int, tuple[weakref.ref[Unit], Left]] = {}
        """Those begun in this test, and not finished, by id."""
        self._most_units = _FEW
        self._left: list[Left] = []
        self._outer: weakref.WeakSet[t.Any] = weakref.WeakSet()
        """The contexts in which tests run, without having pushed them."""
        self._pushed: weakref.WeakKeyDictionary[t.Any, str] = (
            weakref.WeakKeyDictionary()
        )
        flask.appcontext_pushed.connect(self._note_context)

    def begin(self) -> None:
        """A test begins."""
        self.forget()
        self._units.clear()
        self._left.clear()
        self._note_outer()
        self._testing = True

    def end(self) -> None:
        """It is over; what happens until the next one is nobody's."""
        self._testing = False
        self.forget()
        self._units.clear()

    @contextlib.contextmanager
    def outside_of_tests(self) -> c.Generator[None, None, None]:
        """What is done in here is not done by a test, but for several of them."""
        self._wide += 1
        try:
            yield
        finally:
            self._wide -= 1
            self._note_outer()

    def _note_outer(self) -> None:
        context = contexts.app_context.get(None)
        if context is not None:
            self._outer.update((context, contexts.locate(context)[0]))

    def _note_context(self, sender: flask.Flask, **sent: t.Any) -> None:
        context = contexts.app_context.get(None)
        if context is not None and "scopes" in sender.extensions:
            self._pushed[context] = _users_line()

    # ---- What is heard -------------------------------------------------------

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        if not self._testing or self._wide:
            return
        super().built(store, build, made, took, is_new)
        context = contexts.app_context.get(None)
        if build.recipe.scope is Scope.APPLICATION or context is None:
            return
        inner = contexts.locate(context)[0]
        unit: Unit | None = getattr(inner, "scopes_unit", None)
        if unit is None or inner in self._outer:
            return
        known = self._units.get(id(unit))
        if known is not None and known[0]() is unit:
            return
        where = self._pushed.get(context, "an unknown place")
        left = Left(threading.get_ident(), where, [])
        self._units[id(unit)] = (weakref.ref(unit), left)
        if len(self._units) > self._most_units:
            # Those that had to wait for their body to be sent: it was.
            for key, (reference, _) in list(self._units.items()):
                each = reference()
                if each is None or each.closed:
                    self._units.pop(key, None)
            self._most_units = max(_FEW, 2 * len(self._units))

    def finished(self, unit: Unit, took: Took) -> None:
        if not unit.sent:
            self._units.pop(id(unit), None)

    def lost(self, unit: Unit) -> None:
        known = self._units.get(id(unit))
        if known is not None:
            left = known[1]
            left.objects, left.is_lost = self.open_in(unit), True
            self._left.append(left)

    # ---- What is asked -------------------------------------------------------

    def seems_clean(self) -> bool:
        """Whether nothing is left, as far as that is known without a collection."""
        return not (self._left or self._unfinished() or self.may_leak())

    def left_open(self) -> list[Left]:
        """The units that are still open, and those that were lost. To be called after
        a collection.
        """
        found = list(self._left)
        running = {thread.ident for thread in threading.enumerate()}
        for unit, left in self._unfinished():
            # A server that a test has started may just be sending a response.
            if left.thread == threading.get_ident() or left.thread not in running:
                stores = [unit, *unit.sent]
                left.objects = [each for s in stores for each in self.open_in(s)]
                found.append(left)
        return [left for left in found if left.objects]

    def _unfinished(self) -> list[tuple[Unit, Left]]:
        units = [(unit(), left) for unit, left in list(self._units.values())]
        return [
            (unit, left)
            for unit, left in units
            if unit is not None
            and unit.is_own()
            and any(each.state is State.OPEN for each in (unit, *unit.sent))
        ]


def _users_line() -> str:
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        ours = is_ours(frame.f_code.co_filename)
        if not ours and module.partition(".")[0] not in _PACKAGES:
            return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return "an unknown place"


class Excuses:
    """What may hold an object for longer than a test: what fixtures of a wider scope
    have made, parameters, and the instance of the test's class. Their attributes are
    looked at, and plain data in these, but nothing further: an app may not.
    """

    def __init__(self, holders: c.Iterable[object]) -> None:
        self.ids: set[int] = set()
        todo = list(holders)
        for level in range(5):
            below: list[object] = []
            for each in todo:
                kind = type(each)
                if kind in _PLAIN or (level == 0 and not issubclass(kind, _OPAQUE)):
                    below += gc.get_referents(each)
            self.ids.update(map(id, todo))
            todo = below

    def __call__(self, made: object) -> bool:
        return id(made) in self.ids


_PLAIN: t.Final = (dict, frozenset, list, set, tuple)
_OPAQUE: t.Final = (
    flask.Flask,
    FlaskClient,
    type,
    types.FunctionType,
    types.ModuleType,
)
