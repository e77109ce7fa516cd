"""What integrations build on: steps at init, frames around requests and units, undo."""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import functools
import gc
import typing as t
import weakref

import flask
import pytest
from flask.testing import FlaskClient as Client
from werkzeug.exceptions import Gone

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes import hooks
from flask_scopes.lookup import unit_in_progress
from flask_scopes.unit import Unit

inside: contextvars.ContextVar[str] = contextvars.ContextVar("inside", default="")


def frame(log: list[str], name: str) -> c.Callable[[], t.Any]:
    @contextlib.contextmanager
    def enter() -> c.Iterator[None]:
        token = inside.set(inside.get() + name)
        log.append(f"{name} begins")
        try:
            yield
        finally:
            log.append(f"{name} ends")
            inside.reset(token)

    return enter


def test_a_step_is_called_with_each_app_before_and_after_it_is_set_up() -> None:
    scopes = Scopes()
    first, second = flask.Flask("first"), flask.Flask("second")
    seen: list[flask.Flask] = []
    scopes.init_app(first)

    scopes.on_init_app(seen.append)
    scopes.init_app(second)

    assert seen == [first, second]


def test_a_step_keeps_no_app_alive() -> None:
    scopes = Scopes()
    scopes.on_init_app(lambda app: None)
    app = flask.Flask("shop")
    scopes.init_app(app)
    reference = weakref.ref(app)
    gc.disable()
    try:
        del app

        assert reference() is None
    finally:
        gc.enable()


def set_up_frames(app: flask.Flask, scopes: Scopes, log: list[str]) -> None:
    home = app.extensions["scopes"]
    home.around_requests.append(frame(log, "a"))
    home.around_requests.append(frame(log, "b"))
    hooks.wrap_requests(app, home)


