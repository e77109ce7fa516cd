"""What outlives its scope is found, by name and line, by who holds nothing of it."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import contextvars
import dataclasses
import enum
import functools
import gc
import logging
import os
import pathlib
import threading
import typing as t
import warnings
import weakref

import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import ForkWarning
from flask_scopes import Scopes
from flask_scopes.application import Application
from flask_scopes.recording import leaks
from flask_scopes.recording.holders import holders_of
from flask_scopes.recording.leaks import Watch

pytestmark = pytest.mark.scopes_may_leak("to be found")

RECENT: list[object] = []
HERE = f"{__name__} ({pathlib.Path(__file__).relative_to(pathlib.Path.cwd())})"


class Cart:
    def close(self) -> None: ...


class Slotted:
    __slots__ = ("__weakref__", "kept")

    def __init__(self, kept: object) -> None:
        self.kept = kept


class Hostile:
    """Whoever asks it anything raises."""

    def refuse(self, *args: object) -> t.NoReturn:
        raise AssertionError(args)

    __eq__ = __hash__ = __repr__ = __getattr__ = __bool__ = __len__ = refuse
    __class__ = property(refuse)  # as a proxy does


@pytest.fixture
def watch(home: Application) -> Watch:
    watch = Watch()
    home.events.add(watch)
    return watch


@pytest.fixture(autouse=True)
def nothing_kept() -> c.Iterator[None]:
    yield
    RECENT.clear()


def line_of(function: t.Any, offset: int = 0) -> str:
    code = function.__code__
    path = pathlib.Path(code.co_filename).relative_to(pathlib.Path.cwd())
    return f"{path}:{code.co_firstlineno + offset}"


# ---- What is reported --------------------------------------------------------


def test_a_request_object_that_is_kept_is_reported_until_it_is_not(
    app: flask.Flask, scopes: Scopes, client: Client, watch: Watch
) -> None:
    @scopes.request
    def cart() -> c.Iterator[Cart]:
        yield Cart()

    @app.get("/<keep>")
    def view(keep: str) -> str:
        made = cart()
        RECENT.extend([made] if keep == "keep" else [])
        assert watch.still_referenced() == []
        return ""

    client.get("/drop")
    assert watch.still_referenced() == []
    client.get("/keep")
    (leak,) = watch.still_referenced()
    assert (leak.resource, leak.scope) == ("cart", "request")
    assert leak.place == line_of(cart.__wrapped__)
    assert leak.asked_at == line_of(view, 2)
    assert leak.type == f"{__name__}.Cart"
    assert 0 <= leak.closed_ago < 60
    assert leak.holders == [f"a list that is global RECENT of {HERE}"]
    assert watch.still_referenced(lambda made: made is RECENT[0]) == []
    RECENT.clear()
    assert watch.still_referenced() == []


class Plan(enum.Enum):
    FREE = 1


ANONYMOUS = Cart()


@dataclasses.dataclass
class Basket:
    items: list[str]


def test_what_its_factory_found_elsewhere_is_not_reported(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def plan() -> Plan:
        return Plan.FREE

    @scopes.request
    def user() -> Cart:
        return ANONYMOUS

    @scopes.request
    def logger() -> logging.Logger:
        return logging.getLogger("of the cart")

    @scopes.request
    def config() -> object:
        return flask.current_app.config

    @scopes.request
    def cart() -> Cart:
        return Cart()

    @scopes.session
    def basket() -> Basket:
        return Basket([])

    with app.test_request_context():
        plan(), user(), logger(), config()
        RECENT.extend([cart(), basket()])
    found = {leak.resource for leak in watch.still_referenced()}
    assert found == {"cart", "basket"}


def test_what_a_factory_yields_is_followed_whoever_has_it_then(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def cart() -> c.Iterator[Cart]:
        with contextlib.closing(Cart()) as made:
            yield made

    with app.app_context():
        RECENT.append(cart())
    assert [leak.resource for leak in watch.still_referenced()] == ["cart"]


def test_who_holds_it_is_told_without_a_key_that_may_be_a_value(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def cart() -> c.Iterator[Cart]:
        yield Cart()

    def hold(made: list[Cart]) -> None:
        by_token = {"secret": made.pop()}
        holds.set()
        done.wait(60)
        by_token.clear()

    holds, done = threading.Event(), threading.Event()
    with app.app_context():
        thread = threading.Thread(target=hold, args=([cart()],))
        thread.start()
        holds.wait(60)
    try:
        (leak,) = watch.still_referenced()
        assert leak.holders == ["a dict"]
    finally:
        done.set()
        thread.join()


def test_what_the_body_still_needs_is_not_reported(
    app: flask.Flask, scopes: Scopes, client: Client, watch: Watch
) -> None:
    @scopes.request(until="sent")
    def rows() -> c.Iterator[Cart]:
        yield Cart()

    @scopes.request
    def cart() -> Cart:
        return Cart()

    @app.get("/")
    def view() -> t.Any:
        RECENT.extend([rows(), cart()])
        return flask.stream_with_context(iter("abc"))

    response = client.get("/")
    assert watch.still_referenced() == []
    response.close()
    found = [(leak.resource, leak.scope) for leak in watch.still_referenced()]
    assert sorted(found) == [("cart", "request"), ("rows", "until sent")]


def test_what_lives_longer_anyway_is_not_reported(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.application
    def config() -> Cart:
        return Cart()

    @scopes.request
    def shared() -> Cart:
        return config()

    @scopes.request
    def overridden() -> Cart:
        return Cart()

    @scopes.request
    def outer() -> Cart:
        return overridden()

    resources: list[t.Any] = [shared, overridden, outer]
    values: tuple[t.Any, ...] = (Cart, line_of, flask, [1], {}, 7, "text")
    for value in values:
        factory = functools.partial(lambda value: value, value)
        resources += [scopes.request(factory)]
    with overridden.override(Cart()), app.app_context():
        RECENT.extend(resource() for resource in resources)
    with overridden.override(factory=Cart), app.app_context():
        RECENT.append(overridden())
    assert watch.still_referenced() == []


def test_one_object_of_two_resources_is_reported_once_where_it_is_made(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def first() -> c.Iterator[Cart]:
        yield Cart()

    @scopes.request
    def second() -> Cart:
        return first()

    with app.app_context():
        RECENT.append(second())
    assert [leak.resource for leak in watch.still_referenced()] == ["first"]
    assert watch.never_closed() == []


def test_a_leak_is_remembered_although_thousands_come_after_it(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def cart(number: int) -> Cart:
        return Cart()

    with app.app_context():
        RECENT.append(cart(-1))
    for _ in range(3):
        with app.app_context():
            for number in range(leaks.WATCHED):
                cart(number)
    (leak,) = watch.still_referenced()
    assert leak.resource == "cart"
    watch.forget()
    assert watch.still_referenced() == []


def test_a_unit_that_is_lost_is_told_of(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    closed: list[str] = []

    @scopes.request
    def cart() -> c.Iterator[Cart]:
        try:
            yield Cart()
        finally:
            closed.append("cart")

    def abandon() -> None:
        app.app_context().push()
        cart()

    contextvars.Context().run(abandon)
    gc.collect()
    (lost,) = watch.lost_units()
    assert closed == ["cart"]
    assert [each.resource for each in lost.objects] == ["cart"]
    assert lost.objects[0].asked_at == line_of(abandon, 2)


def test_what_could_be_closed_and_is_not_is_told_of_once(
    app: flask.Flask, scopes: Scopes, watch: Watch
) -> None:
    @scopes.request
    def cart() -> Cart:
        return Cart()

    @scopes.application
    def closed() -> c.Iterator[Cart]:
        yield Cart()

    for _ in range(2):
        with app.app_context():
            cart()
            closed()
    place = line_of(cart.__wrapped__)
    kind = f"{__name__}.Cart"
    assert watch.never_closed() == [leaks.Unclosed("cart", "request", place, kind)]


def test_what_was_built_before_a_fork_is_told_of(
    app: flask.Flask, scopes: Scopes, home: Application
) -> None:
    @scopes.application
    def engine() -> Cart:
        return Cart()

    @scopes.application(fork="share")
    def table() -> Cart:
        return Cart()

    with app.app_context():
        engine()
        table()
    assert leaks.built_before_fork(home) == []
    reader, writer = os.pipe()
    if not os.fork():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ForkWarning)
            home.store()
        os.write(writer, repr(leaks.built_before_fork(home)).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as answer:
        text = answer.read()
    assert text.count("Inherited") == 1
    assert "resource='engine'" in text
    assert f"place='{line_of(engine.__wrapped__)}'" in text


def test_a_watch_keeps_nothing_alive(watch: Watch) -> None:
    watch = Watch()
    scopes = Scopes()
    app = flask.Flask("other")
    scopes.init_app(app)
    home: Application = app.extensions["scopes"]
    home.events.add(watch)

    @scopes.request
    def cart() -> c.Iterator[Cart]:
        yield Cart()

    @scopes.application
    def shared() -> Cart:
        return Cart()

    refs: list[weakref.ref[t.Any]] = [weakref.ref(app), weakref.ref(scopes)]
    with app.app_context() as context:
        refs += [weakref.ref(each) for each in (cart(), shared())]
        refs += [weakref.ref(build) for build in home.store().built]
        (unit,) = home.units.values()
        refs += [unit, weakref.ref(unit().built[0]), weakref.ref(context)]  # type: ignore[union-attr]  # it is there
        gc.disable()
    try:
        assert refs[2]() is None, "without a collection"
    finally:
        gc.enable()
    assert watch.still_referenced() == []
    assert watch.never_closed()
    del app, home, context, unit, scopes, cart, shared
    gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)


# ---- Who holds it ------------------------------------------------------------


def attribute(made: object) -> object:
    holder = Cart()
    holder.kept = made  # type: ignore[attr-defined]  # of a test
    return holder


def slot(made: object) -> object:
    return Slotted(made)


def of_a_class(made: object) -> object:
    return type("Registry", (), {"last": [made]})


def closure(made: object) -> object:
    def report() -> object:
        return made

    return report


def default(made: object) -> object:
    def report(made: object = made) -> None: ...

    return report


def cached(made: object) -> object:
    @functools.cache
    def look_up() -> object:
        return made

    look_up()
    return look_up


def suspended(made: object) -> object:
    def pages() -> c.Iterator[object]:
        page = made
        yield page

    generator = pages()
    next(generator)
    return generator


def traceback(made: object) -> object:
    def load(row: object) -> t.NoReturn:
        raise LookupError

    try:
        load(made)
    except LookupError as error:
        return error


def error(made: object) -> object:
    return LookupError(made)


def queue(made: object) -> object:
    return attribute(collections.deque([{"made": made}]))


def method(made: t.Any) -> object:
    return attribute(made.close)


def thread_local(made: object) -> object:
    holder = threading.local()
    holder.kept = made
    return holder


def variable(made: object) -> object:
    context = contextvars.Context()
    context.run(contextvars.ContextVar[object]("v").set, made)
    return context


CART = f"{__name__}.Cart"
HOLDERS: dict[c.Callable[[t.Any], object], str] = {
    attribute: f"attribute 'kept' of {CART}",
    slot: f"attribute 'kept' of {__name__}.Slotted",
    of_a_class: f"a list that is attribute 'last' of class {__name__}.Registry",
    closure: f"variable 'made' of the closure report() at {line_of(closure, 1)}",
    default: f"a default argument of report() at {line_of(default, 1)}",
    cached: f"the cache of look_up() at {line_of(cached, 1)}",
    suspended: "local variable 'page' of the suspended generator pages() at"
    f" {line_of(suspended, 3)}",
    traceback: f"local variable 'row' of the frame load() at {line_of(traceback, 2)},"
    " which a traceback may keep",
    error: "an argument of an exception, LookupError",
    queue: f"a dict in a deque that is attribute 'kept' of {CART}",
    method: f"a method of it that is attribute 'kept' of {CART}",
    thread_local: "attribute 'kept' of a threading.local",
    variable: "the value of a ContextVar",
}


@pytest.mark.parametrize("hold", HOLDERS, ids=lambda hold: hold.__name__)
def test_who_holds_an_object_is_named(hold: c.Callable[[t.Any], object]) -> None:
    made = Cart()
    holder = hold(made)
    assert HOLDERS[hold] in holders_of(made)
    del holder


def test_what_an_object_holds_itself_is_no_holder_of_it() -> None:
    made: t.Any = Cart()
    made.part = Cart()
    made.part.whole = made
    assert holders_of(made) == [f"attribute 'whole' of {CART}"]
    RECENT.append(made)
    assert holders_of(made) == [f"a list that is global RECENT of {HERE}"]


def test_holders_are_bounded() -> None:
    made = Cart()
    holders = [attribute(made) for _ in range(10)]
    holders += [type(f"T{n}", (), {"kept": made}) for n in range(10)]
    assert len(holders_of(made)) == 5
    many = [[made] for _ in range(3000)]
    assert len(holders_of(made)) <= 5
    del many


def test_no_code_of_anybody_runs_to_name_a_holder() -> None:
    made = Hostile()
    holder = Hostile()
    object.__setattr__(holder, "kept", made)
    RECENT.append(holder)
    held = {"a": [made], "b": holder}
    assert f"attribute 'kept' of {__name__}.Hostile" in holders_of(made)
    assert holders_of(holder)
    del held
