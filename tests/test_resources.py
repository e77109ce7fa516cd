"""Promises 1, 3, 5 and 8: what a factory is, and what decorating it makes of it."""

from __future__ import annotations

import collections.abc as c
import contextlib
import copy
import functools
import inspect
import pickle
import typing as t

import flask
import pytest

from flask_scopes import ArgumentsError
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import YieldError

from .conftest import leaves

SCOPES = ["application", "request"]


class Decorator(t.Protocol):
    """Either of the two: what is tested holds for both."""

    def __call__(self, factory: t.Any, /) -> t.Any: ...


@pytest.fixture(params=SCOPES)
def decorate(scopes: Scopes, request: pytest.FixtureRequest) -> Decorator:
    return t.cast(Decorator, getattr(scopes, request.param))


def test_a_plain_factory_makes_one_object(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def thing() -> object:
        return object()

    with app.app_context():
        assert thing() is thing()


def test_a_generator_yields_the_object_and_goes_on_at_the_end(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def thing() -> c.Iterator[str]:
        log.append("build")
        yield "thing"
        log.append("teardown")

    with app.app_context():
        log.append(thing())
        log.append(thing())

    assert log == ["build", "thing", "thing", "teardown"]


@pytest.mark.parametrize("value", [None, 0, "", [], False, float("nan")])
def test_falsy_objects_are_kept_like_any_other(
    app: flask.Flask, decorate: Decorator, log: list[str], value: object
) -> None:
    @decorate
    def thing() -> object:
        log.append("build")
        return value

    with app.app_context():
        assert thing() is value
        assert thing() is value

    assert log == ["build"]


def test_a_returned_context_manager_is_not_entered(
    app: flask.Flask, decorate: Decorator
) -> None:
    manager = contextlib.ExitStack()
    entered: list[str] = []
    manager.callback(entered.append, "exit")

    @decorate
    def thing() -> contextlib.ExitStack:
        return manager

    with app.app_context():
        assert thing() is manager

    assert entered == []


def test_a_generator_behind_another_decorator_is_still_torn_down(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    def logged(function: t.Any) -> t.Any:
        @functools.wraps(function)
        def wrapper(*args: t.Any) -> t.Any:
            log.append("called")
            return function(*args)

        return wrapper

    @scopes.request
    @logged
    def thing() -> c.Iterator[int]:
        yield 7
        log.append("teardown")

    with app.app_context():
        assert thing() == 7

    assert log == ["called", "teardown"]


def test_a_plain_function_may_return_a_generator(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def numbers() -> c.Iterator[int]:
        return (number for number in range(3))

    with app.app_context():
        assert list(numbers()) == [0, 1, 2]


def test_a_partial_of_a_generator_is_a_generator(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    def thing(name: str) -> c.Iterator[str]:
        yield name
        log.append("teardown")

    resource = scopes.request(functools.partial(thing, "a"))

    with app.app_context():
        assert resource() == "a"
    assert log == ["teardown"]


def test_arguments_mean_the_same_behind_a_decorator(
    app: flask.Flask, decorate: Decorator
) -> None:
    def logged(function: t.Any) -> t.Any:
        @functools.wraps(function)
        def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
            return function(*args, **kwargs)

        return wrapper

    @decorate
    @logged
    def database(name: str = "main") -> list[str]:
        return [name]

    with app.app_context():
        assert database() is database("main") is database(name="main")


def test_a_callable_object_may_yield(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    class Factory:
        def __call__(self) -> c.Iterator[str]:
            yield "made"
            log.append("teardown")

    thing = scopes.request(Factory())

    with app.app_context():
        assert thing() == "made"
    assert log == ["teardown"]


def test_a_decorator_may_supply_arguments(
    app: flask.Flask, decorate: Decorator
) -> None:
    def with_config(function: t.Any) -> t.Any:
        @functools.wraps(function)
        def wrapper(*args: t.Any) -> t.Any:
            return function({"size": 3}, *args)

        return wrapper

    @decorate
    @with_config
    def size(config: dict[str, int]) -> int:
        return config["size"]

    with app.app_context():
        assert size() == 3


def test_a_class_or_a_partial_can_be_a_factory(
    app: flask.Flask, scopes: Scopes
) -> None:
    class Repository:
        pass

    repository = scopes.request(Repository)
    number = scopes.request(functools.partial(int, "12"))

    with app.app_context():
        assert type(repository()) is Repository
        assert repository() is repository()
        assert number() == 12
    assert repository.__name__ == "Repository"
    assert "request resource" in repr(number)


def test_a_factory_that_fails_is_tried_again(
    app: flask.Flask, decorate: Decorator, log: list[str]
) -> None:
    @decorate
    def thing() -> c.Iterator[int]:
        log.append("try")
        if len(log) < 3:
            raise LookupError("not yet")
        yield len(log)

    with app.app_context():
        for _ in range(2):
            with pytest.raises(LookupError, match="not yet"):
                thing()
        assert thing() == 3
        assert thing() == 3


def test_a_factory_that_fails_half_way_leaves_nothing_behind(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def inner() -> c.Iterator[str]:
        yield "inner"
        log.append("inner ends")

    @scopes.request
    def outer() -> c.Iterator[str]:
        try:
            inner()
            raise ValueError("half way")
            yield
        finally:
            log.append("outer cleans up")

    with app.app_context():
        for _ in range(3):
            with pytest.raises(ValueError, match="half way"):
                outer()

    assert log == ["outer cleans up"] * 3 + ["inner ends"]


@pytest.mark.parametrize("error", [KeyError("k"), AttributeError("a"), LookupError()])
def test_an_error_of_the_factory_comes_out_as_it_is(
    app: flask.Flask, decorate: Decorator, log: list[str], error: Exception
) -> None:
    """Warm calls look things up under a try; these errors must not end there."""

    @decorate
    def thing() -> object:
        log.append("build")
        raise error

    with app.app_context(), pytest.raises(type(error)) as raised:
        thing()

    assert raised.value is error
    assert error.__context__ is None
    assert log == ["build"]


def test_a_generator_that_does_not_yield_is_an_error(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def thing() -> c.Iterator[int]:
        if flask.current_app.debug:
            yield 1

    with app.app_context():
        with pytest.raises(YieldError, match="did not yield"):
            thing()
        app.debug = True
        assert thing() == 1


def test_a_second_yield_is_an_error_and_the_rest_is_torn_down(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def below() -> c.Iterator[int]:
        try:
            yield 0
        finally:
            log.append("below ends")

    @scopes.request
    def twice() -> c.Iterator[int]:
        below()
        try:
            yield 1
            yield 2
        finally:
            log.append("twice closed")

    with pytest.raises(ExceptionGroup) as raised, app.app_context():
        twice()

    (failure,) = leaves(raised.value)
    assert isinstance(failure, YieldError)
    assert log == ["twice closed", "below ends"]


def test_async_factories_are_refused_where_they_are_decorated(
    decorate: Decorator,
) -> None:
    async def coroutine() -> int:
        return 1

    async def generator() -> c.AsyncIterator[int]:
        yield 1

    @contextlib.contextmanager
    def manager() -> c.Iterator[int]:
        yield 1

    for factory in (coroutine, generator, manager, 5):
        with pytest.raises(SetupError, match="cannot be"):
            decorate(factory)


def test_a_coroutine_is_never_handed_out(app: flask.Flask, decorate: Decorator) -> None:
    async def coroutine() -> int:
        return 1

    with app.app_context(), pytest.raises(SetupError, match="async"):
        decorate(lambda: coroutine())()


def test_there_is_one_object_per_distinct_arguments(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def database(name: str, /, size: int = 1, *, safe: bool = True) -> list[object]:
        return [name, size, safe]

    with app.app_context():
        logs = database("logs")

        assert logs == ["logs", 1, True]
        assert database("logs") is logs
        assert database("logs", 1) is logs
        assert database("logs", size=1) is logs
        assert database("logs", safe=True, size=1) is logs
        assert database("logs", 2) is not logs
        assert database("other") is not logs


def test_arguments_that_all_have_defaults_may_be_left_out(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def database(name: str = "main") -> list[str]:
        return [name]

    with app.app_context():
        assert database() is database("main") is database(name="main")


def test_a_call_that_leaves_out_defaults_is_as_warm_as_one_that_does_not(
    app: flask.Flask, decorate: Decorator, monkeypatch: pytest.MonkeyPatch
) -> None:
    @decorate
    def database(server: str, name: str = "main", number: int = 0) -> object:
        return object()

    with app.test_request_context():
        made = database("one")

        def cold(*args: object) -> t.NoReturn:
            raise AssertionError(args)

        monkeypatch.setattr("flask_scopes.resource.find", cold)
        assert database("one") is database("one", "main") is made
        assert database("one", "main", 0) is made


def test_a_default_that_equals_nothing_or_all_is_only_a_default(
    app: flask.Flask, decorate: Decorator
) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = object.__hash__

    @decorate
    def made(what: Odd = Odd()) -> object:  # noqa: B008  # a factory's, made once
        return object()

    with app.app_context():
        assert made() is made()


def test_any_number_of_arguments(app: flask.Flask, decorate: Decorator) -> None:
    @decorate
    def thing(*names: str, **options: int) -> object:
        return object()

    with app.app_context():
        assert thing() is thing()
        assert thing("a", "b") is thing("a", "b")
        assert thing("a", x=1, y=2) is thing("a", y=2, x=1)
        assert thing("a", x=1) is not thing("a", x=2)


def test_arguments_that_do_not_fit_are_a_type_error_that_says_so(
    app: flask.Flask, decorate: Decorator
) -> None:
    @decorate
    def database(name: str) -> str:
        return name

    with app.app_context():
        with pytest.raises(ArgumentsError, match=r"missing .*'name'.*\n.*\n.*Called"):
            database()
        with pytest.raises(TypeError, match="unhashable"):
            database(["a", "list"])
        assert database("a") == "a"


def test_each_set_of_arguments_is_torn_down(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def database(name: str) -> c.Iterator[str]:
        yield name
        log.append(name)

    with app.app_context():
        database("a")
        database("b")
        database("a")

    assert log == ["b", "a"]


def test_a_resource_keeps_name_doc_and_signature(decorate: Decorator) -> None:
    def database(name: str, size: int = 3) -> c.Iterator[int]:
        """The database of that name."""
        yield size

    resource = decorate(database)

    assert resource.__name__ == "database"
    assert resource.__qualname__ == database.__qualname__
    assert resource.__module__ == __name__
    assert resource.__doc__ == "The database of that name."
    assert resource.__wrapped__ is database
    assert inspect.signature(resource) == inspect.signature(database)
    assert str(inspect.signature(resource)).startswith("(name: 'str', size: 'int' = 3)")
    assert t.get_type_hints(resource) == t.get_type_hints(database)


def test_a_resource_without_arguments_has_an_empty_signature(
    decorate: Decorator,
) -> None:
    def thing() -> int:
        return 1

    assert inspect.signature(decorate(thing)) == inspect.signature(thing)


def test_repr_says_scope_name_and_place(scopes: Scopes) -> None:
    @scopes.application
    def mongo() -> int:
        return 1

    line = mongo.__wrapped__.__code__.co_firstlineno
    assert "application resource mongo at" in repr(mongo)
    assert f"test_resources.py:{line}" in repr(mongo)


module_scopes = Scopes()


@module_scopes.request
def by_name() -> int:
    return 1


def test_copies_of_a_resource_are_the_resource() -> None:
    assert copy.deepcopy({"user": by_name})["user"] == by_name
    assert pickle.loads(pickle.dumps(by_name)) == by_name


renamed = module_scopes.request(by_name.__wrapped__)


def test_a_resource_under_another_name_is_not_pickled_as_something_else() -> None:
    with pytest.raises(pickle.PicklingError, match="is not"):
        pickle.dumps(renamed)


def test_a_parameter_named_self_is_a_parameter(decorate: Decorator) -> None:
    def thing(self: int, other: int) -> int:
        return self + other

    assert inspect.signature(decorate(thing)) == inspect.signature(thing)


def test_a_resource_may_be_an_attribute_of_a_class(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def thing() -> list[int]:
        return [1]

    class View:
        source = thing

    with app.app_context():
        assert View().source() is thing()


def test_one_factory_decorated_twice_is_two_resources(
    app: flask.Flask, scopes: Scopes
) -> None:
    def thing() -> object:
        return object()

    one, two = scopes.request(thing), scopes.request(thing)

    with app.app_context():
        assert one() is not two()