def test_a_request_is_handled_and_finished_in_its_frames(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    set_up_frames(app, scopes, log)

    @scopes.request
    def order() -> c.Iterator[str]:
        yield "order"
        log.append(f"committed in {inside.get()}")

    @app.get("/")
    def view() -> str:
        return order() + inside.get()

    assert client.get("/").text == "orderab"
    assert log == ["a begins", "b begins", "committed in ab", "b ends", "a ends"]
    assert inside.get() == ""


def test_a_frame_is_around_all_attempts_whoever_was_set_up_first(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    set_up_frames(app, scopes, log)

    @app.post("/")
    @scopes.retry(3, on=LookupError)
    def view() -> str:
        log.append("attempt")
        if log.count("attempt") < 3:
            raise LookupError
        return "done"

    assert client.post("/").text == "done"
    assert log == ["a begins", "b begins", *3 * ["attempt"], "b ends", "a ends"]


def test_a_frame_is_left_when_the_request_fails(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    set_up_frames(app, scopes, log)
    app.testing = True

    @app.get("/")
    def view() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        client.get("/")
    assert log[-2:] == ["b ends", "a ends"]


def test_each_unit_block_has_a_frame_and_is_finished_in_it(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    app.extensions["scopes"].around_units.append(frame(log, "u"))

    @scopes.request
    def order() -> c.Iterator[str]:
        yield "order"
        log.append(f"committed in {inside.get()}")

    with scopes.unit(app):
        order()
        with scopes.unit():
            order()
        scopes.after_commit(lambda: log.append(f"after in {inside.get()}"))

    assert log == [
        *["u begins", "u begins", "committed in uu", "u ends"],
        *["committed in u", "u begins", "after in uu", "u ends", "u ends"],
    ]


def current() -> Unit:
    unit = unit_in_progress()
    assert unit is not None
    return unit


def _note(log: list[str], name: str, error: BaseException) -> None:
    log.append(name)


def test_what_failed_is_undone_after_all_teardowns_last_added_first(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def order() -> c.Iterator[str]:
        try:
            yield "order"
        finally:
            log.append("torn down")

    error = LookupError()
    with pytest.raises(LookupError), scopes.unit(app):
        for name in ("first", "second"):
            current().undo.append(functools.partial(_note, log, name))
        current().undo.append(lambda given: log.append(str(given is error)))
        order()
        raise error

    assert log == ["torn down", "True", "second", "first"]


def test_nothing_is_undone_when_the_unit_succeeds(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    with scopes.unit(app):
        current().undo.append(lambda error: log.append("undone"))

    assert log == []


def test_a_commit_that_fails_undoes_though_all_else_was_finished_before(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def ledger() -> c.Iterator[None]:
        yield
        raise OSError("full")

    with pytest.raises(CommitFailed), scopes.unit(app):
        ledger()
        current().undo.append(lambda error: log.append(repr(error)))

    assert log == ["OSError('full')"]


@pytest.mark.parametrize("way", ["status", "doom", "handled", "raised"])
def test_a_request_that_fails_is_undone_once(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str], way: str
) -> None:
    app.register_error_handler(LookupError, lambda error: "handled")

    @app.get("/")
    def view() -> t.Any:
        current().undo.append(lambda error: log.append(type(error).__name__))
        if way == "doom":
            scopes.doom("why")
        if way == "handled":
            raise LookupError
        if way == "raised":
            raise ZeroDivisionError
        return "no", 400 if way == "status" else 200

    client.get("/")

    expected = {"handled": "LookupError", "raised": "ZeroDivisionError"}
    assert log == [expected.get(way, "UnitFailed")]


def test_each_attempt_is_undone(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    @app.post("/")
    @scopes.retry(3, on=LookupError)
    def view() -> str:
        current().undo.append(lambda error: log.append("undone"))
        if log.count("undone") < 2:
            raise LookupError
        return "done"

    assert client.post("/").text == "done"
    assert log == ["undone", "undone"]


def test_what_cannot_be_undone_is_logged_and_the_rest_is_undone(
    app: flask.Flask, scopes: Scopes, log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(error: BaseException) -> None:
        raise OSError("no")

    with pytest.raises(LookupError), scopes.unit(app):
        current().undo.append(lambda error: log.append("undone"))
        current().undo.append(fail)
        raise LookupError

    assert log == ["undone"]
    (record,) = caplog.records
    assert record.message == "Failed to undo what a unit of work had done"


def test_a_unit_that_is_spoiled_is_not_tried_again_and_says_why(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    app.testing = True

    @app.post("/")
    @scopes.retry(3, on=LookupError)
    def view() -> str:
        log.append("attempt")
        current().spoiled = OSError("the disk is full")
        raise LookupError

    with pytest.raises(LookupError) as raised:
        client.post("/")
    assert log == ["attempt"]
    (note,) = raised.value.__notes__
    assert note.endswith("as the unit failed before: OSError: the disk is full")


def test_a_unit_that_is_spoiled_by_a_conflict_is_tried_again(
    app: flask.Flask, scopes: Scopes, client: Client, log: list[str]
) -> None:
    @app.post("/")
    @scopes.retry(3, on=LookupError)
    def view() -> str:
        log.append("attempt")
        current().spoiled = KeyError()
        raise LookupError

    assert client.post("/").status_code == 500
    assert log == 3 * ["attempt"]


def test_there_is_no_unit_outside_of_a_context_nor_after_its_end(
    app: flask.Flask, scopes: Scopes
) -> None:
    assert unit_in_progress() is None
    with flask.Flask("other").app_context():
        assert unit_in_progress() is None
    with app.app_context():
        unit = current()
        assert unit_in_progress() is unit
        unit.end(None)
        assert unit_in_progress() is None


class Away(Exception):
    """What a driver raises when its database is not there."""


@pytest.mark.parametrize("where", ["view", "after_request", "handler"])
def test_an_error_that_an_integration_knows_has_its_page_wherever_it_is_raised(
    app: flask.Flask, scopes: Scopes, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    answers = app.extensions["scopes"].answers
    answers.append(lambda error: Gone() if isinstance(error, Away) else None)

    @app.get("/")
    def index() -> str:
        if where == "view":
            raise Away
        if where == "handler":
            raise LookupError
        return "fine"

    @app.errorhandler(LookupError)
    def handle(error: LookupError) -> str:
        raise Away

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        if where == "after_request" and response.status_code == 200:
            raise Away
        return response

    response = app.test_client().get("/")

    assert response.status_code == 410
    (said,) = [each for each in caplog.records if each.levelname == "ERROR"]
    assert said.getMessage() == "Answered / [GET] with 410"
