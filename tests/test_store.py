"""Races too narrow to be met by chance: each is held open at its one line."""

from __future__ import annotations

import collections.abc as c
import threading
import typing as t

import pytest

from flask_scopes import ClosedError
from flask_scopes import Scopes
from flask_scopes.building import Build
from flask_scopes.recipe import Recipe
from flask_scopes.store import Store


def recipe_of(resource: object) -> Recipe:
    return t.cast(Recipe, t.cast(t.Any, resource).__self__)


@pytest.fixture
def recipe(scopes: Scopes, log: list[str]) -> Recipe:
    @scopes.request
    def thing() -> c.Iterator[object]:
        log.append("build")
        yield object()
        log.append("teardown")

    return recipe_of(thing)


def in_thread(function: c.Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_built_between_the_look_and_the_claim(recipe: Recipe, log: list[str]) -> None:
    store = Store()

    def get() -> object:
        return store.get_or_build(recipe, recipe, (), {}, None)

    class Claims(dict[t.Any, t.Any]):
        overtaken = False

        def setdefault(self, key: t.Any, default: t.Any = None) -> t.Any:
            if not self.overtaken:
                self.overtaken = True
                in_thread(get)
            return super().setdefault(key, default)

    store.claims = Claims()

    assert get() is store.objects[recipe]
    assert log == ["build"]


def test_built_when_the_last_teardown_has_run(recipe: Recipe, log: list[str]) -> None:
    store = Store()

    class Built(list[t.Any]):
        overtaken = False

        def __bool__(self) -> bool:
            if not self.overtaken:
                self.overtaken = True
                in_thread(lambda: store.get_or_build(recipe, recipe, (), {}, None))
                return False
            return len(self) > 0

    store.built = Built()
    store.end(None)

    assert log == ["build", "teardown"]
    assert not store.objects


def test_who_waits_sleeps(scopes: Scopes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the store makes a build: who did not sleep would make many."""
    entered, go_on = threading.Event(), threading.Event()
    looks: list[object] = []

    class Look(Build):
        __slots__ = ()

        def __init__(self, *args: t.Any) -> None:
            looks.append(args)
            super().__init__(*args)
            if len(looks) == 2:
                threading.Timer(0.1, go_on.set).start()

    @scopes.request
    def slow() -> object:
        entered.set()
        assert go_on.wait(10)
        return object()

    monkeypatch.setattr("flask_scopes.store.Build", Look)
    store, recipe = Store(), recipe_of(slow)
    found: list[object] = []

    def get() -> None:
        found.append(store.get_or_build(recipe, recipe, (), {}, None))

    builder = threading.Thread(target=get)
    builder.start()
    assert entered.wait(10)
    in_thread(get)
    builder.join(10)

    assert len(set(found)) == 1
    assert len(looks) == 2


def test_built_when_a_failed_unit_has_ended(scopes: Scopes, log: list[str]) -> None:
    entered, go_on = threading.Event(), threading.Event()

    @scopes.request
    def transaction() -> c.Iterator[None]:
        entered.set()
        assert go_on.wait(10)
        try:
            yield
        except ValueError:
            log.append("rollback")
            raise
        log.append("commit")

    store, recipe = Store(), recipe_of(transaction)

    def get() -> None:
        with pytest.raises(ClosedError):
            store.get_or_build(recipe, recipe, (), {}, None)

    thread = threading.Thread(target=get)
    thread.start()
    assert entered.wait(10)
    store.end(ValueError())
    go_on.set()
    thread.join(10)

    assert log == ["rollback"]


def test_two_that_tear_down_at_once(recipe: Recipe, log: list[str]) -> None:
    store = Store()
    store.get_or_build(recipe, recipe, (), {}, None)

    class Built(list[t.Any]):
        def pop(self, *args: t.Any) -> t.Any:
            if len(self) == 1:
                build = super().pop(*args)
                store.finish(build, None)
            return super().pop(*args)

    store.built = Built(store.built)
    store.end(None)

    assert log == ["build", "teardown"]


def test_a_store_says_what_is_in_it(recipe: Recipe) -> None:
    store = Store()
    store.get_or_build(recipe, recipe, (), {}, None)

    assert repr(store) == "<Store: 1 objects, 1 to tear down>"
    store.end(None)
    assert repr(store) == "<Store: 0 objects, 0 to tear down>"
