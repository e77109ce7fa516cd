"""What happens is told to who listens, and to nobody else; and nobody can do harm."""

from __future__ import annotations

import collections.abc as c
import gc
import threading
import typing as t
import weakref

import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes import contexts
from flask_scopes import events
from flask_scopes.application import Application
from flask_scopes.events import Listener
from flask_scopes.events import Took


class Diary(Listener):
    """Notes the names of all that it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def building(self, store: t.Any, build: t.Any) -> None:
        self.notes.append(f"building {build.recipe.name}")

    def built(
        self, store: t.Any, build: t.Any, made: object, took: Took, is_new: bool
    ) -> None:
        assert 0 <= took.seconds < 60
        self.notes.append(f"built {build.recipe.name}")

    def failed(
        self, store: t.Any, build: t.Any, error: BaseException, took: Took
    ) -> None:
        self.notes.append(f"failed {build.recipe.name}: {error!r}")

    def used(self, store: t.Any, build: t.Any, asking: t.Any) -> None:
        by = "" if asking is None else f" by {asking.recipe.name}"
        self.notes.append(f"used {build.recipe.name}{by}")

    def closed(
        self, store: t.Any, build: t.Any, error: BaseException | None, took: Took
    ) -> None:
        self.notes.append(
            f"closed {build.recipe.name}" + (f": {error!r}" * bool(error))
        )

    def finishing(self, unit: t.Any, status: int) -> None:
        self.notes.append(f"finishing {status}")

    def finished(self, unit: t.Any, took: Took) -> None:
        self.notes.append(f"finished: {unit.error!r}")

    def lost(self, unit: t.Any) -> None:
        self.notes.append(f"lost {[build.recipe.name for build in unit.built]}")

    def take(self) -> list[str]:
        notes, self.notes = self.notes, []
        return notes


@pytest.fixture
def diary(home: Application) -> Diary:
    diary = Diary()
    home.events.add(diary)
    return diary


class Shop(t.NamedTuple):
    engine: t.Any
    orders: t.Any


@pytest.fixture
def shop(app: flask.Flask, scopes: Scopes) -> Shop:
    @scopes.application
    def engine() -> c.Iterator[str]:
        yield "engine"

    @scopes.request
    def orders() -> c.Iterator[str]:
        engine()
        yield "orders"

    @app.get("/orders")
    def view() -> str:
        orders()
        return str(orders() + engine())

    @app.get("/gone")
    def gone() -> t.NoReturn:
        orders()
        flask.abort(404)

    return Shop(engine, orders)


@pytest.mark.usefixtures("shop")
def test_a_request_is_told_from_the_first_build_to_the_last_teardown(
    app: flask.Flask, client: Client, scopes: Scopes, diary: Diary
) -> None:
    assert client.get("/orders").text == "ordersengine"
    assert diary.take() == [
        "building orders",
        "building engine",
        "built engine",
        "built orders",
        "used orders",
        "used engine",
        "finishing 200",
        "closed orders",
        "finished: None",
    ]
    client.get("/gone")
    assert diary.take() == [
        "building orders",
        "used engine by orders",
        "built orders",
        "finishing 404",
        "closed orders",
        "finished: <NotFound '404: Not Found'>",
    ]
    scopes.close(app)
    assert diary.take() == ["closed engine"]


def test_what_raises_is_told(app: flask.Flask, scopes: Scopes, diary: Diary) -> None:
    @scopes.request
    def away() -> str:
        raise ConnectionError("away")

    @scopes.request
    def late() -> c.Iterator[str]:
        yield "late"
        raise TimeoutError("late")

    with app.app_context(), pytest.raises(ConnectionError):
        away()
    assert diary.take() == [
        "building away",
        "failed away: ConnectionError('away')",
        "finished: None",
    ]
    context = app.app_context()
    context.push()
    late()
    with pytest.raises(Exception, match="late"):
        context.pop(None)
    assert "closed late: TimeoutError('late')" in diary.notes
    assert diary.notes[-1] == "finished: TimeoutError('late')"


@pytest.mark.usefixtures("shop")
def test_uses_are_told_again_and_again(
    app: flask.Flask, shop: Shop, diary: Diary
) -> None:
    with app.app_context():
        for _ in range(3):
            shop.orders(), shop.engine()
    assert diary.notes.count("used orders") == 2
    assert diary.notes.count("used engine") == 3


def test_uses_are_told_by_arguments_and_with_a_check(
    app: flask.Flask, scopes: Scopes, diary: Diary
) -> None:
    @scopes.application
    def database(name: str) -> str:
        return name

    @scopes.request
    def page(number: int) -> int:
        return number

    @scopes.application(check=lambda made: True, every=60)
    def client() -> str:
        return "client"

    with app.app_context():
        for _ in range(3):
            assert (database("a"), page(1), client()) == ("a", 1, "client")
            with pytest.raises(Exception, match="unhashable"):
                page([])  # type: ignore[arg-type]  # bad on purpose
    for name in ("database", "page", "client"):
        assert diary.notes.count(f"used {name}") == 2


def test_a_listener_that_raises_is_dropped_and_logged_once(
    app: flask.Flask,
    client: Client,
    home: Application,
    shop: Shop,
    diary: Diary,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Bad(Listener):
        def building(self, store: object, build: object) -> None:
            raise RuntimeError("the listener's own")

    home.events.listeners = (Bad(), *home.events.listeners)
    for _ in range(3):
        assert client.get("/orders").status_code == 200
    assert diary.notes.count("finished: None") == 3
    logged = [record for record in caplog.records if record.name == "flask_scopes"]
    assert len(logged) == 1
    assert "Bad" in logged[0].getMessage()
    assert home.events.listeners == (diary,)


def test_an_exception_from_outside_is_not_swallowed(
    app: flask.Flask, home: Application, shop: Shop
) -> None:
    class Interrupted(Listener):
        def building(self, store: object, build: object) -> None:
            raise KeyboardInterrupt

    home.events.add(Interrupted())
    with app.app_context(), pytest.raises(KeyboardInterrupt):
        shop.orders()


@pytest.mark.usefixtures("shop")
def test_after_one_from_outside_what_is_still_open_is_rolled_back(
    app: flask.Flask, scopes: Scopes, home: Application
) -> None:
    ends: list[str] = []

    @scopes.request
    def transaction() -> c.Iterator[None]:
        try:
            yield
        except BaseException:
            ends.append("rolled back")
            raise
        ends.append("committed")

    @scopes.request
    def cart() -> c.Iterator[None]:
        transaction()
        yield

    class Timeout(BaseException):
        """As gevent has it."""

    class Slow(Listener):
        def closed(self, *args: object) -> None:
            raise Timeout

    home.events.add(Slow())
    with pytest.raises(BaseExceptionGroup) as caught, app.app_context():
        cart()
    assert ends == ["rolled back"]
    assert caught.group_contains(Timeout)


def test_a_listener_may_ask_and_is_no_part_of_what_is_built(
    app: flask.Flask, scopes: Scopes, home: Application
) -> None:
    @scopes.request
    def tally() -> list[str]:
        return []

    @scopes.application
    def engine() -> str:
        return "engine"

    class Asking(Listener):
        def building(self, store: object, build: t.Any) -> None:
            if build.recipe.name == "engine":
                tally().append("engine")

    home.events.add(Asking())
    with app.app_context():
        # Of a shorter life than the engine: it would be refused, were it its own.
        assert engine() == "engine"
        assert tally() == ["engine"]
    (build,) = home.store().built
    assert not build.uses


def test_what_a_listener_asks_for_meanwhile_is_not_used_by_what_is_built(
    app: flask.Flask, shop: Shop, scopes: Scopes, home: Application
) -> None:
    @scopes.request
    def tally() -> list[str]:
        return []

    class Asking(Listener):
        def building(self, store: object, build: t.Any) -> None:
            if build.recipe.name == "engine":
                tally().append("engine")

    home.events.add(Asking())
    with app.app_context():
        shop.orders()
        context = contexts.app_context.get()
        unit = t.cast(t.Any, contexts.locate(context)[0].scopes_unit)
        uses = {b.recipe.name: [u.recipe.name for u in b.uses] for b in unit.built}
        assert tally() == ["engine"]
    assert uses == {"tally": [], "orders": ["engine"]}


def test_what_an_override_has_made_is_told_of_when_it_ends(
    app: flask.Flask, shop: Shop, diary: Diary
) -> None:
    def other() -> c.Iterator[str]:
        yield "other"

    with app.app_context():
        with shop.engine.override(factory=other):
            assert shop.engine() == "other"
        assert [note.split()[0] for note in diary.take()] == [
            "building",
            "built",
            "closed",
        ]


def test_nobody_is_told_of_another_app(diary: Diary, scopes: Scopes) -> None:
    other = flask.Flask("other")
    scopes.init_app(other)

    @scopes.request
    def number() -> int:
        return 1

    with other.app_context():
        number()
    assert not diary.notes


def test_who_hears_of_all_apps_is_told_by_each(
    scopes: Scopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = Diary()
    monkeypatch.setattr(events, "everywhere", [diary])

    @scopes.request
    def number() -> int:
        return 1

    for name in ("one", "two"):
        app = flask.Flask(name)
        scopes.init_app(app)
        with app.app_context():
            number()
    assert diary.notes.count("built number") == 2


@pytest.mark.scopes_may_leak("what becomes of such a unit is the question")
def test_a_unit_that_is_dropped_is_told_of(
    app: flask.Flask, shop: Shop, diary: Diary
) -> None:
    def drop() -> None:
        context = app.app_context()
        context.push()
        shop.orders()
        # A thread that ends without leaving it.

    thread = threading.Thread(target=drop)
    thread.start()
    thread.join()
    gc.collect()
    assert diary.notes[-1] == "lost ['orders']"


def test_the_shortcut_is_the_plain_dict_when_nobody_listens(
    app: flask.Flask, home: Application, shop: Shop
) -> None:
    with app.test_request_context():
        context = contexts.app_context.get()
        shop.orders(), shop.engine()
        assert type(vars(context)["scopes_application"]) is dict
        assert type(vars(context)["scopes_request"]) is dict


def test_listening_keeps_no_app_alive(scopes: Scopes) -> None:
    app = flask.Flask("short")
    scopes.init_app(app)
    app.extensions["scopes"].events.add(Diary())

    @scopes.request
    def number() -> int:
        return 1

    gc.collect()
    gc.disable()
    try:
        with app.app_context():
            number()
        reference = weakref.ref(app)
        del app
        assert reference() is None
    finally:
        gc.enable()


def test_to_be_removed_twice_is_fine(home: Application, diary: Diary) -> None:
    home.events.remove(diary)
    home.events.remove(diary)
    assert diary not in home.events.listeners
