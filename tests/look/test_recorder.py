"""What is recorded of requests, commands and other work; and what is not."""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import gc
import os
import threading
import time
import typing as t
import warnings
import weakref

import flask
import pytest
from flask.testing import EnvironBuilder
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes.application import Application
from flask_scopes.inspector import Inspector
from flask_scopes.recording.record import Row
from flask_scopes.recording.record import Work
from flask_scopes.recording.recorder import ROWS
from flask_scopes.recording.recorder import USES
from flask_scopes.recording.recorder import Recorder
from flask_scopes.recording.works import LATEST


@pytest.fixture
def app(scopes: Scopes) -> flask.Flask:
    app = flask.Flask("shop")
    app.debug = True
    app.secret_key = "a key for tests"
    app.config["SCOPES_INSPECTOR"] = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    scopes.init_app(app)
    return app


@pytest.fixture
def recorder(home: Application) -> Recorder:
    return t.cast(Inspector, home.inspector).recorder


@pytest.fixture
def engine(scopes: Scopes) -> t.Any:
    @scopes.application
    def engine() -> c.Iterator[str]:
        yield "engine"

    return engine


@pytest.fixture
def orders(app: flask.Flask, scopes: Scopes, engine: t.Any) -> t.Any:
    @scopes.request
    def connection() -> c.Iterator[list[str]]:
        time.sleep(0.01)
        yield [engine()]
        time.sleep(0.02)

    @scopes.request
    def orders() -> str:
        return f"orders of {connection()[0]}"

    @app.get("/orders/<int:number>")
    def view(number: int) -> str:
        for _ in range(number):
            orders()
        return "ordered"

    return orders


def last(recorder: Recorder) -> Work:
    return recorder.works.all()[0]


def rows(work: Work) -> dict[str, Row]:
    return {row.name: row for row in work.rows}


def moments(row: Row) -> list[float]:
    times = (row.started, row.ready, row.closing, row.closed)
    return [time for time in times if time is not None]


@pytest.mark.usefixtures("orders")
def test_a_request_is_recorded_with_all_of_its_moments(
    client: Client, recorder: Recorder
) -> None:
    client.get("/orders/3?page=2&token=s3cr3t")
    work = last(recorder)
    assert (work.kind, work.title) == ("request", "GET /orders/3")
    assert work.keys == ("page", "token")
    assert "s3cr3t" not in repr(work)
    assert (work.view_status, work.status) == (200, 200)
    assert (work.outcome, work.reason, work.units) == ("committed", "", 1)
    assert abs(work.since - time.time()) < 60
    assert (work.built, work.reused) == (3, 0)
    found = rows(work)
    assert list(found) == ["orders", "connection", "engine"]
    assert found["orders"].asks == ["connection"]
    assert found["connection"].asks == ["engine"]
    assert found["connection"].asked_by == "orders"
    assert str(found["connection"].asked_at).rpartition(":")[0].endswith("recorder.py")
    assert found["orders"].asked_by == ""
    assert found["connection"].type == "list"
    assert found["orders"].use_count == 2
    assert [use.by for use in found["orders"].uses] == ["", ""]
    # In the order in which they happened.
    connection = found["connection"]
    assert moments(connection) == sorted(moments(connection))
    assert connection.ready is not None
    assert connection.ready - connection.started >= 0.01
    assert connection.closing is not None
    assert connection.closed is not None
    assert connection.closed - connection.closing >= 0.02
    assert work.finishing is not None
    assert work.answered is not None
    assert work.ended is not None
    assert connection.ready < work.finishing <= connection.closing
    assert connection.closed <= work.answered <= work.ended == work.seconds
    # It lives on.
    assert found["engine"].closed is None


@pytest.mark.usefixtures("orders")
def test_what_was_there_before_is_told_apart(
    client: Client, recorder: Recorder
) -> None:
    client.get("/orders/1")
    client.get("/orders/1")
    engine = rows(last(recorder))["engine"]
    assert engine.before
    assert engine.use_count == 1
    assert engine.uses[0].by == "connection"
    assert engine.type == "str"
    assert last(recorder).reused == 1


def test_a_warm_call_of_an_application_object_is_a_use(
    app: flask.Flask, client: Client, recorder: Recorder, engine: t.Any
) -> None:
    @app.get("/")
    def view() -> str:
        return str(engine() + engine() + engine())

    client.get("/")
    client.get("/")
    row = rows(last(recorder))["engine"]
    assert row.use_count == 3
    assert {str(use.spot) for use in row.uses} == {str(row.uses[0].spot)}


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "committed"), (404, "rolled back")]
)
def test_how_it_ended(
    app: flask.Flask,
    client: Client,
    recorder: Recorder,
    orders: t.Any,
    status: int,
    outcome: str,
) -> None:
    @app.get("/")
    def home() -> tuple[str, int]:
        orders()
        return "", status

    client.get("/")
    work = last(recorder)
    assert (work.status, work.outcome) == (status, outcome)
    assert ("404" in work.reason) is (status == 404)


