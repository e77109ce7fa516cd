"""Promise 16: what lives until the response was sent, and no longer."""

from __future__ import annotations

import collections.abc as c
import gc
import io
import threading
import typing as t

import flask
import flask.testing
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import ClosedError
from flask_scopes import CommitFailed
from flask_scopes import Resource
from flask_scopes import ScopeMismatchError
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import UnitFailed

Reader = Resource[[], list[str]]


@pytest.fixture
def reader(scopes: Scopes, log: list[str]) -> Reader:
    @scopes.request(until="sent")
    def reader() -> c.Iterator[list[str]]:
        log.append("open")
        try:
            yield log
        except BaseException as error:
            log.append(f"closed: {type(error).__name__}")
            raise
        log.append("closed")

    return reader


def environ(app: flask.Flask, path: str = "/", method: str = "GET") -> dict[str, t.Any]:
    return flask.testing.EnvironBuilder(app, path, method=method).get_environ()


def respond(app: flask.Flask, path: str = "/", method: str = "GET") -> t.Any:
    """The body as a server gets it; it has to be closed."""
    return app.wsgi_app(environ(app, path, method), lambda *args: lambda data: None)


@pytest.fixture
def stream(app: flask.Flask, reader: Reader) -> None:
    @app.get("/")
    def index() -> flask.Response:
        def body() -> c.Iterator[str]:
            for number in range(3):
                reader().append(str(number))
                yield str(number)

        return flask.Response(flask.stream_with_context(body()))


def test_it_is_there_while_the_body_is_sent(
    app: flask.Flask, client: Client, stream: None, log: list[str]
) -> None:
    response = client.get("/")

    assert response.text == "012"
    response.close()
    assert log == ["open", "0", "1", "2", "closed"]


def test_what_was_used_before_the_stream_is_the_same_object(
    app: flask.Flask, client: Client, reader: Reader, log: list[str]
) -> None:
    @app.get("/")
    def index() -> flask.Response:
        before = reader()

        def body() -> c.Iterator[str]:
            yield str(reader() is before)

        return flask.Response(flask.stream_with_context(body()))

    assert client.get("/").text == "True"
    assert log == ["open", "closed"]


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_body_that_is_dropped(
    app: flask.Flask, stream: None, log: list[str], chunks: int
) -> None:
    body = respond(app)
    iterator = iter(body)
    for _ in range(chunks):
        next(iterator)
    body.close()
    body.close()

    if chunks:
        assert log == ["open", *"012"[:chunks], "closed: UnitFailed"]
    else:
        assert log == []


def test_a_body_that_fails(
    app: flask.Flask, client: Client, reader: Reader, log: list[str]
) -> None:
    @app.get("/")
    def index() -> flask.Response:
        def body() -> c.Iterator[str]:
            reader()
            yield "one"
            raise LookupError

        return flask.Response(flask.stream_with_context(body()))

    body = respond(app)
    iterator = iter(body)
    assert next(iterator) == b"one"
    with pytest.raises(LookupError):
        next(iterator)
    body.close()

    assert log == ["open", "closed: LookupError"]


def test_a_body_that_nobody_closes(
    app: flask.Flask, reader: Reader, log: list[str]
) -> None:
    @app.get("/")
    def index() -> flask.Response:
        mine = reader()
        return flask.Response(iter([str(len(mine))]))

    body = respond(app)
    assert next(iter(body)) == b"1"
    assert log == ["open"]
    del body
    gc.collect()

    assert log == ["open", "closed: GeneratorExit"]
    assert not app.extensions["scopes"].units


def test_a_body_that_is_closed_on_another_thread(
    app: flask.Flask, reader: Reader, scopes: Scopes, log: list[str]
) -> None:
    seen: list[str] = []

    @scopes.request(until="sent")
    def knows_its_request() -> c.Iterator[None]:
        try:
            yield
        finally:
            seen.append(f"{flask.current_app.name} {flask.request.path}")
            reader()

    @app.get("/path")
    def index() -> flask.Response:
        reader()
        knows_its_request()
        return flask.Response(iter(["one", "two"]))

    body = respond(app, "/path")
    next(iter(body))
    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join(10)

    assert seen == ["shop /path"]
    assert log == ["open", "closed: UnitFailed"]
    assert not flask.has_app_context()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("how", ["file", "list", "generator", "passed list", "empty"])
