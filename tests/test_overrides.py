"""Promise 6: replaced for a while; nothing of either side is seen on the other."""

from __future__ import annotations

import collections.abc as c
import contextlib
import threading
import typing as t
from unittest import mock

import flask
import pytest

from flask_scopes import ArgumentsError
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes import SetupError


class Shop(t.NamedTuple):
    """settings <- engine (application) <- session <- repository (request)."""

    settings: Resource[[], str]
    engine: Resource[[], list[str]]
    clock: Resource[[], list[str]]
    session: Resource[[], list[t.Any]]
    repository: Resource[[], list[t.Any]]
    unrelated: Resource[[], list[str]]


@pytest.fixture
def shop(scopes: Scopes, log: list[str]) -> Shop:
    @scopes.application
    def settings() -> str:
        log.append("settings")
        return "real"

    @scopes.application
    def engine() -> c.Iterator[list[str]]:
        made = [f"{settings()} engine"]
        yield made
        log.append(f"close {made[0]}")

    @scopes.application
    def clock() -> list[str]:
        return ["tick"]

    @scopes.request
    def session() -> c.Iterator[list[t.Any]]:
        made = [engine(), clock()]
        yield made
        log.append(f"end session on {made[0][0]}")

    @scopes.request
    def repository() -> list[t.Any]:
        return [session()]

    @scopes.request
    def unrelated() -> list[str]:
        return clock()

    return Shop(settings, engine, clock, session, repository, unrelated)


def test_an_object_stands_in(app: flask.Flask, shop: Shop, log: list[str]) -> None:
    with shop.settings.override("fake"), app.app_context():
        assert shop.settings() == "fake"
        assert shop.engine() == ["fake engine"]
    with app.app_context():
        assert shop.settings() == "real"
        assert shop.engine() == ["real engine"]

    assert log == ["close fake engine", "settings"]


@pytest.mark.parametrize("value", [None, 0, False, mock.MagicMock()])
def test_any_object_can_stand_in(app: flask.Flask, shop: Shop, value: t.Any) -> None:
    with shop.settings.override(value), app.app_context():
        assert shop.settings() is value


def test_what_was_built_from_it_is_set_aside_and_comes_back(
    app: flask.Flask, shop: Shop, log: list[str]
) -> None:
    with app.app_context():
        before = [resource() for resource in shop]

        with shop.settings.override("fake"):
            assert shop.engine() == ["fake engine"]
            assert shop.session()[0] == ["fake engine"]
            assert shop.repository() == [shop.session()]
            assert shop.clock() is before[2]
            assert shop.unrelated() is before[5]

        after = [resource() for resource in shop]
        assert all(new is old for new, old in zip(after, before, strict=True))
        assert "close fake engine" in log
        assert "close real engine" not in log

    assert log[-2:] == ["end session on fake engine", "end session on real engine"]


def test_warm_calls_are_noted_as_dependencies_too(app: flask.Flask, shop: Shop) -> None:
    """Everything is warm when the repository is built."""
    with app.app_context():
        shop.clock()
        shop.clock()
        shop.engine()
        session = shop.session()
        with shop.clock.override(["frozen"]):
            assert shop.session() is not session
            assert shop.session()[1] == ["frozen"]
        assert shop.session() is session


def test_a_factory_stands_in_with_a_teardown_of_its_own(
    app: flask.Flask, shop: Shop, log: list[str]
) -> None:
    def fake() -> c.Iterator[list[str]]:
        yield ["made"]
        log.append("close made")

    with shop.engine.override(factory=fake):
        with app.app_context():
            assert shop.engine() is shop.engine()
            assert shop.session()[0] is shop.engine()
        assert log == ["end session on made"]
    assert log == ["end session on made", "close made"]


def test_a_request_factory_stands_in_once_for_each_unit(
    app: flask.Flask, shop: Shop
) -> None:
    with shop.session.override(factory=list):
        with app.app_context():
            one = shop.session()
            assert shop.repository() == [one]
            assert shop.repository()[0] is one
        with app.app_context():
            assert shop.session() is not one


def test_overrides_nest(app: flask.Flask, shop: Shop) -> None:
    with app.app_context(), shop.settings.override("outer"):
        outer = shop.engine()
        with shop.settings.override("inner"):
            assert shop.engine() == ["inner engine"]
        assert shop.engine() is outer == ["outer engine"]
    with app.app_context():
        assert shop.engine() == ["real engine"]


def test_overrides_that_end_in_another_order(app: flask.Flask, shop: Shop) -> None:
    with app.app_context():
        real = shop.repository()
        first, second = shop.settings.override("first"), shop.clock.override(["second"])
        first.__enter__()
        shop.repository()
        second.__enter__()
        assert shop.repository()[0] == [["first engine"], ["second"]]
        first.__exit__(None, None, None)
        assert shop.repository()[0] == [["real engine"], ["second"]]
        second.__exit__(None, None, None)
        assert shop.repository() is real


def test_what_only_the_first_one_built_does_not_come_back_with_the_second(
    app: flask.Flask, shop: Shop
) -> None:
    with app.app_context():
        first, second = shop.settings.override("first"), shop.clock.override(["second"])
        first.__enter__()
        shop.repository()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        assert shop.repository()[0] == [["real engine"], ["tick"]]


