"""One piece of work: the request objects of a request or an app context."""

from __future__ import annotations

import collections.abc as c
import logging
import threading
import time
import typing as t
import weakref

from . import contexts
from . import errors
from . import process_messages
from . import unit_messages
from .building import run_factory
from .events import since
from .forks import keep
from .recipe import Replacement
from .scope import Scope
from .store import State
from .store import Store
from .teardown import finish

if t.TYPE_CHECKING:
    from .building import Build
    from .events import Events
    from .recipe import Recipe
    from .session_objects import Held


_log = logging.getLogger("flask_scopes")
# See store.py.
_OPEN, _SESSION = State.OPEN, Scope.SESSION


class Committing(Store):
    """Objects whose teardown commits, or rolls back if there is an error."""

    __slots__ = ("committed",)

    def __init__(self, events: Events) -> None:
        # (Not by `super()`, here and below, which takes longer than all the rest.)
        Store.__init__(self, events)
        self.committed: list[Build] = []
        """Those whose teardown found no error, and raised none."""

    def finish(self, build: Build, error: BaseException | None) -> BaseException | None:
        if build.generator is None:
            return None
        failure = finish(build, error)
        if error is failure is None:
            self.committed.append(build)
        return failure

    def report(
        self, failures: list[tuple[Build, BaseException]], error: BaseException | None
    ) -> None:
        ordinary = [
            (build.recipe, failure)
            for build, failure in failures
            if isinstance(failure, Exception)
        ]
        if error is None and len(ordinary) == len(failures):
            committed = [build.recipe for build in self.committed]
            raise unit_messages.commit_failed(ordinary, committed)
        super().report(failures, error)


