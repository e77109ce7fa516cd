"""Promise 11, as far as the core keeps it: state belongs to one process."""

from __future__ import annotations

import collections.abc as c
import gc
import os
import signal
import threading
import traceback
import warnings

import flask
import pytest

from flask_scopes import ForkWarning
from flask_scopes import Scopes

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    pytest.mark.usefixtures("alarm"),
    # Here it is meant that something was built before the fork.
    pytest.mark.filterwarnings("ignore::flask_scopes.ForkWarning"),
    # Python 3.12 warns about any fork of a process with threads: it is meant.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


def in_child(function: c.Callable[[], object]) -> str:
    """What *function* returns in a forked child, as text.

    Leaves at once, without the interpreter's own end.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = str(function())
        except BaseException:
            answer = traceback.format_exc()
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return answer


@pytest.fixture
def alarm() -> c.Iterator[None]:
    """A child that hangs must not hang the tests: its parent is this process."""

    def stop(*args: object) -> None:
        raise TimeoutError("the child hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_child_builds_its_own_and_leaves_the_parents_alone(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def connection() -> c.Iterator[int]:
        log.append("open")
        yield os.getpid()
        log.append("close")

    with app.app_context():
        assert connection() == os.getpid()

    def child() -> object:
        with app.app_context():
            own = connection() == os.getpid()
        scopes.close(app)
        return own, log

    assert in_child(child) == "(True, ['open', 'open', 'close'])"
    assert log == ["open"]
    with app.app_context():
        assert connection() == os.getpid()
    scopes.close(app)
    assert log == ["open", "close"]


def test_a_fork_in_the_middle_of_a_request(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def connection() -> int:
        return os.getpid()

    @scopes.request
    def transaction() -> c.Iterator[int]:
        try:
            yield os.getpid()
        finally:
            log.append(f"end of {'own' if os.getpid() == me else 'foreign'}")

    me = os.getpid()
    context = app.test_request_context()
    context.push()
    assert connection() == transaction() == me

    def child() -> object:
        nonlocal me
        me = os.getpid()
        mine = connection() == transaction() == transaction() == me
        context.pop()
        return mine, log

    assert in_child(child) == "(True, ['end of own'])"
    assert log == []
    assert connection() == transaction() == me
    context.pop()
    assert log == ["end of own"]


def test_a_child_that_leaves_the_request_does_not_end_it(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def transaction() -> c.Iterator[None]:
        try:
            yield
        finally:
            log.append("end")

    context = app.test_request_context()
    context.push()
    transaction()

    def child() -> object:
        nonlocal context
        context.pop()
        del context
        gc.collect()
        return log

    assert in_child(child) == "[]"
    context.pop()
    assert log == ["end"]


def test_a_fork_inside_of_nested_contexts(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def connection() -> int:
        return os.getpid()

    @scopes.request
    def transaction() -> int:
        return os.getpid()

    outer, inner = app.test_request_context(), app.app_context()
    outer.push()
    assert connection() == transaction() == os.getpid()
    inner.push()
    assert connection() == transaction() == os.getpid()

    def child() -> object:
        inside = connection() == transaction() == os.getpid()
        inner.pop()
        return inside, connection() == transaction() == os.getpid()

    assert in_child(child) == "(True, True)"
    inner.pop()
    outer.pop()


def test_a_fork_inside_of_a_context_that_is_pushed_twice(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def account() -> str:
        return "ann"

    context = app.app_context()
    with context, context:
        assert in_child(lambda: account()) == "ann"


def test_a_process_that_a_factory_forks_is_not_part_of_it(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.request
    def account() -> str:
        return "ann"

    def child() -> object:
        with app.app_context():
            return account()

    @scopes.application
    def pool() -> str:
        return in_child(child)

    with app.app_context():
        assert pool() == "ann"


def test_a_fork_while_another_thread_builds_does_not_hang(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def slow() -> str:
        if threading.current_thread() is not threading.main_thread():
            entered.set()
            assert go_on.wait(20)
        return "made"

    def use() -> str:
        with app.app_context():
            return slow()

    thread = threading.Thread(target=use)
    thread.start()
    assert entered.wait(10)
    try:
        assert in_child(use) == "made"
    finally:
        go_on.set()
        thread.join(10)


def warnings_in(child: c.Callable[[], object]) -> str:
    """What *child* is warned of, in a forked process."""

    def run() -> object:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            child()
        own = [each for each in caught if issubclass(each.category, ForkWarning)]
        return "\n".join(f"{each.filename}: {each.message}" for each in own)

    return in_child(run)


def test_one_warning_says_what_had_been_built(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def mongo() -> str:
        return "mongo"

    @scopes.application
    def orders() -> str:
        return f"orders in {mongo()}"

    @scopes.application
    def mail() -> str:
        return "mail"

    def child() -> None:
        for _ in range(3):
            with app.app_context():
                mail(), orders()

    with app.app_context():
        orders()
    text = warnings_in(child)
    assert text.count("had been built before process") == 1
    assert text.startswith(f"{__file__}: 'mongo' (")
    lines = [line.strip() for line in text.splitlines() if "first used at" in line]
    assert len(lines) == 2
    assert [line.split()[0] for line in lines] == ["'mongo'", "'orders'"]
    assert all("test_forks.py:" in line.rpartition(" at ")[2] for line in lines)
    # A child of the child has two that it leaves alone.
    assert "'mongo'" in in_child(lambda: warnings_in(child))


def test_no_warning_if_nothing_was_built(app: flask.Flask, scopes: Scopes) -> None:
    @scopes.application
    def mongo() -> str:
        return "mongo"

    @scopes.application
    def closed() -> str:
        return "closed"

    def child() -> None:
        with app.app_context():
            mongo()

    assert warnings_in(child) == ""
    with app.app_context():
        closed()
    scopes.close(app)
    assert warnings_in(child) == ""


def test_what_is_shared_is_used_by_the_child_and_closed_by_the_parent(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application(fork="share")
    def model(name: str = "north") -> c.Iterator[list[str]]:
        log.append(f"read {name}")
        yield [name]
        log.append(f"close {name}")

    with app.app_context():
        mine = model()

    def child() -> object:
        with app.app_context():
            own = model() is mine
            model("south")
        scopes.close(app)
        return own, log

    assert warnings_in(child) == ""
    expected = "(True, ['read north', 'read south', 'close south'])"
    assert in_child(child) == expected
    # And in a child of the child, which has used nothing itself.
    assert in_child(lambda: in_child(child)) == expected
    scopes.close(app)
    assert log == ["read north", "close north"]


def test_what_is_shared_is_checked_in_the_child(
    app: flask.Flask, scopes: Scopes
) -> None:
    me = os.getpid()

    @scopes.application(fork="share", check=lambda made: made == me, every=0)
    def model() -> int:
        return os.getpid()

    def use() -> bool:
        with app.app_context():
            return model() == model() == me

    assert use()
    assert in_child(use) == "True"


def test_what_is_shared_is_replaced_in_the_child_alone(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.application(fork="share", check=lambda made: made == os.getpid(), every=0)
    def model() -> int:
        return os.getpid()

    def use() -> bool:
        with app.app_context():
            return model() == os.getpid()

    assert use()
    assert in_child(use) == "True"
    assert use()


def test_an_inherited_context_keeps_open_what_the_child_has(
    app: flask.Flask, scopes: Scopes
) -> None:
    closed: list[int] = []
    made: list[int] = []

    @scopes.application(check=lambda number: len(made) > 1, every=0)
    def connection() -> c.Iterator[int]:
        made.append(len(made))
        yield made[-1]
        closed.append(os.getpid())

    def child() -> object:
        made.clear()
        held = connection()
        with app.app_context():
            # It is not well, and replaced; and the new one is used.
            connection()
        with app.app_context():
            connection()
        return held, made, closed

    with app.app_context():
        connection()
        assert in_child(child) == "(0, [0, 1], [])"
    scopes.close(app)


def test_twenty_forks_while_another_thread_builds(
    app: flask.Flask, scopes: Scopes
) -> None:
    building = threading.Event()
    over = threading.Event()

    @scopes.application
    def slow(number: int) -> str:
        if threading.current_thread() is not threading.main_thread():
            building.set()
            over.wait(0.05)
        return f"made {number}"

    def build() -> None:
        number = 0
        while not over.is_set():
            with app.app_context():
                slow(number)
            number += 1

    def use() -> str:
        with app.app_context():
            return slow(10**9)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert building.wait(10)
    try:
        for _ in range(20):
            assert in_child(use) == f"made {10**9}"
    finally:
        over.set()
        for thread in threads:
            thread.join(10)