def test_a_commit_that_fails(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request
    def audit() -> c.Iterator[str]:
        yield "audit"
        raise ConnectionError("the sink refused")

    @app.get("/")
    def view() -> str:
        return audit()

    assert client.get("/").status_code == 500
    work = last(recorder)
    assert (work.view_status, work.status) == (200, 500)
    assert (work.outcome, work.reason) == (
        "rolled back",
        "ConnectionError: the sink refused",
    )
    (row,) = work.failures
    assert (row.name, row.failed_in) == ("audit", "teardown")
    assert row.failure == "ConnectionError: the sink refused"


def test_a_factory_that_raises_and_one_that_is_asked_again(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    answers = iter((ConnectionError("x" * 500), "well"))

    @scopes.request
    def away() -> str:
        answer = next(answers)
        if not isinstance(answer, str):
            raise answer
        return answer

    @app.get("/")
    def view() -> str:
        with pytest.raises(ConnectionError):
            away()
        return away()

    assert client.get("/").text == "well"
    first, second = last(recorder).rows
    assert first.failed_in == "build"
    assert len(first.failure) == len("ConnectionError: ") + 200
    assert first.ready is None
    assert second.ready is not None


def test_texts_of_errors_are_kept_in_debug_mode_alone(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request
    def away() -> str:
        # What another library has quoted.
        app.debug = False
        raise ConnectionError("s3cr3t")

    @app.get("/")
    def view() -> str:
        return away()

    client.get("/")
    assert last(recorder).failures[0].failure == "ConnectionError"
    assert "s3cr3t" not in repr(recorder.works.all())


def test_an_error_that_comes_out_of_the_app(
    app: flask.Flask, client: Client, recorder: Recorder
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/")
    def view() -> t.NoReturn:
        raise LookupError("nothing")

    with pytest.raises(LookupError):
        client.get("/")
    work = last(recorder)
    assert (work.status, work.raised) == (None, "LookupError: nothing")
    assert work.ended is not None


def test_a_unit_within_does_not_decide_what_becomes_of_a_request(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request
    def account() -> c.Iterator[str]:
        yield "Ada"

    @scopes.application
    def greeting() -> str:
        with contextlib.suppress(LookupError), scopes.unit():
            account()
            raise LookupError
        return "Hello"

    @app.get("/")
    def view() -> str:
        account()
        return greeting()

    assert client.get("/").text == "Hello"
    work = last(recorder)
    assert (work.outcome, work.units) == ("committed", 1)
    assert [row.name for row in work.rows] == ["account", "greeting", "account"]


@pytest.mark.scopes_may_leak("what becomes of such a unit is the question")
@pytest.mark.parametrize("in_a_cycle", [False, True])
def test_a_unit_that_nobody_ends_was_left_open(
    app: flask.Flask, orders: t.Any, recorder: Recorder, in_a_cycle: bool
) -> None:
    def abandon() -> None:
        context = app.app_context()
        context.push()
        orders()
        if in_a_cycle:
            vars(context)["itself"] = context

    thread = threading.Thread(target=abandon)
    thread.start()
    thread.join()
    gc.collect()
    work = last(recorder)
    assert work.outcome == "left open"
    assert work.reason == "and collected, without an end"


def test_a_request_that_is_retried_is_one(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request
    def stock() -> c.Iterator[list[int]]:
        yield []

    @app.post("/")
    @scopes.retry(5, on=TimeoutError)
    def view() -> str:
        stock()
        if last(recorder).units < 2:
            raise TimeoutError("busy")
        return "done"

    assert client.post("/").text == "done"
    (work,) = recorder.works.all()
    assert (work.units, work.outcome, work.raised) == (3, "committed", "")
    assert work.status == 200
    assert len(work.rows) == 3
    client.get("/static/missing.css")
    assert recorder.works.all() == [work]


def test_a_body_that_fails_on_its_way(
    app: flask.Flask, client: Client, recorder: Recorder
) -> None:
    def body() -> c.Iterator[str]:
        yield "a"
        raise RuntimeError("gone")

    app.add_url_rule("/", "view", lambda: flask.Response(body()))
    with pytest.raises(RuntimeError, match="gone"):
        client.get("/", buffered=True)
    work = last(recorder)
    assert (work.status, work.raised) == (200, "RuntimeError: gone")
    assert recorder.works.running == {}


def test_what_is_odd_passes_through(client: Client, recorder: Recorder) -> None:
    assert client.get("/\N{LATIN SMALL LETTER E WITH ACUTE}").status_code == 404
    assert last(recorder).title == "GET /\N{LATIN SMALL LETTER E WITH ACUTE}"


def test_a_length_that_is_no_number_passes_through(
    app: flask.Flask, client: Client
) -> None:
    def view() -> flask.Response:
        response = flask.Response(iter(["a"]))
        response.headers["Content-Length"] = "all"
        return response

    app.add_url_rule("/", "view", view)
    assert client.get("/").headers["Content-Length"] == "all"


def test_an_object_that_lives_until_all_was_sent(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request(until="sent")
    def lines() -> c.Iterator[list[str]]:
        yield ["a", "b"]

    @app.get("/")
    def view() -> t.Any:
        lines()

        def body() -> c.Iterator[str]:
            yield from lines()

        return flask.Response(flask.stream_with_context(body()))

    response = client.get("/", buffered=False)
    assert last(recorder).ended is None
    assert response.text == "ab"
    response.close()
    work = last(recorder)
    (row,) = work.rows
    assert work.answered is not None
    assert row.closed is not None
    assert row.closed >= work.answered
    assert row.scope == "until sent"
    assert row.use_count == 1


def test_work_that_is_no_request(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    recorder: Recorder,
    orders: t.Any,
) -> None:
    with app.app_context():
        orders()
    work = last(recorder)
    assert work.kind == "unit"
    assert work.title.startswith("unit at ")
    assert work.title.rpartition(":")[0].endswith("test_recorder.py")
    assert work.outcome == "committed"
    assert work.seconds > 0.02

    @app.get("/unit")
    def unit() -> str:
        orders()
        with scopes.unit():
            orders()
        return ""

    client.get("/unit")
    outer, inner = sorted(recorder.works.all()[:2], key=lambda work: work.since)
    assert (outer.title, outer.built) == ("GET /unit", 2)
    assert (inner.title, inner.built) == ("unit in GET /unit", 2)

    @app.cli.command("import")
    def command() -> None:
        orders()
        raise SystemExit(3)

    app.test_cli_runner().invoke(args=["import"])
    work = last(recorder)
    # (Elsewhere it begins with "flask".)
    assert (work.kind, work.title) == ("command", "shop import")


@pytest.mark.usefixtures("orders")
def test_threads_with_a_copied_context_belong_to_their_request(
    app: flask.Flask, client: Client, recorder: Recorder, orders: t.Any
) -> None:
    @app.get("/")
    def together() -> str:
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(orders,))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ""

    client.get("/")
    work = last(recorder)
    assert work.built == 3
    assert [row.name for row in work.rows].count("orders") == 1


def test_requests_side_by_side_are_not_mixed_up(
    app: flask.Flask, scopes: Scopes, recorder: Recorder
) -> None:
    together = threading.Barrier(8, timeout=30)

    @scopes.request
    def number(which: int) -> int:
        together.wait()
        return which

    @app.get("/<int:which>")
    def view(which: int) -> str:
        number(which)
        together.wait()
        return str(number(which))

    threads = [
        threading.Thread(target=app.test_client().get, args=(f"/{which}",))
        for which in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorder.works.all()) == 8
    for work in recorder.works.all():
        assert [(row.name, row.use_count) for row in work.rows] == [("number", 1)]


def test_overrides_are_shown_as_what_they_replace(
    app: flask.Flask, client: Client, recorder: Recorder, engine: t.Any
) -> None:
    @app.get("/")
    def view() -> str:
        return str(engine())

    with engine.override(factory=lambda: "another"):
        assert client.get("/").text == "another"
    row = rows(last(recorder))["engine"]
    assert row.is_replaced
    (figures,) = recorder.figures.values()
    assert figures.built == 1


def test_files_and_health_are_left_out_unless_they_fail(
    app: flask.Flask, client: Client, recorder: Recorder, scopes: Scopes
) -> None:
    from flask_scopes.health import health

    @scopes.request
    def file() -> str:
        raise FileNotFoundError

    def fail(filename: str) -> str:
        return file()

    app.register_blueprint(health(scopes))
    client.get("/static/missing.css")
    client.get("/healthz")
    client.get("/readyz")
    assert recorder.works.all() == []
    assert recorder.works.running == {}
    app.static_folder = None
    app.view_functions["static"] = fail
    assert client.get("/static/a.css").status_code == 500
    assert last(recorder).title == "GET /static/a.css"
    client.get("/missing")
    assert last(recorder).title == "GET /missing"


def test_it_is_bounded(
    app: flask.Flask, client: Client, scopes: Scopes, recorder: Recorder
) -> None:
    @scopes.request
    def number(which: int) -> int:
        return which

    @app.get("/")
    def view() -> str:
        for which in range(ROWS + 5):
            number(which)
        for _ in range(USES + 5):
            number(0), number(ROWS + 1)
        return ""

    @app.get("/none")
    def none() -> str:
        return ""

    client.get("/")
    work = last(recorder)
    assert (len(work.rows), work.dropped) == (ROWS, 5)
    assert (len(work.rows[0].uses), work.rows[0].use_count) == (USES, USES + 5)
    assert recorder.works.find(work.id) is work
    for _ in range(LATEST + 10):
        client.get("/none")
    assert recorder.works.total == LATEST + 11
    assert len(recorder.works.past) == LATEST
    # It was looked at, so it is kept for longer.
    assert recorder.works.find(work.id) is work
    assert recorder.works.find("none") is None
    # Once, however often it is looked at; what is listed is listed once, too.
    assert list(recorder.works.pinned) == [work]
    assert len({each.id for each in recorder.works.all()}) == LATEST + 1
    assert recorder.works.running == {}


def test_requests_that_a_server_never_ends_are_forgotten(
    app: flask.Flask, recorder: Recorder
) -> None:
    @app.get("/")
    def view() -> str:
        return ""

    environ = EnvironBuilder(app, "/?" + "a" * 60 + "=1").get_environ()
    for _ in range(LATEST + 10):
        # It does not even begin to read what comes.
        app.wsgi_app(dict(environ), lambda *args: lambda data: None)
    assert len(recorder.works.running) == LATEST
    assert last(recorder).keys == ("a" * 40,)


def test_of_an_error_with_several_parts_the_first_is_kept(
    app: flask.Flask, client: Client, recorder: Recorder, scopes: Scopes
) -> None:
    @scopes.request
    def late() -> str:
        raise TimeoutError("It was\ntoo late.\n\nTo fix it, hurry.")

    app.add_url_rule("/", "late", lambda: late())
    client.get("/")
    (row,) = last(recorder).failures
    assert row.failure == "TimeoutError: It was too late."


def test_a_long_path_is_cut(client: Client, recorder: Recorder) -> None:
    client.get("/" + "a" * 400)
    assert last(recorder).title == "GET /" + "a" * 195


def test_a_body_is_closed_when_it_is_sent_or_dropped(
    app: flask.Flask, recorder: Recorder
) -> None:
    closed: list[str] = []

    @app.get("/")
    def view() -> flask.Response:
        response = flask.Response(iter(["a", "b"]))
        response.call_on_close(lambda: closed.append("closed"))
        return response

    environ = EnvironBuilder(app, "/").get_environ()
    body = t.cast(t.Any, app.wsgi_app(environ, lambda *args: lambda data: None))
    assert next(iter(body)) == b"a"
    body.close()
    assert closed == ["closed"]
    assert recorder.works.running == {}


def test_it_keeps_no_object_no_request_and_no_app(scopes: Scopes) -> None:
    class Connection:
        pass

    app = flask.Flask("short")
    # (`app.debug = True` makes cycles of Flask's own.)
    app.config["DEBUG"] = True
    app.config["SCOPES_INSPECTOR"] = True
    scopes.init_app(app)
    seen: list[weakref.ref[t.Any]] = []

    @scopes.request
    def connection() -> c.Iterator[Connection]:
        made = Connection()
        seen.append(weakref.ref(made))
        yield made

    @scopes.application
    def pool() -> Connection:
        made = Connection()
        seen.append(weakref.ref(made))
        return made

    def view() -> str:
        connection(), pool(), connection()
        seen.append(weakref.ref(flask.request.environ["werkzeug.request"]))
        return ""

    app.add_url_rule("/", view_func=view)
    app.test_client().get("/")
    gc.collect()
    gc.disable()
    try:
        assert [reference() is None for reference in seen] == [True, False, True]
        seen.append(weakref.ref(app))
        del app, view
        assert [reference() for reference in seen] == [None] * 4
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_process_records_its_own(
    app: flask.Flask, client: Client, recorder: Recorder, engine: t.Any
) -> None:
    @app.get("/")
    def view() -> str:
        return str(engine())

    client.get("/")
    with warnings.catch_warnings(action="ignore"):
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            client.get("/")
            row = rows(last(recorder))["engine"]
            os.write(writing, b"again" if not row.before else b"inherited")
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reading, 100) == b"again"
        os.close(reading)
        os.close(writing)


@pytest.mark.usefixtures("orders")
def test_what_is_counted(
    app: flask.Flask, client: Client, recorder: Recorder, orders: t.Any
) -> None:
    for _ in range(3):
        client.get("/orders/2")
    by_name = {recipe.name: each for recipe, each in recorder.figures.items()}
    connection = by_name["connection"]
    assert (connection.built, connection.closed, connection.alive) == (3, 3, 0)
    assert len(connection.build_times) == len(connection.close_times) == 3
    assert min(connection.close_times) >= 0.02
    assert {recipe.name for recipe in connection.uses} == {"engine"}
    engine = by_name["engine"]
    assert (engine.built, engine.alive, engine.used) == (1, 1, 2)
    assert not by_name["orders"].close_times
