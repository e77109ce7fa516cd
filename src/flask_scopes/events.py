"""What happens to the objects of an app, told to whoever listens: mostly nobody.

A store asks first whether it is heard; if not, that question is all that it pays. A
listener can do no harm: what it raises is logged, and it is not told any more.
"""

from __future__ import annotations

import logging
import sys
import time
import typing as t

from .building import current_build
from .scope import Scope

if t.TYPE_CHECKING:
    import weakref

    from flask import Flask

    from .building import Build
    from .recipe import Key
    from .store import Store
    from .unit import Unit

_log = logging.getLogger("flask_scopes")

_OF_A_NEW_ONE: t.Final = 3
"""How many references there are to an object that is just made, at most. (The session
has another one.)
"""


class Took(t.NamedTuple):
    """When something was done, by :func:`time.perf_counter`."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Listener:
    """Hears what happens. To be overridden in part; it must hold on to no build and
    no object.
    """

    def building(self, store: Store, build: Build) -> None:
        """The factory of *build* is about to run."""

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        """*build* has made an object, just now.

        :param is_new: nobody else seems to know it.
        """

    def failed(
        self, store: Store, build: Build, error: BaseException, took: Took
    ) -> None:
        """The factory of *build* has raised."""

    def used(self, store: Store, build: Build, asking: Build | None) -> None:
        """What *build* had made was asked for; by the factory of *asking*, if any."""

    def closed(
        self, store: Store, build: Build, error: BaseException | None, took: Took
    ) -> None:
        """What *build* had made is let go, after its teardown, if it has any."""

    def finishing(self, unit: Unit, status: int) -> None:
        """The response to a request is complete; *unit* of it is about to finish."""

    def finished(self, unit: Unit, took: Took) -> None:
        """*unit* is finished."""

    def lost(self, unit: Unit) -> None:
        """*unit* was left open, and is collected: its generators are closed by that."""


def since(began: float) -> Took:
    return Took(began, time.perf_counter())


everywhere: list[Listener] = []
"""Those that hear of all apps; not of what is used, as warm calls do not ask here."""


class Events:
    """What happens in one app, which it lives as long as, and who hears of it.

    :param app: None for a store without an app.
    """

    __slots__ = ("app", "listeners")

    def __init__(self, app: weakref.ref[Flask] | None) -> None:
        self.app = app
        self.listeners: tuple[Listener, ...] = ()

    def are_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.listeners or everywhere)

    def add(self, listener: Listener) -> None:
        """Tell *listener* from now on."""
        self.listeners = (*self.listeners, listener)

    def remove(self, listener: Listener) -> None:
        """Tell *listener* no more, here or everywhere. Later calls do nothing."""
        self.listeners = tuple(each for each in self.listeners if each is not listener)
        # Not `remove`: another thread may be faster.
        everywhere[:] = [each for each in everywhere if each is not listener]

    def tell(self, what: str, /, *details: t.Any) -> None:
        """Call the method *what* of each listener with *details*."""
        # What a listener asks for is no part of what is being built.
        token = current_build.set(None)
        try:
            self._call(what, *details)
        finally:
            current_build.reset(token)

    def lose(self, unit: Unit) -> None:
        """Tell that *unit* is collected. (Sets no ContextVar: Python 3.11 crashes if
        what a collection runs does, in the middle of setting another.)
        """
        self._call("lost", unit)

    def _call(self, what: str, /, *details: t.Any) -> None:
        for listener in (*self.listeners, *everywhere):
            try:
                getattr(listener, what)(*details)
            except Exception:
                self.remove(listener)
                _log.exception("%r raised, and is told no more", listener)

    def build(
        self,
        store: Store,
        build: Build,
        args: tuple[t.Any, ...],
        kwargs: dict[str, t.Any],
    ) -> object:
        """Let *store* make what *build* is for, and tell of it."""
        self.tell("building", store, build)
        began = time.perf_counter()
        try:
            made = store.make(build, args, kwargs)
        except BaseException as error:
            self.tell("failed", store, build, error, since(began))
            raise
        took = since(began)
        # Known here, to the store, and to who counts. Others know a constant, say.
        known = _OF_A_NEW_ONE + (build.recipe.scope is Scope.SESSION)
        is_new = sys.getrefcount(made) <= known
        self.tell("built", store, build, made, took, is_new)
        return made

    def use(self, store: Store, key: Key, asking: Build | None) -> None:
        """Tell that the object of *key* in *store* was asked for."""
        build = store.records.get(key)
        # (None: hidden this moment by another thread.)
        if build is not None:
            self.tell("used", store, build, asking)

    def finish(
        self, store: Store, build: Build, error: BaseException | None
    ) -> BaseException | None:
        """Let *store* tear down what *build* made, and tell of it."""
        began = time.perf_counter()
        failure = store.finish(build, error)
        try:
            self.tell("closed", store, build, failure, since(began))
        except BaseException as raised:
            # Ctrl-C, say. What is still open is to be rolled back first.
            return raised if failure is None else failure
        return failure


class Noted:
    """What warm calls read while somebody hears what is used: the objects of a store,
    and each call tells.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: Key) -> t.Any:
        store = self._store
        made = store.objects[key]
        store.events.use(store, key, None)
        return made


NOBODY: t.Final = Events(None)
"""For stores that belong to no app."""
