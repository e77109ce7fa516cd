"""The application objects of one app in one process."""

from __future__ import annotations

import contextvars
import os
import threading
import time
import typing as t

from . import messages
from . import process
from . import process_messages
from . import renewal
from .deadline import TookTooLong
from .deadline import within
from .forks import keep
from .isolation import app_alone
from .places import caller
from .recipe import UNSET
from .renewal import Checked
from .renewal import Lease
from .store import Store
from .store import run_and_publish
from .teardown import finish
from .teardown import raise_together

if t.TYPE_CHECKING:
    import collections.abc as c
    import weakref

    from flask import Flask

    from .building import Build
    from .events import Events
    from .pings import Question
    from .recipe import Key
    from .recipe import Recipe
    from .renewal import Retired

T = t.TypeVar("T")

# How Flask 3.1 and 3.2 say that there is no request.
_NO_REQUEST = ("Working outside of request context", "There is no request in this")


class ApplicationStore(Store):
    """The application objects of one app in one process.

    Each is made, and torn down, in an empty :class:`contextvars.Context` of its
    own with nothing but an app context pushed: nothing of the request that
    happened to come first can be kept, and what a factory enters before its
    yield can be left after it.
    """

    __slots__ = (
        "app",
        "deadline",
        "lease",
        "pid",
        "questions",
        "retired",
        "retiring",
        "seconds",
        "started",
    )

    def __init__(self, app: weakref.ref[Flask], seconds: float, events: Events) -> None:
        super().__init__(events)
        self.app = app
        self.pid = os.getpid()
        self.seconds = seconds
        """How long closing all of it may take."""
        self.deadline: float | None = None
        """When closing it, as :func:`time.monotonic` tells it, is to be over."""

        self.questions: dict[Key, Question] = {}
        """The last ping of each object."""
        self.lease = Lease()
        """Taken by each context before it takes an object."""
        self.retiring = threading.RLock()
        """Held while something is retired. (The one lock of a store, which a forked
        process does not inherit: it has a store of its own.)
        """
        self.retired: list[Retired] = []
        """What was replaced, and may still be in use; the oldest first."""
        self.started = False
        """Whether it was tried to build what is eager."""

    def inherit(self, store: ApplicationStore) -> None:
        """Take over what *store*, of the process that forked this one, has for
        everybody. It stays there to be torn down.
        """
        for build in list(store.built):
            made = store.objects.get(build.key, UNSET)
            if build.recipe.options.fork == "share" and made is not UNSET:
                made = made.value if isinstance(made, Checked) else made
                self.publish(build.inherited(), made)

    def publish(self, build: Build, made: object) -> None:
        if build.recipe.options.check is not None:
            made = Checked(build, made)
        super().publish(build, made)
        process.come_first()
        if self.retired:
            renewal.settle(self, build)

    def make(
        self, build: Build, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]
    ) -> object:
        build.context = contextvars.Context()
        build.place = caller()
        # Published inside: teardown functions of the app, which run when the
        # context is popped, may use it.
        return self._in_context(
            build, lambda: run_and_publish(self, build, args, kwargs)
        )

    def close(self) -> None:
        """Tear everything down, last built first. Only the first call does.

        :raises BaseExceptionGroup: of what the teardowns raised.
        """
        if self.deadline is None:
            self.deadline = time.monotonic() + self.seconds
        try:
            self.end(None)
        finally:
            renewal.close(self)

    def finish(self, build: Build, error: BaseException | None) -> BaseException | None:
        if build.generator is None:
            return None
        seconds = self._share()
        try:
            # At the end of a process there is no unit to fail: that one object
            # could not be closed is no reason for another to roll back.
            failure = within(seconds, lambda: self._leave(build))
        except TookTooLong as interrupted:
            failure = interrupted
        if isinstance(failure, TookTooLong):
            return process_messages.close_timeout(build.recipe, seconds, self.seconds)
        return failure

    def _share(self) -> float:
        """How many seconds one teardown may take: half of what is left, so that
        one that hangs leaves time for the others; all of it, for the last.
        """
        if self.deadline is None:
            return self.seconds
        left = self.deadline - time.monotonic()
        return max(left / 2 if self.built else left, 0.1)

    def _leave(self, build: Build) -> BaseException | None:
        try:
            return self._in_context(build, lambda: finish(build, None))
        except TookTooLong:
            raise
        except BaseException as raised:
            # The context could not even be pushed. The others still have to go.
            return finish(build, None) or raised

    def _in_context(self, build: Build, step: c.Callable[[], T]) -> T:
        if build.context is None and build.thread != threading.get_ident():
            # Another thread is still in it, with the app's teardown functions.
            build.wait()
        context, build.context = build.context, None
        if context is None:
            # In it already: a teardown function of the app closes the app.
            return step()
        try:
            return context.run(self.run, build.recipe, step)
        finally:
            build.context = context

    def apart(self, recipe: Recipe, step: c.Callable[[], T]) -> T:
        """Run *step* like the factory of *recipe*, in an empty context."""
        return contextvars.Context().run(self.run, recipe, step)

    def let_go(self, build: Build) -> bool:
        """Leave the teardown of *build* to the caller; False if it has no object."""
        try:
            self.built.remove(build)
        except ValueError:
            return False
        return True

    def run(self, recipe: Recipe, step: c.Callable[[], T]) -> T:
        """Run *step*, in a context of its own, as the factory of *recipe* is run."""
        app = t.cast("Flask", self.app())
        with app_alone(app, lambda: messages.no_g(recipe)):
            try:
                return step()
            except RuntimeError as error:
                if str(error).startswith(_NO_REQUEST):
                    error.add_note(messages.no_request(recipe))
                raise

    def __del__(self) -> None:
        # The app is gone, unclosed. The order is still ours to keep.
        if self.pid != os.getpid():
            keep([self.built, self.retired])
            return
        failures: list[tuple[Build, BaseException]] = []
        self.built[:0] = [build for entry in self.retired for build in entry.builds]
        while self.built:
            build = self.built.pop()
            failure = finish(build, None)
            failures += [(build, failure)] if failure else []
        raise_together(failures)
