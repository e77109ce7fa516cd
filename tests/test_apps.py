"""Promises 7 and 23: apps never share, and an app that uses nothing notices nothing."""

from __future__ import annotations

import collections.abc as c
import contextvars
import gc
import typing as t
import weakref

import flask
import pytest

from flask_scopes import ClosedError
from flask_scopes import OutsideScopeError
from flask_scopes import Scopes
from flask_scopes import SetupError


def test_two_apps_never_share_an_object(scopes: Scopes) -> None:
    @scopes.application
    def shared() -> object:
        return object()

    @scopes.request
    def own() -> object:
        return object()

    one, two = flask.Flask("one"), flask.Flask("two")
    scopes.init_app(one)
    scopes.init_app(two)

    with one.app_context():
        first = shared(), own()
        with two.app_context():
            second = shared(), own()
            with one.app_context():
                assert shared() is first[0]
        assert (shared(), own()) == first

    assert len({*first, *second}) == 4


def test_apps_are_closed_separately(scopes: Scopes, log: list[str]) -> None:
    @scopes.application
    def shared() -> c.Iterator[str]:
        name = flask.current_app.name
        yield name
        log.append(name)

    one, two = flask.Flask("one"), flask.Flask("two")
    for app in (one, two):
        scopes.init_app(app)
        with app.app_context():
            shared()

    scopes.close(one)

    assert log == ["one"]
    with two.app_context():
        assert shared() == "two"
    with one.app_context(), pytest.raises(ClosedError):
        shared()


def test_several_scopes_in_one_app(app: flask.Flask, scopes: Scopes) -> None:
    """An extension may bring its own."""
    theirs = Scopes(app)

    @scopes.request
    def mine() -> list[object]:
        return [their_client()]

    @theirs.application
    def their_client() -> object:
        return object()

    with app.app_context():
        assert mine() == [their_client()]


def test_an_app_that_the_scopes_do_not_know(scopes: Scopes, app: flask.Flask) -> None:
    @Scopes().application
    def stranger() -> None: ...

    @scopes.application
    def thing() -> None: ...

    with app.app_context(), pytest.raises(OutsideScopeError, match="init_app"):
        stranger()
    with (
        flask.Flask("other").app_context(),
        pytest.raises(OutsideScopeError, match="do not know the app 'other'"),
    ):
        thing()


def test_init_app_twice_is_an_error_that_says_so(scopes: Scopes) -> None:
    app = flask.Flask("twice")
    scopes.init_app(app)
    with pytest.raises(SetupError, match="already called"):
        scopes.init_app(app)


# Flask 3.2 warns about signatures that do not name its new parameter.
@pytest.mark.filterwarnings("ignore:The '.*' method now takes:DeprecationWarning")
def test_subclasses_that_override_dispatch_keep_working(
    scopes: Scopes, log: list[str]
) -> None:
    class Custom(flask.Flask):
        def request_context(self, environ: t.Any) -> t.Any:
            log.append("request_context")
            return super().request_context(environ)

        def do_teardown_request(self, *args: t.Any, **kwargs: t.Any) -> None:
            log.append("do_teardown_request")
            super().do_teardown_request(*args, **kwargs)

        def do_teardown_appcontext(self, *args: t.Any, **kwargs: t.Any) -> None:
            log.append("do_teardown_appcontext")
            super().do_teardown_appcontext(*args, **kwargs)

        def full_dispatch_request(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
            log.append("full_dispatch_request")
            return super().full_dispatch_request(*args, **kwargs)

    app = Custom("custom")
    scopes.init_app(app)

    @scopes.request
    def thing() -> c.Iterator[str]:
        yield "ok"
        log.append("done")

    app.add_url_rule("/", view_func=lambda: thing())

    assert app.test_client().get("/").text == "ok"
    assert log == [
        "request_context",
        "full_dispatch_request",
        "done",
        "do_teardown_request",
        "do_teardown_appcontext",
    ]


@pytest.mark.parametrize("first", [True, False])
def test_an_extension_that_wraps_the_same_methods(
    scopes: Scopes, log: list[str], first: bool
) -> None:
    app = flask.Flask("wrapped")

    def wrap(name: str) -> None:
        inner = getattr(app, name)

        def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
            log.append(name)
            return inner(*args, **kwargs)

        setattr(app, name, wrapper)

    names = ["request_context", "do_teardown_request", "do_teardown_appcontext"]
    if first:
        scopes.init_app(app)
    for name in names:
        wrap(name)
    if not first:
        scopes.init_app(app)

    @scopes.request
    def thing() -> c.Iterator[str]:
        yield "ok"
        log.append("done")

    app.add_url_rule("/", view_func=lambda: thing())

    assert app.test_client().get("/").text == "ok"
    assert sorted(log) == sorted([*names, "done"])


def test_signals_are_sent_by_the_app_itself(app: flask.Flask, log: list[str]) -> None:
    def receive(sender: flask.Flask, **extra: object) -> None:
        assert sender is app
        log.append("torn down")

    with (
        flask.request_tearing_down.connected_to(receive, app),
        flask.appcontext_tearing_down.connected_to(receive, app),
        app.test_request_context(),
    ):
        pass

    assert log == ["torn down"] * 2


def test_extensions_in_any_order(scopes: Scopes, log: list[str]) -> None:
    """Each extension opens something on g and closes it at the end, as Flask's
    documentation teaches; ours comes before, between and after them.
    """

    def install(app: flask.Flask, name: str) -> None:
        @app.before_request
        def before() -> None:
            setattr(flask.g, name, name)

        @app.teardown_request
        def teardown(error: BaseException | None) -> None:
            log.append(f"{name} {flask.g.pop(name)}")

    for position in range(3):
        log.clear()
        app = flask.Flask("ordered")
        for step, name in enumerate(["a", "b", ""]):
            if step == position:
                scopes.init_app(app)
            if name:
                install(app, name)
        app.add_url_rule("/", view_func=lambda: "ok")

        assert app.test_client().get("/").text == "ok"
        assert log == ["b b", "a a"]


def test_an_unused_extension_adds_nothing_to_a_request(
    app: flask.Flask, client: t.Any
) -> None:
    contexts: list[t.Any] = []

    @app.get("/")
    def index() -> str:
        contexts.append(flask.globals._cv_app.get())
        return "ok"

    client.get("/")

    assert not [name for name in vars(contexts[0]) if "scopes" in name]
    home = app.extensions["scopes"]
    assert not home.units
    assert not home.stores


def test_ended_units_are_not_remembered(
    app: flask.Flask, scopes: Scopes, client: t.Any
) -> None:
    alive: list[weakref.ref[t.Any]] = []

    class Big:
        pass

    @scopes.request
    def big() -> Big:
        made = Big()
        alive.append(weakref.ref(made))
        return made

    @app.get("/")
    def index() -> str:
        big()
        return "ok"

    for _ in range(5):
        client.get("/").close()

    assert len(app.extensions["scopes"].units) == 0
    assert [reference for reference in alive if reference() is not None] == []


@pytest.mark.scopes_may_leak("what becomes of such a unit is the question")
def test_nor_are_those_of_contexts_that_were_never_popped(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def thing() -> object:
        return object()

    def abandon() -> None:
        app.app_context().push()
        thing()

    for _ in range(3):
        contextvars.Context().run(abandon)
    # A pushed context and its token are a cycle.
    gc.collect()

    assert not app.extensions["scopes"].units
