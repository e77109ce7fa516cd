"""Promises 9 and 10: one per app and process, in a context of its own."""

from __future__ import annotations

import collections.abc as c
import contextvars
import gc
import pathlib
import subprocess
import sys
import threading
import time
import typing as t
import weakref

import flask
import pytest

from flask_scopes import ClosedError
from flask_scopes import CycleError
from flask_scopes import OutsideScopeError
from flask_scopes import Scopes


def test_one_object_for_all_requests(
    app: flask.Flask, scopes: Scopes, client: t.Any
) -> None:
    @scopes.application
    def shared() -> object:
        return object()

    @app.get("/")
    def index() -> str:
        return str(id(shared()))

    with app.app_context():
        expected = str(id(shared()))
    assert {client.get("/").text for _ in range(3)} == {expected}


def test_exactly_one_under_many_threads(app: flask.Flask, scopes: Scopes) -> None:
    for _ in range(20):
        calls: list[object] = []

        @scopes.application
        def slow() -> object:
            time.sleep(0.002)
            calls.append(object())  # noqa: B023 - called before the next round
            return calls[-1]  # noqa: B023 - the same

        found: list[object] = []
        barrier = threading.Barrier(32)

        def use() -> None:
            with app.app_context():
                barrier.wait(10)  # noqa: B023 - joined below
                found.append(slow())  # noqa: B023 - joined below

        threads = [threading.Thread(target=use) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert len(calls) == 1
        assert found == calls * 32


def test_unrelated_objects_are_built_side_by_side(
    app: flask.Flask, scopes: Scopes
) -> None:
    """Each factory waits until the other one has begun."""
    barrier = threading.Barrier(2)

    @scopes.application
    def one() -> int:
        return barrier.wait(10)

    @scopes.application
    def two() -> int:
        return barrier.wait(10)

    def use(resource: c.Callable[[], int]) -> None:
        with app.app_context():
            resource()

    threads = [threading.Thread(target=use, args=(r,)) for r in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)

    assert not barrier.broken


def test_a_warm_call_does_not_wait_for_another_factory(
    app: flask.Flask, scopes: Scopes
) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def warm() -> str:
        return "warm"

    @scopes.application
    def slow() -> None:
        entered.set()
        assert go_on.wait(10)

    def use_slow() -> None:
        with app.app_context():
            slow()

    with app.app_context():
        warm()
        thread = threading.Thread(target=use_slow)
        thread.start()
        assert entered.wait(10)
        assert warm() == "warm"
        go_on.set()
        thread.join(10)


def test_the_factory_sees_the_app_but_nothing_of_the_request(
    app: flask.Flask, scopes: Scopes, client: t.Any
) -> None:
    variable = contextvars.ContextVar("variable", default="nothing")
    app.config["URI"] = "mongodb://here"

    def refused(use: c.Callable[[], object]) -> str:
        with pytest.raises(RuntimeError) as raised:
            use()
        return type(raised.value).__name__

    @scopes.application
    def nosy() -> dict[str, str]:
        return {
            "config": flask.current_app.config["URI"],
            "request": refused(lambda: flask.request.path),
            "session": refused(lambda: flask.session["user"]),
            "g.user": refused(lambda: flask.g.user),
            "g.get": refused(lambda: flask.g.get("user")),
            "g.user = 1": refused(lambda: setattr(flask.g, "user", 1)),
            "in g": refused(lambda: "user" in flask.g),
            "hasattr": refused(lambda: hasattr(flask.g, "user")),
            "variable": variable.get(),
        }

    @app.get("/")
    def index() -> dict[str, str]:
        variable.set("of one request")
        flask.g.user = "ann"
        flask.session["user"] = "ann"
        found = nosy()
        assert flask.g.user == "ann"
        return found

    found = client.get("/").json

    assert found.pop("config") == "mongodb://here"
    assert found.pop("variable") == "nothing"
    assert found.pop("g.user") == "OutsideScopeError"
    assert all(name.endswith("Error") for name in found.values())


def test_flasks_own_error_says_which_factory_it_was(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.application
    def nosy() -> str:
        return flask.request.path

    with app.test_request_context(), pytest.raises(RuntimeError) as raised:
        nosy()

    (note,) = raised.value.__notes__
    assert "'nosy' (" in note
    assert "current_app works here" in note


def test_other_extensions_find_their_g_in_the_context_of_a_factory(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    """As in the Flask tutorial: a teardown function that pops something from g."""

    @app.teardown_appcontext
    def close_db(error: BaseException | None) -> None:
        log.append(str(flask.g.pop("db", "no db")))

    @scopes.application
    def thing() -> int:
        return 1

    with app.app_context():
        thing()

    assert log == ["no db", "no db"]


def test_what_a_factory_enters_can_be_left_at_its_end(
    app: flask.Flask, scopes: Scopes
) -> None:
    """A ContextVar can only be reset in the context where it was set."""
    variable = contextvars.ContextVar("variable", default=0)

    @scopes.application
    def deadline() -> c.Iterator[int]:
        token = variable.set(5)
        yield variable.get()
        variable.reset(token)

    with app.app_context():
        assert deadline() == 5
        assert variable.get() == 0
    scopes.close(app)


def test_close_tears_down_last_built_first_and_only_once(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def settings() -> c.Iterator[str]:
        yield "settings"
        log.append("settings closed")

    @scopes.application
    def client() -> c.Iterator[str]:
        yield settings()
        log.append("client closed")

    with app.app_context():
        client()
    scopes.close(app)
    with app.app_context():
        scopes.close()

    assert log == ["client closed", "settings closed"]


def test_after_close_there_is_an_error_and_never_a_new_object(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def used() -> object:
        log.append("used")
        return object()

    @scopes.application
    def unused() -> object:
        log.append("unused")
        return object()

    with app.app_context():
        used()
        scopes.close(app)
        for resource in (used, unused):
            with pytest.raises(ClosedError, match="application was closed"):
                resource()
    assert log == ["used"]


def test_close_while_another_thread_builds(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    entered = threading.Event()
    go_on = threading.Event()

    @scopes.application
    def slow() -> c.Iterator[None]:
        entered.set()
        assert go_on.wait(10)
        yield
        log.append("closed")

    def use() -> None:
        with app.app_context(), pytest.raises(ClosedError):
            slow()
        log.append("refused")

    thread = threading.Thread(target=use)
    thread.start()
    assert entered.wait(10)
    scopes.close(app)
    go_on.set()
    thread.join(10)

    assert log == ["closed", "refused"]


def test_failing_teardown_functions_of_others_are_logged_and_undo_nothing(
    app: flask.Flask,
    scopes: Scopes,
    log: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They run in the factories' own contexts as well."""
    failing = True

    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        if failing:
            raise LookupError("theirs")

    def make(name: str) -> c.Callable[[], str]:
        @scopes.application
        def connection() -> c.Iterator[str]:
            yield name
            log.append(f"close {name}")

        return connection

    one, two = make("one"), make("two")
    context = app.app_context()
    context.push()
    assert one() + two() == "onetwo"
    scopes.close(app)
    failing = False
    context.pop()

    assert log == ["close two", "close one"]
    assert caplog.text.count("Teardown functions failed") == 4
    assert "LookupError: theirs" in caplog.text


def test_a_teardown_function_may_use_what_has_just_been_built(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    """As with SQLAlchemy's scoped session: registry().remove()."""

    @scopes.application
    def registry() -> list[str]:
        return log

    @app.teardown_appcontext
    def remove(error: BaseException | None) -> None:
        registry().append("removed")

    with app.app_context():
        registry()

    assert log == ["removed", "removed"]


def test_closing_goes_on_when_no_context_can_be_pushed(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    def make(name: str) -> c.Callable[[], str]:
        @scopes.application
        def connection() -> c.Iterator[str]:
            yield name
            log.append(f"close {name}")

        return connection

    def receive(sender: flask.Flask, **extra: object) -> None:
        raise LookupError("theirs")

    with app.app_context():
        make("one")()
        make("two")()
    # Pushed before it fails, in the empty contexts of the factories.
    with (
        flask.appcontext_pushed.connected_to(receive, app),
        pytest.raises(ExceptionGroup) as raised,
    ):
        scopes.close(app)

    assert log == ["close two", "close one"]
    assert [type(error) for error in raised.value.exceptions] == [LookupError] * 2


def test_a_teardown_function_may_close_the_app(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @app.teardown_appcontext
    def teardown(error: BaseException | None) -> None:
        scopes.close(app)

    @scopes.application
    def connection() -> c.Iterator[str]:
        yield "open"
        log.append("closed")

    with app.app_context(), pytest.raises(ClosedError):
        connection()

    assert log == ["closed"]


def test_messages_do_without_a_working_directory(
    scopes: Scopes, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @scopes.application
    def thing() -> None: ...

    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(OutsideScopeError, match="thing"):
        thing()
    monkeypatch.chdir(tmp_path)


def test_a_receiver_that_needs_what_is_being_built_is_a_cycle(
    app: flask.Flask, scopes: Scopes
) -> None:
    """It runs in the factory's own context, where the stack does not reach."""

    @scopes.application
    def registry() -> list[str]:
        return []

    def receive(sender: flask.Flask, **extra: object) -> None:
        registry()

    with app.app_context():
        with (
            flask.appcontext_pushed.connected_to(receive, app),
            pytest.raises(CycleError),
        ):
            registry()
        assert registry() == []


def test_a_factory_may_open_a_context_for_work_with_request_objects(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def session() -> c.Iterator[str]:
        yield "settings"
        log.append("session ended")

    @scopes.application
    def settings() -> str:
        with flask.current_app.app_context():
            found = session()
        log.append("read")
        return found

    with app.app_context():
        assert settings() == "settings"

    assert log == ["session ended", "read"]


def test_close_needs_to_know_which_app(scopes: Scopes) -> None:
    with pytest.raises(OutsideScopeError, match=r"scopes\.close\(app\)"):
        scopes.close()
    with pytest.raises(OutsideScopeError, match="do not know"):
        scopes.close(flask.Flask("stranger"))


def test_a_teardown_may_use_what_was_built_before_it(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.application
    def below() -> str:
        return "below"

    @scopes.application
    def above() -> c.Iterator[str]:
        yield below()
        log.append(below())

    with app.app_context():
        above()
    scopes.close(app)

    assert log == ["below"]


def test_close_can_be_left_to_the_end_of_the_process() -> None:
    script = """
import atexit, flask, flask_scopes
scopes = flask_scopes.Scopes()
app = flask.Flask("short")
scopes.init_app(app)
atexit.register(scopes.close, app)

@scopes.application
def connection():
    yield "open"
    print("closed in", flask.current_app.name)

with app.app_context():
    print(connection())
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("open\nclosed in short\n", "")


def test_an_app_without_references_is_freed_at_once(scopes: Scopes) -> None:
    @scopes.application
    def shared() -> object:
        return object()

    @scopes.request
    def own() -> object:
        return object()

    gc.disable()
    try:
        # The view of static files is a cycle of Flask's own.
        app = flask.Flask("short", static_folder=None)
        scopes.init_app(app)
        with app.app_context():
            shared()
            own()
        scopes.close(app)
        app_gone = weakref.ref(app)
        del app
        assert app_gone() is None
    finally:
        gc.enable()
