"""What warm calls read, and who puts it there: nothing is found that should not be."""

from __future__ import annotations

import collections.abc as c
import contextvars
import gc
import threading
import typing as t

import flask
import pytest

from flask_scopes import Scopes
from flask_scopes import application
from flask_scopes import lookup
from flask_scopes.events import Events
from flask_scopes.events import Listener
from flask_scopes.unit import Unit

ONE_KIND = not hasattr(flask.globals, "_cv_request")


class Ends(list[str]):
    """How each unit ended, and when."""

    def work(self) -> c.Iterator[str]:
        try:
            yield "work"
        except Exception:
            self.append("rolled back")
            raise
        self.append("committed")


def test_a_signal_while_a_unit_begins_leaves_nothing() -> None:
    class Interrupted:
        @property
        def scopes_unit(self) -> t.NoReturn:
            raise KeyboardInterrupt

    unit = Unit({}, Events(None), ())
    with pytest.raises(KeyboardInterrupt):
        application._keep(t.cast(t.Any, Interrupted()), unit)
    assert not application._beginning


@pytest.mark.skipif(ONE_KIND, reason="on Flask 3.2 it is the request's from the start")
def test_a_unit_that_a_receiver_began_is_the_request_s(
    app: flask.Flask, scopes: Scopes
) -> None:
    ends, seen = Ends(), list[object]()
    work = scopes.request(ends.work)

    @app.get("/<int:fails>")
    def view(fails: int) -> str:
        seen.append(lookup.objects_in_progress())
        if fails:
            raise LookupError
        return "done"

    app.register_error_handler(LookupError, lambda error: "handled")
    app.teardown_appcontext(lambda error: ends.append("teardown"))
    with flask.appcontext_pushed.connected_to(lambda sender: work(), app):
        app.test_client().get("/0")
        app.test_client().get("/1")
    assert seen == [["work"]] * 2
    assert ends == ["committed", "teardown", "rolled back", "teardown"]


def test_a_handled_error_rolls_back_what_a_receiver_began(
    app: flask.Flask, scopes: Scopes
) -> None:
    ends = Ends()
    work = scopes.request(ends.work)
    app.register_error_handler(LookupError, lambda error: "handled")
    received = flask.appcontext_pushed.connected_to(lambda sender: work(), app)
    with received, app.test_request_context():
        app.handle_user_exception(LookupError())
    assert ends == ["rolled back"]


def test_what_is_retired_is_closed_though_a_request_object_comes_first(
    app: flask.Flask, scopes: Scopes
) -> None:
    made, closed = list[int](), list[int]()

    @scopes.application(check=lambda number: number > 1, every=60)
    def connection() -> c.Iterator[int]:
        made.append(len(made) + 1)
        yield made[-1]
        closed.append(made.pop(0))

    @scopes.request
    def user() -> object:
        return object()

    @app.get("/")
    def view() -> str:
        user()
        return str(connection())

    holder, context = contextvars.Context(), app.app_context()
    holder.run(context.push)
    holder.run(connection)
    store = app.extensions["scopes"].store()
    next(iter(store.objects.values())).due = 0
    client = app.test_client()
    assert client.get("/").text == "2"
    assert closed == []
    holder.run(context.pop)
    del holder, context
    gc.collect()
    client.get("/")
    client.get("/")
    assert closed == [1]


def test_who_asks_while_the_unit_ends_gets_what_another_thread_has_built(
    app: flask.Flask, scopes: Scopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, got = scopes.request(lambda: object()), list[object]()
    missed, go_on = threading.Event(), threading.Event()
    get_or_build = Unit.get_or_build

    def wait(self: Unit, *args: t.Any) -> object:
        if threading.current_thread() is thread:
            missed.set()
            assert go_on.wait(10)
        return get_or_build(self, *args)

    @scopes.request
    def first() -> c.Iterator[None]:
        yield
        thread.start()
        assert missed.wait(10)
        got.append(late())
        go_on.set()
        thread.join()

    with app.app_context():
        first()
        monkeypatch.setattr(Unit, "get_or_build", wait)
        copy = contextvars.copy_context()
        thread = threading.Thread(target=lambda: got.append(copy.run(late)))
    assert len(got) == 2
    assert got[0] is got[1]


def test_who_begins_to_listen_hears_of_application_objects_from_then_on(
    app: flask.Flask, scopes: Scopes
) -> None:
    heard: list[str] = []

    class Hears(Listener):
        def used(self, store: t.Any, build: t.Any, asking: t.Any) -> None:
            heard.append(build.recipe.scope.value)

    shared = scopes.application(lambda: "shared")
    one, other = scopes.request(lambda: 1), scopes.request(lambda: 2)
    with app.test_request_context():
        one(), shared()
        app.extensions["scopes"].events.add(Hears())
        other(), shared(), one()
    assert heard == ["application", "request"]


def test_an_override_that_comes_as_the_original_is_asked_for(
    app: flask.Flask, scopes: Scopes
) -> None:
    work, other = scopes.request(lambda: "original"), scopes.request(lambda: "other")

    class Members(set[t.Any]):
        """Looked into after it was seen that nothing is replaced."""

        def __contains__(self, member: object) -> bool:
            if begins:
                begins.pop().__enter__()
            return super().__contains__(member)

    home = app.extensions["scopes"]
    home.members = Members(home.members)
    begins: list[t.ContextManager[None]] = []
    with app.test_request_context():
        other()
        override = work.override("replacement")
        begins.append(override)
        work()
        assert work() == "replacement"
        override.__exit__(None, None, None)
        assert work() == "original"
