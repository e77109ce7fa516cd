"""What happened lately in one app and process, for the inspector to show.

Bounded, in memory, and of names and times alone: no object, and no value, is kept. It
takes no lock: a forked process must not inherit one that is held.
"""

from __future__ import annotations

import itertools
import time
import typing as t
import weakref

import click

from .. import contexts
from ..events import Listener
from ..places import user_frame
from ..signals import type_name
from ..unit import Unit
from .figures import Figures
from .record import Row
from .record import Spot
from .record import Use
from .record import Work
from .works import Works
from .works import begin

if t.TYPE_CHECKING:
    import collections.abc as c

    from ..application import Application
    from ..building import Build
    from ..events import Took
    from ..recipe import Recipe
    from ..recipe import Replacement
    from ..store import Store

ROWS: t.Final = 200
"""How many objects of each."""
USES: t.Final = 50
"""How many uses of each object; the others are counted."""

ENVIRON_KEY: t.Final = "flask_scopes.work"
"""Where the work of a request is found: any thread that has the request has that."""


class Recorder(Listener):
    """Records what an app does; lives as long as the app.

    :param home: what the app keeps.
    :param tells_why: called to know whether texts of exceptions may be kept, beside
        their types: they may quote what was sent.
    """

    def __init__(self, home: Application, tells_why: c.Callable[[], bool]) -> None:
        # Weak: *home* has us among its listeners.
        self._home = weakref.ref(home)
        self._tells_why = tells_why
        self._serials = itertools.count(1)
        self._numbers: weakref.WeakKeyDictionary[Build, int] = (
            weakref.WeakKeyDictionary()
        )
        self._of_build: weakref.WeakKeyDictionary[Build, Work] = (
            weakref.WeakKeyDictionary()
        )
        """While its factory runs."""
        self._of_store: weakref.WeakKeyDictionary[Store, Work] = (
            weakref.WeakKeyDictionary()
        )
        """Of units."""
        self._by_unit: dict[int, Work] = {}
        """By the id of the open unit that decides what becomes of it: of one that is
        collected, weak references have been cleared when it says so.
        """
        self._of_context: weakref.WeakKeyDictionary[object, Work] = (
            weakref.WeakKeyDictionary()
        )
        """Of what did not begin as a request."""
        self.works = Works()
        self.figures: weakref.WeakKeyDictionary[Recipe, Figures] = (
            weakref.WeakKeyDictionary()
        )

    # ---- What happens --------------------------------------------------------

    def building(self, store: Store, build: Build) -> None:
        work = self._work_for(store, build)
        self._of_build[build] = work
        if store is not self._shared():
            self._of_store[store] = work
            # Or it is one within, that ends in its own way.
            if isinstance(store, Unit) and self._current(None) is work:
                self._by_unit[id(store)] = work
        parent = build.parent
        row = self._add_row(work, build, work.passed(time.perf_counter()))
        if row is not None:
            row.asked_by = "" if parent is None else parent.recipe.name
            row.asked_at = _spot()

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        figures = self._figures(build)
        kind = type_name(type(made))
        figures.note_built(kind, took.seconds)
        figures.uses.update(dict.fromkeys(map(_resource_of, list(build.uses))))
        work = self._of_build.pop(build, None)
        row = self._row(work, build)
        if work is not None and row is not None:
            row.started, row.ready = work.passed(took.began), work.passed(took.ended)
            row.type = kind
            row.asks = _names(build)

    def failed(
        self, store: Store, build: Build, error: BaseException, took: Took
    ) -> None:
        failure = self.text(error)
        self._figures(build).note_failed(failure)
        work = self._of_build.pop(build, None)
        row = self._row(work, build)
        if work is not None and row is not None:
            row.closed = work.passed(took.ended)
            row.failure, row.failed_in = failure, "build"

    def used(self, store: Store, build: Build, asking: Build | None) -> None:
        self._figures(build).used += 1
        if asking is not None:
            self._figures(asking).uses[_resource_of(build)] = None
        shared = store is self._shared()
        work = self._current(asking) if shared else self._of_store.get(store)
        if work is None:
            return
        now = work.passed(time.perf_counter())
        row = self._row(work, build) or self._add_row(work, build, now, before=True)
        if row is not None:
            row.use_count += 1
            if len(row.uses) < USES:
                by = "" if asking is None else asking.recipe.name
                row.uses.append(Use(now, by, _spot()))

    def closed(
        self, store: Store, build: Build, error: BaseException | None, took: Took
    ) -> None:
        failure = "" if error is None else self.text(error)
        has_teardown = build.recipe.yields
        self._figures(build).note_closed(
            failure, took.seconds, has_teardown=has_teardown
        )
        work = self._of_store.get(store)
        row = self._row(work, build)
        if work is not None and row is not None:
            row.closing, row.closed = work.passed(took.began), work.passed(took.ended)
            if failure:
                row.failure, row.failed_in = failure, "teardown"

    def finishing(self, unit: Unit, status: int) -> None:
        work = self._by_unit.get(id(unit))
        if work is not None:
            work.view_status = status

    def finished(self, unit: Unit, took: Took) -> None:
        work = self._by_unit.pop(id(unit), None)
        if work is None:
            return
        work.units += 1
        work.finishing = work.passed(took.began)
        work.finished = work.passed(took.ended)
        if unit.error is None:
            work.outcome, work.reason = "committed", ""
        else:
            work.outcome = "partly committed" if unit.committed else "rolled back"
            work.reason = self.text(unit.error)

    def lost(self, unit: Unit) -> None:
        work = self._by_unit.pop(id(unit), None)
        if work is not None:
            work.outcome, work.reason = "left open", "and collected, without an end"

    def text(self, error: BaseException) -> str:
        """The type of *error*, and how it begins to say why, if that may be kept."""
        name = type(error).__name__
        if not self._tells_why():
            return name
        # Ours have several parts; what happened is the first.
        said = " ".join(str(error).partition("\n\n")[0].split())
        said = said if len(said) <= 200 else f"{said[:199]}…"
        return f"{name}: {said}" if said else name

    # ---- Which work, and which row ---------------------------------------------

    def _work_for(self, store: Store, build: Build) -> Work:
        found = self._current(build.parent) or self._of_store.get(store)
        if found is None:
            found = self._begin_elsewhere()
            self._of_context[contexts.locate(contexts.app_context.get())[0]] = found
            self.works.keep(found)
        return found

    def _current(self, asking: Build | None) -> Work | None:
        """The work that *asking* is built for, or that code runs in."""
        if asking is not None and asking in self._of_build:
            return self._of_build[asking]
        context = contexts.app_context.get(None)
        if context is None:
            return None
        inner, _ = contexts.locate(context)
        return self._of_context.get(inner) or _of_request(inner)

    def _begin_elsewhere(self) -> Work:
        """What begins here, not in a request that a server has passed on."""
        command = click.get_current_context(silent=True)
        request = contexts.innermost_request.get(None)
        around = None if request is None else _of_request(request)
        if around is not None:
            return begin("unit", f"unit in {around.title}")
        if command is not None:
            return begin("command", command.command_path)
        return begin("unit", f"unit at {_spot()}")

    def _row(self, work: Work | None, build: Build) -> Row | None:
        number = self._numbers.get(build)
        return None if work is None or number is None else work.by_build.get(number)

    def _add_row(
        self, work: Work, build: Build, now: float, *, before: bool = False
    ) -> Row | None:
        if len(work.rows) >= ROWS:
            # (What is only used may be so again and again.)
            work.dropped += not before
            return None
        recipe = build.recipe
        row = Row(
            number=len(work.rows) + 1,
            name=recipe.name,
            scope=str(recipe.scope),
            place=recipe.place,
            has_teardown=recipe.yields,
            is_replaced=_resource_of(build) is not recipe,
            before=before,
            started=now,
        )
        if before:
            row.ready, row.asks = now, _names(build)
            row.type = self._figures(build).type
        # Its id may be another's later.
        number = self._numbers.setdefault(build, next(self._serials))
        work.rows.append(row)
        work.by_build[number] = row
        return row

    def _figures(self, build: Build) -> Figures:
        return self.figures.setdefault(_resource_of(build), Figures())

    def _shared(self) -> object:
        """The store of application objects."""
        home = self._home()
        return None if home is None else home.store()


def _of_request(context: contexts.Context) -> Work | None:
    if not contexts.has_request(context):
        return None
    work: Work | None = context.request.environ.get(ENVIRON_KEY)
    return work


def _resource_of(use: Build | Replacement) -> Recipe:
    """What *use* is of, also if it is what an override made or gave."""
    recipe: t.Any = getattr(use, "recipe", use)
    original: Recipe = getattr(recipe, "original", recipe)
    return original


def _names(build: Build) -> list[str]:
    return list(dict.fromkeys(_resource_of(use).name for use in list(build.uses)))


def _spot() -> Spot:
    frame = user_frame()
    return (
        Spot("", 0) if frame is None else Spot(frame.f_code.co_filename, frame.f_lineno)
    )