def test_whatever_the_body_is(
    app: flask.Flask, reader: Reader, log: list[str], method: str, how: str
) -> None:
    @app.get("/")
    def index() -> t.Any:
        reader()
        if how == "file":
            return flask.send_file(io.BytesIO(b"data"), mimetype="text/plain")
        if how == "empty":
            return "", 204
        body: t.Any = iter(["da", "ta"]) if how == "generator" else ["da", "ta"]
        response = flask.Response(body, direct_passthrough=how == "passed list")
        if how == "passed list":
            response.response = [b"da", b"ta"]
        else:
            response.call_on_close(lambda: log.append("call_on_close"))
        return response

    all_there = {"list", "passed list", "empty"}
    headers: dict[str, str] = {}

    def start_response(status: str, given: t.Any, *args: object) -> t.Any:
        headers.update(given)

    body: t.Any = app.wsgi_app(environ(app, method=method), start_response)
    close = getattr(body, "close", list)
    # What is all there needs nothing to be sent.
    assert log == (["open", "closed"] if how in all_there else ["open"])
    sent = b"".join(body)
    close()

    assert sent == (b"" if method == "HEAD" or how == "empty" else b"data")
    assert log.count("closed") == 1
    if how == "list":
        assert headers["Content-Length"] == "4"


def test_request_objects_are_finished_before_and_not_begun_again(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    reader: Reader,
    log: list[str],
) -> None:
    @scopes.request
    def work(name: str) -> c.Iterator[None]:
        yield
        log.append("committed")

    @app.get("/<used>")
    def index(used: str) -> flask.Response:
        if used == "yes":
            work("used")

        def body() -> c.Iterator[str]:
            for name in ("used", "never used"):
                with pytest.raises(ClosedError, match=r'request\(until="sent"\)'):
                    work(name)
            reader()
            yield "refused"

        return flask.Response(flask.stream_with_context(body()))

    assert client.get("/yes").text == "refused"
    assert log == ["committed", "open", "closed"]
    log.clear()
    assert client.get("/no").text == "refused"
    assert log == ["open", "closed"]


def test_a_stream_in_an_app_that_keeps_nothing_until_then(
    app: flask.Flask, client: Client, scopes: Scopes, log: list[str]
) -> None:
    work = scopes.request(lambda: log.append("never"))

    @app.get("/")
    def index() -> flask.Response:
        def body() -> c.Iterator[str]:
            with pytest.raises(ClosedError):
                work()
            yield "refused"

        return flask.Response(flask.stream_with_context(body()))

    assert client.get("/").text == "refused"
    assert log == []


@pytest.mark.parametrize("how", ["status", "error", "commit"])
def test_in_a_unit_that_failed_it_sees_the_failure(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    reader: Reader,
    log: list[str],
    how: str,
) -> None:
    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise OSError

    @app.get("/")
    def index() -> t.Any:
        reader()
        if how == "commit":
            refuses()
        if how == "error":
            raise LookupError
        return "no", 409 if how == "status" else 200

    client.get("/").get_data()

    ends = {"status": "UnitFailed", "error": "LookupError", "commit": "OSError"}
    assert log == ["open", f"closed: {ends[how]}"]


@pytest.fixture
def failing(scopes: Scopes) -> Resource[[], None]:
    @scopes.request(until="sent")
    def failing() -> c.Iterator[None]:
        try:
            yield
        finally:
            raise OSError("the replica is gone")

    return failing


def test_what_fails_at_the_end_of_a_body_cuts_it_off(
    app: flask.Flask, reader: Reader, failing: Resource[[], None], log: list[str]
) -> None:
    @app.get("/")
    def index() -> flask.Response:
        reader()
        failing()
        return flask.Response(iter(["all"]))

    body = respond(app)
    chunks = iter(body)
    assert next(chunks) == b"all"
    with pytest.raises(CommitFailed, match="the replica is gone"):
        # Before the server hears that there is no more.
        next(chunks)
    body.close()

    assert log == ["open", "closed: OSError"]