class Unit(Committing):
    """The request objects of one unit of work, and how the work stands.

    It is *finished* once: what was done is committed, or rolled back. What lives
    until the response was sent is in a store of its own and goes when the unit is
    *closed*. Both keep their objects in one dict, so that a warm call need not
    know where to look.
    """

    # What is different in few of them stands here: setting it takes time in each.
    doomed: errors.UnitFailed | None = None
    """Why it is going to fail, if somebody has said so."""
    spoiled: Exception | None = None
    """An error of a database after which there is nothing left to commit, though
    the work may go on as if nothing was.
    """
    last: c.Callable[[], object] | None = None
    """What is to be called after :attr:`prepare`, in the same way."""
    precedes_teardown = False
    """Whether it ends before the app's own teardown, which would close parts."""
    followed = False
    """Whether the response will close it."""
    sending = False
    """Whether the body is on its way."""
    closed = False

    def __init__(
        self,
        units: dict[int, weakref.ref[Unit]],
        events: Events,
        members: c.Container[object],
    ) -> None:
        Committing.__init__(self, events)
        self.forks = contexts.forks
        self.thread = threading.get_ident()
        """In which it began."""
        self.attaching: list[None] = []
        """An entry for each thread that puts a shortcut to it on a context."""
        self.held: dict[str, Held] = {}
        """What it has of the session, by the name there."""
        self.prepare: list[tuple[Build, c.Callable[[], object]]] = []
        """What is to be called when it is about to succeed, before anything of it is
        committed, and for which object: if one raises, all can still be rolled back.
        """
        self.from_session: set[Recipe] = set()
        """Of what was built from what has changed in the session by other means."""
        self.undo: list[c.Callable[[BaseException], object]] = []
        """What is to be called when it has failed, last added first, with the error:
        for what no teardown can take back, as others may still fail after it.
        """
        self.callbacks: list[c.Callable[[], object]] = []
        """What is to be called when it has succeeded."""
        self.sent: list[Store] = []
        """The store of what lives until the response was sent, if it is needed."""
        self.members = members
        """Whose resources it may have."""
        self.units = units
        units[id(self)] = weakref.ref(self)

    def is_own(self) -> bool:
        """Whether it is of this process, and not of one that forked it."""
        return self.forks == contexts.forks

    def is_open(self) -> bool:
        """Whether objects can be built in it, by this process."""
        return self.state is _OPEN and self.forks == contexts.forks

    def until_sent(self) -> Store:
        """The store of what lives until the response was sent."""
        if not self.sent:
            store = Committing(self.events)
            store.objects, store.committed = self.objects, self.committed
            # Two threads may come here at once: both take the first.
            self.sent.append(store)
        if self.closed:
            # After appending, as `close` looks after marking: one sees the other.
            self.sent[0].end(None)
        return self.sent[0]

    def make(
        self, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> object:
        recipe = build.recipe
        if recipe.scope is not _SESSION or isinstance(recipe, Replacement):
            made = run_factory(build, args, kwargs)
            # As `publish` does, whose call would take as long.
            self.built.append(build)
            self.records[build.key] = build
            self.objects[build.key] = made
            return made
        # Not above: it needs msgspec, which is there, as there is such a resource.
        from . import session_objects

        session = contexts.session_of(contexts.innermost_request.get())
        assert session is not None
        return session_objects.load(self, session, build, args, kwargs)

    def forget_session(self, kept: c.Container[str] = ()) -> None:
        """Let calls no longer find what it has of the session, but for what is *kept*
        there by the same name: that was restored, or emptied by hand.
        """
        for name in [*self.held]:
            if name not in kept:
                self.forget(name)

    def forget_built_from(self, recipe: Recipe) -> None:
        """Let calls no longer find what *recipe* made, nor what was built from that;
        and once more, if the session is put back to what it was.
        """
        self.from_session.add(recipe)
        for store in (*self.sent, self):
            store.hide_all_from(recipe)

    def restore_session(self) -> None:
        """The session is put back to what it was: let calls no longer find what was
        built from it.
        """
        self.forget_session()
        for recipe in list(self.from_session):
            self.forget_built_from(recipe)

    def forget(self, name: str) -> None:
        """Let calls no longer find what the session has by *name*."""
        held = self.held.pop(name, None)
        for build in held.builds if held else ():
            self.hide(build)
            self.remove(build)

    def end(self, error: BaseException | None) -> None:
        """Finish: commit, or roll back if there is an *error*.

        :raises CommitFailed: there was none, and a teardown, or what prepares for
            them, raised one. What :attr:`last` raises comes out as it is.
        :raises BaseExceptionGroup: of what the teardowns raised otherwise.
        """
        # A fork in the middle of the unit is not its end.
        if self.forks != contexts.forks:
            keep(self)
            return
        if self.state is not _OPEN:
            return
        began = time.perf_counter() if self.events.are_heard() else 0
        refused = None
        if error is None and (self.prepare or self.last):
            refused = self._refused()
        try:
            Store.end(self, refused[1] if refused else error)
        finally:
            if self.error is not None:
                self._undo(self.error)
            if began:
                self.events.tell("finished", self, since(began))
        if refused:
            build, reason = refused
            if build is None or not isinstance(reason, Exception):
                raise reason
            committed = [each.recipe for each in self.committed]
            raise unit_messages.refused(build.recipe, reason, committed)

    def _refused(self) -> tuple[Build | None, BaseException] | None:
        """What cannot be committed, and why, if that can be told beforehand."""
        # (It may grow meanwhile.)
        for build, step in self.prepare:
            try:
                step()
            except BaseException as reason:
                return build, reason
        try:
            if self.last is not None:
                self.last()
        except BaseException as reason:
            return None, reason
        return None

    def _undo(self, error: BaseException) -> None:
        while self.undo:
            function = self.undo.pop()
            try:
                function(error)
            except Exception:
                # The unit has failed already, and the others are still to come.
                _log.exception("Failed to undo what a unit of work had done")

    def close(self, error: BaseException | None) -> None:
        """Tear down what lived until the response was sent. Later calls do nothing.

        :param error: what the sending failed with, if it did.
        :raises CommitFailed: nothing had failed, and a teardown raised one.
        :raises BaseExceptionGroup: of what the teardowns raised otherwise.
        """
        if self.forks != contexts.forks:
            keep(self)
            return
        self.units.pop(id(self), None)
        self.closed = True
        if self.error is None and not self.sent:
            return
        try:
            if self.sent:
                self.sent[0].end(self.error or error)
        finally:
            # An error refers to the frames that it came through, and they to us.
            if self.error is not None:
                self.error = unit_messages.already_failed()
            for store in self.sent:
                store.error = self.error

    def abandon(self) -> None:
        """Roll back: the process ends, and nobody is going to finish it.

        :raises BaseExceptionGroup: of what the teardowns raised.
        """
        try:
            self.end(process_messages.unit_left())
        finally:
            self.close(None)

    def __del__(self) -> None:
        if self.closed:
            return
        # Of a context that was never popped: else its entry would stay.
        self.units.pop(id(self), None)
        if self.is_open() and self.events.are_heard():
            self.events.lose(self)
