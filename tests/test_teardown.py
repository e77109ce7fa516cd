"""Promise 2: last built, first torn down; every teardown runs; no error is lost."""

from __future__ import annotations

import collections.abc as c
import contextlib
import gc
import typing as t

import flask
import flask.testing
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flask_scopes import ClosedError
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.resource import Decorator

from .conftest import leaves
from .conftest import texts_of


class Stop(BaseException):
    """Stands for KeyboardInterrupt and its like."""


def logging_resource(
    scopes: Scopes, log: list[str], name: str, *needs: Resource[[], str]
) -> Resource[[], str]:
    @scopes.request
    def factory() -> c.Iterator[str]:
        for need in needs:
            need()
        try:
            yield name
        except BaseException as error:
            log.append(f"{name} sees {type(error).__name__}")
            raise
        else:
            log.append(f"{name} is done")

    return factory


def test_objects_are_torn_down_last_built_first(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    a = logging_resource(scopes, log, "a")
    b = logging_resource(scopes, log, "b")
    c = logging_resource(scopes, log, "c")

    with app.app_context():
        b()
        c()
        a()

    assert log == ["a is done", "c is done", "b is done"]


def test_a_dependent_goes_before_what_it_asked_for_in_the_middle(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    inner = logging_resource(scopes, log, "inner")
    other = logging_resource(scopes, log, "other")
    outer = logging_resource(scopes, log, "outer", inner, other)

    with app.app_context():
        outer()

    assert log == ["outer is done", "other is done", "inner is done"]


def test_an_error_is_thrown_into_each_generator(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    a = logging_resource(scopes, log, "a")
    b = logging_resource(scopes, log, "b", a)

    with pytest.raises(ZeroDivisionError), app.app_context():
        b()
        raise ZeroDivisionError

    assert log == ["b sees ZeroDivisionError", "a sees ZeroDivisionError"]


def test_an_unhandled_error_of_a_view_is_thrown_in(
    app: flask.Flask, scopes: Scopes, log: list[str], client: t.Any
) -> None:
    a = logging_resource(scopes, log, "a")

    @app.get("/")
    def index() -> str:
        a()
        raise LookupError

    assert client.get("/").status_code == 500
    assert log == ["a sees LookupError"]


@pytest.mark.parametrize("error", [ValueError(1), Stop(), StopIteration(2)])
def test_a_factory_cannot_swallow_the_error(
    app: flask.Flask, scopes: Scopes, log: list[str], error: BaseException
) -> None:
    below = logging_resource(scopes, log, "below")

    @scopes.request
    def swallows() -> c.Iterator[None]:
        below()
        try:
            yield
        except BaseException:
            log.append("swallowed")

    with pytest.raises(type(error)) as raised, app.app_context():
        swallows()
        raise error

    assert raised.value is error
    assert log == ["swallowed", f"below sees {type(error).__name__}"]


def test_a_factory_cannot_replace_the_error_and_its_own_is_not_lost(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    below = logging_resource(scopes, log, "below")
    original = ValueError("of the view")

    @scopes.request
    def replaces() -> c.Iterator[None]:
        below()
        try:
            yield
        except ValueError as error:
            raise KeyError("of the teardown") from error

    with pytest.raises(ExceptionGroup) as raised, app.app_context():
        replaces()
        raise original

    assert [type(e) for e in leaves(raised.value)] == [KeyError]
    assert log == ["below sees ValueError"]


def test_every_teardown_runs_and_all_errors_come_out_together(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    def failing(name: str, error: BaseException) -> Resource[[], str]:
        @scopes.request
        def factory() -> c.Iterator[str]:
            yield name
            raise error

        factory.__wrapped__.__name__ = name
        return factory

    first = failing("first", RuntimeError("1"))
    unaware = logging_resource(scopes, log, "unaware")
    last = failing("last", Stop())

    with pytest.raises(BaseExceptionGroup) as raised, app.app_context():
        first()
        unaware()
        last()

    # The last one failed first; the others had its error thrown in.
    assert [type(e) for e in leaves(raised.value)] == [Stop]
    assert log == ["unaware sees Stop"]
    assert "'last' (" in texts_of(raised.value)
    assert "test_teardown.py" in texts_of(raised.value)
    assert "Stop" in texts_of(raised.value)


def test_each_error_of_several_teardowns_is_in_the_group_by_name(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def one() -> c.Iterator[None]:
        try:
            yield
        finally:
            raise KeyError("one")

    @scopes.request
    def two() -> c.Iterator[None]:
        yield
        raise ValueError("two")

    with pytest.raises(ExceptionGroup) as raised, app.app_context():
        one()
        two()

    assert [type(e) for e in leaves(raised.value)] == [ValueError, KeyError]
    assert "'two'" in texts_of(raised.value)
    assert "'one'" in texts_of(raised.value)
    for error, name in zip(leaves(raised.value), ["two", "one"], strict=True):
        assert any(name in note for note in error.__notes__)


def test_the_traceback_of_the_error_is_left_as_it_was(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    a = logging_resource(scopes, log, "a")
    with pytest.raises(ZeroDivisionError) as raised, app.app_context():
        a()
        _ = 1 / 0

    names = [entry.frame.code.name for entry in raised.traceback]
    assert "factory" not in names


def test_an_object_first_built_during_teardown_is_torn_down_too(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    late = logging_resource(scopes, log, "late")

    @scopes.request
    def early() -> c.Iterator[None]:
        yield
        log.append(f"early uses {late()}")

    with app.app_context():
        early()

    assert log == ["early uses late", "late is done"]


def test_an_object_that_is_gone_is_not_built_again_by_a_teardown(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def below() -> c.Iterator[str]:
        yield "below"
        with pytest.raises(ClosedError, match="already torn down"):
            above()
        log.append("refused")

    @scopes.request
    def above() -> c.Iterator[str]:
        yield below()
        log.append(f"above uses {below()}")

    with app.app_context():
        above()

    assert log == ["above uses below", "refused"]


def test_a_generator_that_yields_again_after_the_error_is_reported(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def stubborn() -> c.Iterator[int]:
        while True:
            try:
                yield 1
            except ValueError:
                continue
            except GeneratorExit:
                raise RuntimeError("and will not go") from None

    with pytest.raises(ExceptionGroup) as raised, app.app_context():
        stubborn()
        raise ValueError

    (failure,) = leaves(raised.value)
    assert "yielded twice" in str(failure)
    assert isinstance(failure.__cause__, RuntimeError)


def test_closing_the_application_resumes_each_and_throws_nothing(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def below() -> c.Iterator[None]:
        try:
            yield
        except BaseException:
            log.append("thrown into")
            raise
        log.append(f"below closed in {flask.current_app.name}")

    @scopes.application
    def failing() -> c.Iterator[None]:
        below()
        yield
        raise KeyError("failing")

    with app.app_context():
        failing()
    with pytest.raises(ExceptionGroup) as raised:
        scopes.close(app)
    scopes.close(app)

    assert [type(e) for e in leaves(raised.value)] == [KeyError]
    assert log == ["below closed in shop"]


class Node(t.NamedTuple):
    """A resource: what it asks for, and where it raises."""

    needs: list[int]
    before: bool
    after: bool


nodes = st.lists(
    st.tuples(
        st.lists(st.integers(0, 30), max_size=4), st.integers(0, 9), st.integers(0, 9)
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(
    raw=nodes,
    calls=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    view_fails=st.booleans(),
    application=st.booleans(),
)
def test_the_law(
    raw: list[tuple[list[int], int, int]],
    calls: list[int],
    view_fails: bool,
    application: bool,
) -> None:
    """Whatever the tree of calls and wherever it raises, everything that was
    built is torn down exactly once, last built first.
    """
    scopes = Scopes()
    app = flask.Flask("law")
    scopes.init_app(app)
    built: list[int] = []
    torn: list[int] = []
    resources: list[Resource[[], int]] = []
    decorate: Decorator = scopes.application if application else scopes.request

    def declare(index: int, needs: list[int], before: bool, after: bool) -> None:
        @decorate
        def factory() -> c.Iterator[int]:
            for need in needs:
                # Only earlier ones: cycles have tests of their own.
                if index:
                    resources[need % index]()
            if before:
                raise LookupError(index)
            built.append(index)
            try:
                yield index
            finally:
                torn.append(index)
                if after:
                    raise ValueError(index)

        resources.append(factory)

    for index, (needs, before, after) in enumerate(raw):
        declare(index, needs, before == 0, after == 0)

    try:
        with app.app_context():
            for call in calls:
                try:
                    resources[call % len(resources)]()
                except LookupError:
                    continue
            if view_fails:
                raise KeyError
    except (KeyError, ExceptionGroup):
        pass
    with contextlib.suppress(ExceptionGroup):
        scopes.close(app)

    assert len(built) == len(set(built))
    assert torn == built[::-1]


def garbage_of_requests(app: flask.Flask) -> int:
    """How many objects 20 requests leave to the cyclic collector."""
    environ = flask.testing.EnvironBuilder(app, "/").get_environ()

    def request() -> None:
        body = app.wsgi_app(dict(environ), lambda *args: lambda data: None)
        b"".join(body)
        body.close()  # type: ignore[attr-defined]  # of werkzeug

    request()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            request()
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.skipif(
    not hasattr(flask.globals, "_cv_request"),
    reason="the contexts of Flask 3.2 are in cycles themselves, and hold the unit",
)
def test_a_request_leaves_nothing_to_the_cyclic_collector(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    a = logging_resource(scopes, log, "a")
    b = logging_resource(scopes, log, "b", a)

    @scopes.application
    def shared() -> object:
        return object()

    @app.get("/")
    def index() -> str:
        shared()
        return b()

    plain = flask.Flask("plain")
    plain.add_url_rule("/", view_func=lambda: "b")

    def least(app: flask.Flask) -> int:
        # Another thread of this process may leave some meanwhile.
        return min(garbage_of_requests(app) for _ in range(3))

    # Flask itself leaves some.
    assert least(app) == least(plain)
    assert len(log) == 3 * 2 * 21
