"""Promise 4: a longer scope cannot use a shorter one, and cycles are refused."""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import threading
import time

import flask
import pytest

from flask_scopes import CycleError
from flask_scopes import Resource
from flask_scopes import ScopeMismatchError
from flask_scopes import Scopes
from flask_scopes.resource import Decorator


def test_an_application_factory_may_not_use_a_request_object(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def account() -> str:
        return "ann"

    @scopes.application
    def cache() -> str:
        return account()

    @scopes.request
    def page() -> str:
        return cache()

    with app.app_context():
        account()
        with pytest.raises(ScopeMismatchError) as raised:
            page()

        assert raised.value.path == ("page", "cache", "account")
        assert account() == "ann"


def test_it_may_hold_the_function(app: flask.Flask, scopes: Scopes) -> None:
    names = iter(["ann", "bob"])

    @scopes.request
    def account() -> str:
        return next(names)

    @scopes.application
    def greeter() -> c.Callable[[], str]:
        return lambda: f"hello {account()}"

    for name in ("ann", "bob"):
        with app.app_context():
            assert greeter()() == f"hello {name}"


def test_a_teardown_of_the_application_may_not_use_a_request_object_of_a_request(
    app: flask.Flask, scopes: Scopes
) -> None:
    """It runs in a context of its own, where the caller's unit is not in sight."""

    @scopes.request
    def account() -> object:
        return object()

    seen: list[object] = []

    @scopes.application
    def cache() -> c.Iterator[None]:
        yield
        seen.append(account())

    with app.app_context():
        cache()
        mine = account()
        scopes.close(app)

        assert seen != [mine]


def test_a_cycle_is_refused_with_its_path(app: flask.Flask, scopes: Scopes) -> None:
    both: list[Decorator] = [scopes.application, scopes.request]
    for decorate in both:

        @decorate
        def orders() -> object:
            return prices()

        @decorate
        def prices() -> object:
            return discounts()

        @decorate
        def discounts() -> object:
            return orders()

        with app.app_context(), pytest.raises(CycleError) as raised:
            orders()

        assert raised.value.path == ("orders", "prices", "discounts", "orders")


def test_a_resource_that_needs_itself(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.request
    def ouroboros() -> object:
        return ouroboros()

    with app.app_context(), pytest.raises(CycleError) as raised:
        ouroboros()

    assert raised.value.path == ("ouroboros", "ouroboros")


def test_other_arguments_are_no_cycle(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    with app.app_context():
        assert fibonacci(30) == 832040


def test_after_a_refusal_everything_can_be_built(
    app: flask.Flask, scopes: Scopes
) -> None:
    closing = True

    @scopes.application
    def a() -> str:
        return b() if closing else "a"

    @scopes.application
    def b() -> str:
        return a()

    with app.app_context():
        with pytest.raises(CycleError):
            a()
        closing = False
        assert b() == "a"


def test_two_threads_that_build_one_object_are_no_cycle(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def slow() -> object:
        entered.set()
        assert go_on.wait(10)
        return object()

    @scopes.application
    def needs_slow() -> object:
        return slow()

    found: list[object] = []

    def use(resource: Resource[[], object]) -> None:
        with app.app_context():
            found.append(resource())

    threads = [threading.Thread(target=use, args=(slow,))]
    threads[0].start()
    assert entered.wait(10)
    threads += [threading.Thread(target=use, args=(r,)) for r in (slow, needs_slow)]
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert len(found) == 3
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize("length", [2, 3, 5])
def test_opposite_orders_in_threads_are_an_error_and_not_a_deadlock(
    app: flask.Flask, scopes: Scopes, length: int
) -> None:
    barrier = threading.Barrier(length)
    resources: list[Resource[[], object]] = []

    def declare(index: int) -> None:
        first = True

        @scopes.application
        def link() -> object:
            nonlocal first
            if first:
                # Only once: later, whoever is left must get through or fail.
                first = False
                barrier.wait(10)
            return resources[(index + 1) % length]()

        resources.append(link)

    for index in range(length):
        declare(index)
    errors: list[BaseException] = []

    def use(resource: Resource[[], object]) -> None:
        with app.app_context():
            try:
                resource()
            except CycleError as error:
                errors.append(error)

    threads = [threading.Thread(target=use, args=(r,)) for r in resources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    # A ring has no beginning: nobody can have got through.
    assert len(errors) == length
    assert "several threads" in "".join(map(str, errors))


def test_a_wait_that_is_no_circle_ends_well(app: flask.Flask, scopes: Scopes) -> None:
    """One thread builds A then B, the other B alone: A waits, nothing else."""
    b_entered = threading.Event()
    a_asks = threading.Event()

    @scopes.application
    def b() -> str:
        b_entered.set()
        assert a_asks.wait(10)
        return "b"

    @scopes.application
    def a() -> str:
        a_asks.set()
        return "a" + b()

    def use_b() -> None:
        with app.app_context():
            b()

    thread = threading.Thread(target=use_b)
    thread.start()
    assert b_entered.wait(10)
    with app.app_context():
        assert a() == "ab"
    thread.join(10)


def test_a_thread_that_a_factory_starts_and_waits_for_is_part_of_the_cycle(
    app: flask.Flask, scopes: Scopes
) -> None:
    errors: list[BaseException] = []

    @scopes.application
    def parent() -> str:
        def child() -> None:
            try:
                parent()
            except CycleError as error:
                errors.append(error)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(child,))
        thread.start()
        thread.join(10)
        assert not thread.is_alive()
        return "parent"

    with app.app_context():
        assert parent() == "parent"
    assert len(errors) == 1


def test_a_thread_that_outlives_its_factory_is_no_longer_part_of_it(
    app: flask.Flask, scopes: Scopes
) -> None:
    go_on = threading.Event()
    found: list[object] = []

    @scopes.request
    def account() -> str:
        return "ann"

    @scopes.application
    def worker() -> threading.Thread:
        def work() -> None:
            assert go_on.wait(10)
            with app.app_context():
                found.append(account())
                found.append(worker())

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,))
        thread.start()
        return thread

    with app.app_context():
        thread = worker()
    go_on.set()
    thread.join(10)

    assert found == ["ann", thread]


def test_threads_of_one_factory_wait_for_the_same_object(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered, go_on = threading.Event(), threading.Event()
    found: list[object] = []

    @scopes.application
    def slow() -> str:
        entered.set()
        assert go_on.wait(10)
        return "slow"

    @scopes.request
    def fan() -> None:
        threads = [
            threading.Thread(
                target=contextvars.copy_context().run,
                args=(lambda: found.append(slow()),),
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        while len(claim.waiters) < 8:
            time.sleep(0.001)
        go_on.set()
        for thread in threads:
            thread.join(10)

    def use_slow() -> None:
        with app.app_context():
            slow()

    builder = threading.Thread(target=use_slow)
    builder.start()
    assert entered.wait(10)
    (claim,) = app.extensions["scopes"].store().claims.values()
    with app.app_context():
        fan()
    builder.join(10)

    assert found == ["slow"] * 8


def test_a_circle_through_contexts_where_the_stack_does_not_reach(
    app: flask.Flask, scopes: Scopes
) -> None:
    """Each factory asks for the other in an empty context."""
    barrier = threading.Barrier(2)
    errors: list[BaseException] = []

    def elsewhere(resource: Resource[[], object]) -> object:
        def ask() -> object:
            with app.app_context():
                return resource()

        return contextvars.Context().run(ask)

    def meet() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(10)

    @scopes.application
    def a() -> object:
        meet()
        return elsewhere(b)

    @scopes.application
    def b() -> object:
        meet()
        return elsewhere(a)

    def use(resource: Resource[[], object]) -> None:
        with app.app_context():
            try:
                resource()
            except CycleError as error:
                errors.append(error)
        barrier.abort()

    threads = [threading.Thread(target=use, args=(r,), daemon=True) for r in (a, b)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert len(errors) == 2


class Stop(BaseException):
    """Stands for KeyboardInterrupt and its like."""


class Odd(ConnectionError):
    """Cannot be copied from the arguments that it keeps."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port}")


@pytest.mark.parametrize(
    "error", [ConnectionError("down"), Odd("here", 1), Stop()], ids=repr
)
def test_who_waits_shares_the_failure_unless_it_is_about_the_other_thread(
    app: flask.Flask, scopes: Scopes, error: BaseException
) -> None:
    """Trying in turn, 40 threads would need 40 time-outs to see one outage."""
    entered = threading.Event()
    go_on = threading.Event()
    tries: list[int] = []

    @scopes.application
    def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            entered.set()
            assert go_on.wait(10)
            raise error
        return "up"

    found: list[object] = []

    def use() -> None:
        with app.app_context():
            try:
                found.append(flaky())
            except (ConnectionError, Stop) as raised:
                found.append(raised)

    threads = [threading.Thread(target=use) for _ in range(8)]
    threads[0].start()
    assert entered.wait(10)
    (claim,) = app.extensions["scopes"].store().claims.values()
    for thread in threads[1:]:
        thread.start()
    while len(claim.waiters) < 7:
        time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(10)

    shared = isinstance(error, Exception)
    assert len([each for each in found if type(each) is type(error)]) == (
        8 if shared else 1
    )
    assert found.count(error) == (8 if isinstance(error, Odd) else 1)
    assert len(tries) == (1 if shared else 2)
    with app.app_context():
        assert flaky() == "up"
