"""The objects of one scope in one place: built once, torn down in reverse.

``objects`` is what a warm call reads, without a lock. A cold call claims the
build with ``dict.setdefault``, which is atomic: who gets its own claim back
makes the object, everybody else waits for it, and nobody waits who asks for
something else. ``built`` is the order in which objects became ready, which is
what teardown reverses.

Nothing here takes a lock of its own, so nothing can be inherited locked by a
fork, and a greenlet that is killed or a signal that raises inside of a factory
leaves nothing held.
"""

from __future__ import annotations

import copy
import enum
import time
import typing as t

from . import messages
from .building import Build
from .building import run_factory
from .events import NOBODY
from .events import Events
from .events import Noted
from .events import everywhere
from .recipe import UNSET
from .recipe import Key
from .recipe import Recipe
from .teardown import finish
from .teardown import raise_together
from .waiting import wait_for

if t.TYPE_CHECKING:
    from .recipe import Replacement


class State(enum.Enum):
    """How far the life of a store is."""

    OPEN = enum.auto()
    ENDING = enum.auto()
    CLOSED = enum.auto()


# A name costs a tenth of what Python 3.11 takes to find a member of an Enum.
_OPEN, _ENDING, _CLOSED = State.OPEN, State.ENDING, State.CLOSED


class Store:
    """The objects of one scope; lives as long as they do."""

    __slots__ = (
        "__weakref__",
        "built",
        "claims",
        "error",
        "events",
        "objects",
        "records",
        "state",
    )

    def __init__(self, events: Events = NOBODY) -> None:
        self.events = events
        self.objects: dict[Key, t.Any] = {}
        self.records: dict[Key, Build] = {}
        """How each of ``objects`` was built. Teardown leaves these in place:
        what has a record and no object was torn down already.
        """
        self.built: list[Build] = []
        """In the order in which the objects became ready."""
        self.claims: dict[Key, Build] = {}
        """What is being built now."""
        self.error: BaseException | None = None
        """What the work failed with, once the store has ended."""
        self.state = _OPEN

    def get_or_build(
        self,
        recipe: Recipe,
        key: Key,
        args: tuple[t.Any, ...],
        kwargs: dict[str, t.Any],
        asking: Build | None,
    ) -> object:
        """The object of *key*, built by this call if nobody has built it yet.

        :param asking: the build that asks, if any.
        :raises ClosedError: it, or the whole store, is already torn down.
        :raises CycleError: it is being built by what asks for it.
        """
        claims = self.claims
        while True:
            # (Another thread may have built it just now.)
            if self.state is not _OPEN and key not in self.objects:
                self._refuse_gone(recipe, key)
            build = claim = Build(recipe, key, asking)
            try:
                claim = claims.setdefault(key, build)
                if claim is build and key not in self.objects:
                    made = self._build(build, args, kwargs)
                    if asking is not None:
                        asking.uses[build] = None
                    return made
            finally:
                # By what is there, not by what was returned: an exception from
                # outside (a signal, a killed greenlet) can come in between.
                if claims.get(key) is build:
                    del claims[key]
                build.running, build.parent = False, None
                if build.waiters:
                    build.end()
            if claim is not build:
                self._wait(claim, asking)
            found = self.look(key, asking)
            if found is not UNSET:
                return found

    def _wait(self, claim: Build, asking: Build | None) -> None:
        # Those who waited share how it ended. If each tried in turn, an outage would
        # hold the last one for the sum of all time-outs.
        wait_for(claim, asking)
        if self.claims.get(claim.key) is claim:
            # Left there by an argument whose hash has changed.
            del self.claims[claim.key]
        if claim.error is not None:
            raise _again(claim.error) from claim.error

    def look(self, key: Key, asking: Build | None) -> object:
        """The object of *key*, or :data:`UNSET`; noted for *asking*, if that is any."""
        while True:
            record = self.records.get(key)
            found = self.objects.get(key, UNSET)
            if asking is None or found is UNSET:
                return found
            # The same before and after: then the object is what it made. (An
            # override or a renewal may put another in its place.)
            if record is not None and self.records.get(key) is record:
                asking.uses[record] = None
                return found
            time.sleep(0)

    def _build(
        self, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> object:
        try:
            if self.events.listeners or everywhere:
                made = self.events.build(self, build, args, kwargs)
            else:
                made = self.make(build, args, kwargs)
        except BaseException as error:
            build.fail(error)
            raise
        if self.state is not _OPEN:
            self._refuse_late(build)
        return made

    def make(
        self, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> object:
        """Run the factory of *build*; where, is up to the kind of store."""
        return run_and_publish(self, build, args, kwargs)

    def finish(self, build: Build, error: BaseException | None) -> BaseException | None:
        """Run the teardown of *build*; where, is up to the kind of store."""
        return finish(build, error)

    def tear_down(
        self, build: Build, error: BaseException | None
    ) -> BaseException | None:
        """Let go what *build* made; return what its teardown raised of its own."""
        if self.events.listeners or everywhere:
            return self.events.finish(self, build, error)
        return self.finish(build, error)

    def shortcut(self) -> dict[Key, t.Any]:
        """What warm calls read."""
        if self.events.listeners:
            # They only ever take an item.
            return t.cast("dict[Key, t.Any]", Noted(self))
        return self.objects

    def publish(self, build: Build, made: object) -> None:
        """Let calls find *made*, and teardown reach it."""
        # In this order: what is built from it cannot become ready before it.
        self.built.append(build)
        self.records[build.key] = build
        self.objects[build.key] = made

    def end(self, error: BaseException | None) -> None:
        """Tear everything down, last built first. Only the first call does.

        :param error: what the work failed with, if it did.
        :raises BaseExceptionGroup: of what the teardowns raised; an
            :exc:`ExceptionGroup` if these are ordinary exceptions.
        """
        if self.state is not _OPEN:
            return
        self.error = error
        self.state = _ENDING
        try:
            failures = self._unwind()
        finally:
            self.state = _CLOSED
        if self.built:
            # What another thread finished building between the lines above.
            failures += self._unwind()
        if failures:
            self.report(failures, error)

    def report(
        self, failures: list[tuple[Build, BaseException]], error: BaseException | None
    ) -> None:
        """Raise what the teardowns raised; what as, is up to the kind of store.

        :param error: what was in force before them.
        """
        raise_together(failures)

    def _unwind(self) -> list[tuple[Build, BaseException]]:
        """Tear down what is there, and what is built meanwhile, until all is gone.

        An error in force, the unit's or else the first that a teardown raises,
        is thrown into each next generator.
        """
        failures: list[tuple[Build, BaseException]] = []
        built, records, objects = self.built, self.records, self.objects
        while built:
            try:
                build = built.pop()
            except IndexError:
                # Another thread does the same.
                break
            key = build.key
            if records.get(key) is build:
                objects.pop(key, None)
            if self.events.listeners or everywhere:
                failure = self.events.finish(self, build, self.error)
            elif build.generator is None:
                continue
            else:
                failure = self.finish(build, self.error)
            if failure is not None:
                failures.append((build, failure))
                self.error = failure if self.error is None else self.error
        return failures

    def _refuse_gone(self, recipe: Recipe, key: Key) -> None:
        if self.state is _CLOSED or key in self.records:
            raise messages.closed(recipe, ending=self.state is _ENDING)

    def _refuse_late(self, build: Build) -> None:
        """Another thread may have ended the store while *build* was running."""
        if self.state is _CLOSED:
            raise_together(self._unwind())
        if build not in self.built:
            self.objects.pop(build.key, None)
            raise messages.closed(build.recipe, ending=False)

    def show(self, build: Build, made: object) -> None:
        """Let calls find *made* again, unless it was torn down meanwhile."""
        if build in self.built:
            self.records[build.key] = build
            self.objects[build.key] = made

    def hide(self, build: Build) -> object:
        """Let calls no longer find what *build* made, and return it;
        :data:`UNSET` if they did not find it anyway.
        """
        if self.records.get(build.key) is not build:
            return UNSET
        del self.records[build.key]
        return self.objects.pop(build.key, UNSET)

    def hide_all_from(self, recipe: Recipe) -> None:
        """Let calls no longer find what *recipe* made here, nor what was built from
        that, directly or through others. All are torn down in their turn.
        """
        affected: set[Build | Replacement] = set()
        for build in list(self.built):
            if build.recipe is recipe or not affected.isdisjoint(build.uses):
                affected.add(build)
                self.hide(build)

    def remove(self, build: Build) -> BaseException | None:
        """Tear down what *build* made before its turn, if it is still there."""
        try:
            self.built.remove(build)
        except ValueError:
            return None
        return self.tear_down(build, None)

    def __repr__(self) -> str:
        closing = sum(build.generator is not None for build in self.built)
        kind = type(self).__name__
        return f"<{kind}: {len(self.built)} objects, {closing} to tear down>"


def run_and_publish(
    store: Store, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
) -> object:
    """Run the factory of *build* and put what it made into *store*."""
    made = run_factory(build, args, kwargs)
    store.publish(build, made)
    return made


def _again(error: Exception) -> Exception:
    """A copy, so that each thread has a traceback of its own."""
    try:
        return copy.copy(error)
    except Exception:
        # Not every class can be made from the arguments it was given.
        return error