def test_what_fails_after_the_body_was_dropped_is_logged(
    app: flask.Flask,
    failing: Resource[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @app.get("/")
    def index() -> flask.Response:
        failing()
        return flask.Response(iter(["one", "two"]))

    body = respond(app)
    next(iter(body))
    body.close()

    assert "the replica is gone" in caplog.text


def test_of_a_body_that_is_all_there_it_is_a_failed_commit(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    failing: Resource[[], None],
) -> None:
    @scopes.request
    def work() -> c.Iterator[None]:
        yield

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> tuple[str, int]:
        return f"{error.resource} after {error.committed}", 503

    @app.get("/")
    def index() -> str:
        flask.session["seen"] = True
        work()
        failing()
        return "ok"

    response = client.get("/")

    assert response.text == "failing after ('work',)"
    assert "Set-Cookie" not in response.headers


def test_it_outlives_request_objects_so_it_cannot_use_them(
    app: flask.Flask, scopes: Scopes, reader: Reader
) -> None:
    user = scopes.request(lambda: "ann")

    @scopes.request(until="sent")
    def rows() -> str:
        return user()

    @scopes.request(until="sent")
    def of_a_unit() -> str:
        with scopes.unit():
            reader()
            return user()

    @scopes.request
    def uses_it() -> list[str]:
        return reader()

    @scopes.application
    def shared() -> list[str]:
        return reader()

    with app.app_context():
        with pytest.raises(ScopeMismatchError, match=r"lives until the response"):
            rows()
        assert of_a_unit() == "ann"
        assert uses_it() is reader()
        with pytest.raises(ScopeMismatchError, match=r"'shared' request scoped"):
            shared()


def test_elsewhere_it_ends_with_the_unit_and_after_request_objects(
    app: flask.Flask, scopes: Scopes, reader: Reader, log: list[str]
) -> None:
    @scopes.request
    def work() -> c.Iterator[None]:
        yield
        log.append("committed")

    with scopes.unit(app):
        work()
        reader()
    assert log == ["open", "committed", "closed"]

    log.clear()
    with pytest.raises(ExceptionGroup) as raised, scopes.unit(app):
        reader()
        scopes.request(iter_and_fail)()
    assert isinstance(raised.value, CommitFailed)
    assert log == ["open", "closed: OSError"]


def iter_and_fail() -> c.Iterator[None]:
    yield
    raise OSError


def test_an_override_of_it(
    app: flask.Flask, client: Client, stream: None, reader: Reader, log: list[str]
) -> None:
    other: list[str] = []
    with reader.override(other):
        assert client.get("/").text == "012"
    assert other == ["0", "1", "2"]
    assert log == []


def test_an_override_sets_aside_what_was_built_from_the_original(
    app: flask.Flask, scopes: Scopes, reader: Reader
) -> None:
    @scopes.request(until="sent")
    def rows() -> list[list[str]]:
        return [reader()]

    with app.app_context():
        mine = rows()
        with reader.override(["other"]):
            assert rows() == [["other"]]
        assert rows() is mine


def test_request_takes_no_other_until(scopes: Scopes) -> None:
    with pytest.raises(SetupError, match="until='later'"):
        t.cast(t.Any, scopes).request(until="later")
    with pytest.raises(SetupError, match="until"):
        t.cast(t.Any, scopes).request()


def test_a_dropped_body_says_so(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    errors: list[UnitFailed] = []

    @scopes.request(until="sent")
    def reader() -> c.Iterator[None]:
        try:
            yield
        except UnitFailed as error:
            errors.append(error)
            raise

    @app.get("/")
    def index() -> flask.Response:
        reader()
        return flask.Response(iter(["one", "two"]))

    body = respond(app)
    next(iter(body))
    body.close()

    assert "went away" in str(errors[0])
    assert errors[0].status is None


@pytest.mark.parametrize("how", ["commit", "conflict"])
def test_a_response_that_is_not_sent_is_closed(
    app: flask.Flask, client: Client, scopes: Scopes, log: list[str], how: str
) -> None:
    """It may hold a file."""

    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise OSError

    @app.get("/")
    def index() -> flask.Response:
        refuses()
        response = flask.Response("all")
        response.call_on_close(lambda: log.append("response closed"))
        if how == "conflict":
            response.call_on_close(lambda: 1 // 0)
        return response

    assert client.get("/").status_code == 500
    assert log == ["response closed"]


def test_an_error_page_that_is_streamed(
    app: flask.Flask, client: Client, reader: Reader, log: list[str]
) -> None:
    @app.errorhandler(500)
    def handle(error: Exception) -> flask.Response:
        def body() -> c.Iterator[str]:
            reader().append("used")
            yield "sorry"

        return flask.Response(flask.stream_with_context(body()), status=500)

    app.add_url_rule("/", view_func=lambda: str(1 // 0))

    assert client.get("/").text == "sorry"
    assert log == ["open", "used", "closed: ZeroDivisionError"]