def test_overrides_of_one_resource_that_end_in_another_order(
    app: flask.Flask, shop: Shop
) -> None:
    first, second = shop.settings.override("first"), shop.settings.override("second")
    found = []
    with app.app_context():
        first.__enter__()
        second.__enter__()
        found.append(shop.engine())
        first.__exit__(None, None, None)
        found.append(shop.engine())
        second.__exit__(None, None, None)
        found.append(shop.engine())

    assert found == [["second engine"], ["second engine"], ["real engine"]]
    assert found[0] is found[1]


def test_an_override_ends_when_the_block_raises(app: flask.Flask, shop: Shop) -> None:
    with contextlib.suppress(LookupError), shop.settings.override("fake"):
        raise LookupError
    with app.app_context():
        assert shop.settings() == "real"


def test_a_replacement_that_fails_is_gone_afterwards(
    app: flask.Flask, shop: Shop
) -> None:
    def broken() -> str:
        raise ConnectionError

    with app.app_context():
        with shop.settings.override(factory=broken), pytest.raises(ConnectionError):
            shop.engine()
        assert shop.engine() == ["real engine"]


def test_requests_of_other_threads_see_it(app: flask.Flask, shop: Shop) -> None:
    found: list[object] = []

    def use() -> None:
        with app.app_context():
            found.append(shop.engine())

    use()
    with shop.settings.override("fake"):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join(10)
    use()

    assert found == [["real engine"], ["fake engine"], ["real engine"]]
    assert found[0] is found[2]


def test_a_build_that_an_override_overtakes_is_not_kept(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def settings() -> str:
        return "real"

    @scopes.application
    def engine() -> str:
        found = settings()
        if not entered.is_set():
            entered.set()
            assert go_on.wait(10)
        return f"{found} engine"

    def use() -> None:
        with app.app_context():
            engine()

    thread = threading.Thread(target=use)
    thread.start()
    assert entered.wait(10)
    with settings.override("fake"):
        go_on.set()
        thread.join(10)
        with app.app_context():
            assert engine() == "fake engine"
    with app.app_context():
        assert engine() == "real engine"


def test_a_build_from_a_replacement_that_outlasts_it_is_not_kept(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    @scopes.application
    def settings() -> str:
        return "real"

    @scopes.application
    def engine() -> c.Iterator[str]:
        found = settings()
        if not entered.is_set():
            entered.set()
            assert go_on.wait(10)
        yield f"{found} engine"
        log.append(f"close {found}")

    def use() -> None:
        with app.app_context():
            engine()

    thread = threading.Thread(target=use)
    with settings.override("fake"):
        thread.start()
        assert entered.wait(10)
    go_on.set()
    thread.join(10)

    assert log == ["close fake"]
    with app.app_context():
        assert engine() == "real engine"


def test_nor_if_what_is_between_is_gone_by_then(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    @scopes.application
    def settings() -> str:
        return "real"

    @scopes.application
    def engine() -> str:
        return f"{settings()} engine"

    @scopes.application
    def registry() -> str:
        found = engine()
        if not entered.is_set():
            entered.set()
            assert go_on.wait(10)
        return f"registry of {found}"

    def use() -> None:
        with app.app_context():
            registry()

    thread = threading.Thread(target=use)
    with settings.override("fake"):
        thread.start()
        assert entered.wait(10)
    go_on.set()
    thread.join(10)

    with app.app_context():
        assert registry() == "registry of real engine"


def test_arguments_are_passed_to_the_replacement(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.application
    def database(name: str, size: int = 1) -> str:
        return f"{name} {size}"

    with app.app_context():
        logs = database("logs")
        with database.override(factory=lambda name, size=1: f"fake {name}"):
            assert database("logs") == "fake logs"
            assert database("logs", size=3) == "fake logs"
        with database.override("one for all"):
            assert database("logs") == database("other") == "one for all"
        assert database("logs") is logs


def test_neither_and_both_are_refused(shop: Shop) -> None:
    override: t.Any = shop.settings.override
    for arguments in ({}, {"factory": str}):
        with pytest.raises(SetupError, match="by one thing"):
            override(*(["x"] if arguments else []), **arguments)


def test_a_replacement_that_cannot_be_called_so_is_named_as_the_resource(
    app: flask.Flask, shop: Shop
) -> None:
    override: t.Any = shop.settings.override
    with pytest.raises(SetupError, match="'settings'"):
        override(factory=5)
    with (
        app.app_context(),
        override(factory=lambda name: name),
        pytest.raises(ArgumentsError, match=r"'settings' \(.*missing"),
    ):
        shop.settings()


def test_two_apps(scopes: Scopes, shop: Shop) -> None:
    apps = [flask.Flask("one"), flask.Flask("two")]
    for app in apps:
        scopes.init_app(app)
    with apps[0].app_context():
        real = shop.engine()

    with shop.settings.override("fake"):
        for app in apps:
            with app.app_context():
                assert shop.engine() == ["fake engine"]

    with apps[0].app_context():
        assert shop.engine() is real
    with apps[1].app_context():
        assert shop.engine() is not real
        assert shop.engine() == ["real engine"]
