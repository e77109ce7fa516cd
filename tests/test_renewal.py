"""``check=`` and ``every=``: what is no longer well is replaced, once."""

from __future__ import annotations

import collections.abc as c
import contextvars
import gc
import random
import sys
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import renewal
from flask_scopes.application_store import ApplicationStore


class Connection:
    """Counts how often it was asked, and is well until it is told otherwise."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked = 0
        self.well = True
        self.open = True

    def is_well(self) -> bool:
        self.asked += 1
        return self.well


class Pool:
    """A checked resource, and all that it ever made."""

    def __init__(self, scopes: Scopes, every: float = 0) -> None:
        self.made: list[Connection] = []
        self.slow = threading.Event()
        self.slow.set()

        @scopes.application(check=Connection.is_well, every=every)
        def connection() -> c.Iterator[Connection]:
            made = Connection(len(self.made) + 1)
            self.made.append(made)
            assert self.slow.wait(10)
            yield made
            made.open = False

        self.connection = connection

    @property
    def open(self) -> list[int]:
        return [each.number for each in self.made if each.open]


@pytest.fixture
def pool(scopes: Scopes) -> Pool:
    return Pool(scopes)


def test_what_is_well_is_kept(app: flask.Flask, pool: Pool) -> None:
    for _ in range(3):
        with app.app_context():
            assert pool.connection() is pool.connection()
    assert len(pool.made) == 1
    # Not by the call that built it.
    assert pool.made[0].asked == 5


def test_what_is_not_well_is_built_anew_and_closed_when_it_was_let_go(
    app: flask.Flask, pool: Pool
) -> None:
    with app.app_context():
        pool.connection().well = False
        assert pool.connection().number == 2
        assert pool.open == [1, 2]
        assert pool.connection().number == 2
    with app.app_context():
        assert pool.connection().number == 2
        assert pool.open == [2]


def test_a_check_that_raises_means_that_it_is_not_well(
    app: flask.Flask, scopes: Scopes, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[object] = []

    def check(number: int) -> None:
        if number == 1:
            raise ConnectionResetError("gone away")

    @scopes.application(check=check, every=0)
    def connection() -> int:
        made.append(None)
        return len(made)

    caplog.set_level("INFO")
    with app.app_context():
        assert [connection(), connection(), connection()] == [1, 2, 2]
    assert "is not well, and is built anew" in caplog.text
    assert "gone away" in caplog.text


def test_it_is_asked_at_most_so_often(app: flask.Flask, scopes: Scopes) -> None:
    pool = Pool(scopes, every=3600)
    with app.app_context():
        for _ in range(5):
            pool.connection().well = False
    assert pool.made[0].asked == 0


def test_it_is_not_asked_again_before_it_is_due_again(
    app: flask.Flask, scopes: Scopes
) -> None:
    pool = Pool(scopes, every=3600)
    with app.app_context():
        pool.connection()
        (checked,) = app.extensions["scopes"].store().objects.values()
        for hours in 1, 2:
            # As if they were over.
            checked.due -= 3600
            for _ in range(5):
                pool.connection()
            assert pool.made[0].asked == hours


def test_it_is_asked_when_it_is_due(app: flask.Flask, scopes: Scopes) -> None:
    pool = Pool(scopes, every=0.05)
    with app.app_context():
        for number in 1, 2:
            assert pool.connection().number == number
            pool.made[-1].well = False
            # The warm call and the cold one.
            time.sleep(0.06)
    with app.app_context():
        assert pool.connection().number == 3


def test_objects_for_other_arguments_stay(app: flask.Flask, scopes: Scopes) -> None:
    made: list[str] = []
    sick = {"logs"}

    def check(name: str) -> bool:
        return name not in sick

    @scopes.application(check=check, every=0)
    def database(name: str) -> str:
        made.append(name)
        return name

    with app.app_context():
        database("logs"), database("blog")
        database(name="logs"), database("blog")
    assert made == ["logs", "blog", "logs"]


def test_what_was_built_from_it_is_built_anew_as_well(
    app: flask.Flask, scopes: Scopes, pool: Pool, log: list[str]
) -> None:
    @scopes.application
    def orders() -> c.Iterator[str]:
        number = pool.connection().number
        yield f"orders {number}"
        log.append(f"orders {number}, on {pool.open}")

    @scopes.application
    def report() -> c.Iterator[str]:
        yield f"report of {orders()}"
        log.append(f"report, on {pool.open}")

    @scopes.application
    def other() -> object:
        return object()

    with app.app_context():
        before = other()
        assert report() == "report of orders 1"
        pool.made[0].well = False
        pool.connection()
        assert report() == "report of orders 2"
        assert other() is before
        assert log == []
    with app.app_context():
        assert orders() == "orders 2"
        # The last built first, and what they were built from was open.
        assert log == ["report, on [1, 2]", "orders 1, on [1, 2]"]
        assert pool.open == [2]


def test_something_built_meanwhile_does_not_keep_the_old_one(
    app: flask.Flask, scopes: Scopes, pool: Pool
) -> None:
    holds = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def orders() -> int:
        number = pool.connection().number
        holds.set()
        assert go_on.wait(10)
        return number

    found: list[int] = []

    def use() -> None:
        with app.app_context():
            found.append(orders())

    thread = threading.Thread(target=use)
    thread.start()
    assert holds.wait(10)
    with app.app_context():
        pool.made[0].well = False
        assert pool.connection().number == 2
        go_on.set()
        thread.join(10)
        assert found == [1]
        assert orders() == 2


def test_what_asks_while_it_is_replaced_is_built_once(
    app: flask.Flask, scopes: Scopes, pool: Pool
) -> None:
    built: list[int] = []

    @scopes.application
    def orders() -> int:
        built.append(pool.connection().number)
        return built[-1]

    with app.app_context():
        pool.connection().well = False
        assert [orders(), orders()] == [2, 2]
    assert built == [2]


class Part:
    """Of a chain: each holds the one that it was built from."""

    def __init__(self, name: str, base: Part | None = None) -> None:
        self.name = name
        self.base = base
        self.well = True
        self.closed = 0

    def chain(self) -> c.Iterator[Part]:
        part: Part | None = self
        while part is not None:
            yield part
            part = part.base

    def is_well(self) -> bool:
        return all(part.well for part in self.chain())


def test_under_load_nothing_is_closed_that_somebody_holds(
    app: flask.Flask, scopes: Scopes
) -> None:
    made: list[Part] = []
    wrong: list[str] = []

    def living(name: str, base: Part | None) -> c.Iterator[Part]:
        # Time for others to retire what it is made from.
        time.sleep(0.0005)
        part = Part(name, base)
        made.append(part)
        yield part
        gone = [each.name for each in part.chain() if each.closed]
        wrong.extend(f"{each} closed before {name}" for each in gone)
        part.closed += 1

    @scopes.application(check=Part.is_well, every=0)
    def server() -> c.Iterator[Part]:
        yield from living("server", None)

    @scopes.application(check=Part.is_well, every=0.001)
    def client() -> c.Iterator[Part]:
        yield from living("client", server())

    @scopes.application
    def orders() -> c.Iterator[Part]:
        yield from living("orders", client())

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(250):
            with app.app_context():
                held: list[Part] = []
                for _ in range(3):
                    held.append(chance.choice([server, client, orders])())
                    held[-1].well = chance.random() > 0.1
                    time.sleep(0.0005)
                    parts = [part for one in held for part in one.chain()]
                    wrong.extend(f"{part.name} in use" for part in parts if part.closed)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(before)
    assert wrong == []
    assert len(made) > 10
    scopes.close(app)
    assert wrong == []
    assert {part.closed for part in made} == {1}


def test_another_thread_may_close_the_last_one(
    app: flask.Flask, scopes: Scopes
) -> None:
    class Taken(list[renewal.Retired]):
        """Has one, as long as nobody looks for it."""

        def __bool__(self) -> bool:
            return True

    with app.app_context():
        store: ApplicationStore = app.extensions["scopes"].store()
        store.retired = Taken()
        renewal.sweep(store)
    store.retired = []


def test_in_many_threads_it_is_replaced_once(app: flask.Flask, pool: Pool) -> None:
    together = threading.Barrier(8)
    found: list[int] = []

    def use() -> None:
        with app.app_context():
            together.wait(10)
            found.append(pool.connection().number)

    with app.app_context():
        pool.connection().well = False
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    # Some may have gone on with the first one, while it was asked.
    assert len(pool.made) == 2
    assert set(found) <= {1, 2}
    with app.app_context():
        assert pool.connection().number == 2


def test_the_others_go_on_while_one_thread_asks(
    app: flask.Flask, scopes: Scopes
) -> None:
    asking = threading.Event()
    answer = threading.Event()

    def check(obj: object) -> None:
        asking.set()
        assert answer.wait(10)

    @scopes.application(check=check, every=0)
    def connection() -> object:
        return object()

    def use() -> None:
        with app.app_context():
            connection()

    with app.app_context():
        made = connection()
    thread = threading.Thread(target=use)
    thread.start()
    assert asking.wait(10)
    with app.app_context():
        assert connection() is made
    answer.set()
    thread.join(10)


def test_the_old_one_is_open_as_long_as_anybody_may_hold_it(
    app: flask.Flask, pool: Pool
) -> None:
    with app.app_context():
        held = pool.connection()
        # Work that goes on after its request, in a copy of the context.
        copied = contextvars.copy_context()
    held.well = False
    for _ in range(3):
        with app.app_context():
            assert pool.connection().number == 2
        assert held.open
    del copied
    with app.app_context():
        pool.connection()
        assert not held.open


def test_the_context_of_a_stream_may_hold_it(app: flask.Flask, pool: Pool) -> None:
    @app.get("/")
    def stream() -> flask.Response:
        held = pool.connection()

        def body() -> c.Iterator[str]:
            for _ in range(3):
                yield "open " if held.open else "closed "

        return flask.Response(flask.stream_with_context(body()))

    answer = app.test_client().get("/", buffered=False)
    chunks = iter(answer.response)
    assert next(chunks) == b"open "
    pool.made[0].well = False
    for _ in range(2):
        with app.app_context():
            assert pool.connection().number == 2
    assert list(chunks) == [b"open ", b"open "]
    answer.close()
    del answer, chunks
    gc.collect()
    with app.app_context():
        pool.connection()
    assert pool.open == [2]


def test_an_older_context_keeps_the_later_ones_open_too(
    app: flask.Flask, pool: Pool
) -> None:
    old = app.app_context()
    with old:
        pool.connection()
    first = contextvars.Context()
    first.run(old.push)
    for number in 1, 2, 3:
        pool.made[-1].well = False
        with app.app_context():
            assert pool.connection().number == number + 1
    # It may have taken any of them meanwhile.
    assert pool.open == [1, 2, 3, 4]
    first.run(old.pop)
    del old, first
    with app.app_context():
        pool.connection()
        assert pool.open == [4]


def test_nothing_is_left_of_those_that_were_closed(
    app: flask.Flask, pool: Pool
) -> None:
    for _ in range(5):
        with app.app_context():
            pool.connection().well = False
    for _ in range(2):
        with app.app_context():
            pool.connection()
    store = app.extensions["scopes"].store()
    assert len(store.built) == len(store.records) == 1
    assert store.retired == []


def test_at_the_end_all_are_closed(
    app: flask.Flask, scopes: Scopes, pool: Pool
) -> None:
    with app.app_context():
        pool.connection().well = False
        pool.connection()
        assert pool.open == [1, 2]
        scopes.close()
        assert pool.open == []


def test_if_it_cannot_be_built_anew_the_next_call_tries_again(
    app: flask.Flask, scopes: Scopes
) -> None:
    outage: list[object] = []

    def check(obj: object) -> bool:
        return not outage

    @scopes.application(check=check, every=0)
    def connection() -> object:
        if outage:
            raise ConnectionError("no route to host")
        return object()

    with app.app_context():
        first = connection()
        outage.append(None)
        for _ in range(2):
            with pytest.raises(ConnectionError, match="no route"):
                connection()
        outage.clear()
        assert connection() is not first
        assert connection() is connection()


def test_a_teardown_that_fails_late_is_logged(
    app: flask.Flask, scopes: Scopes, caplog: pytest.LogCaptureFixture
) -> None:
    sick: list[object] = []

    def check(obj: object) -> bool:
        return not sick or sick.pop() is not None

    @scopes.application(check=check, every=0)
    def connection() -> c.Iterator[object]:
        yield object()
        raise ConnectionResetError("gone away")

    with app.app_context():
        connection()
        sick.append(None)
        connection()
    with app.app_context():
        connection()
    assert "was replaced, and not closed: gone away" in caplog.text
    with pytest.raises(ExceptionGroup, match="gone away"):
        scopes.close(app)


def test_the_check_sees_no_request(app: flask.Flask, scopes: Scopes) -> None:
    seen: list[object] = []

    def check(obj: object) -> None:
        seen.append((flask.current_app.name, flask.has_request_context()))

    @scopes.application(check=check, every=0)
    def connection() -> object:
        return object()

    with app.test_request_context():
        connection(), connection()
    assert seen == [("shop", False)]


def test_an_override_is_not_checked(app: flask.Flask, pool: Pool) -> None:
    with app.app_context():
        first = pool.connection()
        fake = Connection(0)
        fake.well = False
        with pool.connection.override(fake):
            assert pool.connection() is pool.connection() is fake
        with pool.connection.override(factory=lambda: fake):
            assert pool.connection() is pool.connection() is fake
        assert pool.connection() is first
    assert fake.asked == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"check": bool}, "every does not say how often"),
        ({"every": 5}, "there is no check"),
        ({"check": bool, "every": -1}, "a number of seconds"),
        ({"check": bool, "every": "5"}, "a number of seconds"),
        ({"check": bool, "every": True}, "a number of seconds"),
        ({"check": "ping", "every": 5}, "'ping' cannot be"),
        ({"ping": 7}, "7 cannot be"),
        ({"fork": "keep"}, "not 'keep'"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    scopes: Scopes, options: dict[str, object], problem: str
) -> None:
    with pytest.raises(SetupError, match=problem) as caught:
        decorate = t.cast("t.Any", scopes).application(**options)

        def connection() -> object:
            return object()

        decorate(connection)

    assert caught.value.path == ("connection",)
