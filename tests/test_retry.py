"""Promise 18: a request that met a conflict is tried again, from the start."""

from __future__ import annotations

import collections.abc as c
import io
import sqlite3
import typing as t

import flask
import flask.sessions
import flask.testing
import pytest
from flask.testing import EnvironBuilder
from flask.testing import FlaskClient as Client
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.test import run_wsgi_app

from flask_scopes import CommitFailed
from flask_scopes import OutsideScopeError
from flask_scopes import Resource
from flask_scopes import RetryError
from flask_scopes import Scopes
from flask_scopes import SetupError


class Conflict(Exception):
    """Somebody else was faster."""


Refuse = t.Callable[[], None]


@pytest.fixture
def work(scopes: Scopes, log: list[str]) -> Resource[[], str]:
    @scopes.request
    def work() -> c.Iterator[str]:
        try:
            yield "work"
        except BaseException as error:
            log.append(f"rolled back: {type(error).__name__}")
            raise
        log.append("committed")

    return work


@pytest.fixture
def conflict(log: list[str]) -> Refuse:
    """Fails at the first two calls."""
    left = [Conflict("first"), Conflict("second")]

    def refuse() -> None:
        if left:
            raise left.pop(0)

    return refuse


def test_the_request_begins_anew_with_the_same_body(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    conflict: Refuse,
    log: list[str],
) -> None:

    @app.before_request
    def before() -> None:
        assert "seen" not in flask.session
        assert "seen" not in flask.g
        assert "seen" not in flask.request.environ
        if flask.request.content_length == 5:
            # Half of it, before the view is asked.
            flask.request.stream.read(2)

    @app.post("/")
    @scopes.retry(3, on=Conflict)
    def index() -> bytes:
        flask.session["seen"] = flask.g.seen = True
        flask.request.environ["seen"] = True
        scopes.after_commit(lambda: log.append("once"))
        work()
        body = flask.request.get_data() or flask.request.stream.read()
        conflict()
        return body

    assert client.post("/", data=b"hello there").data == b"hello there"
    assert log == [
        "rolled back: Conflict",
        "rolled back: Conflict",
        "committed",
        "once",
    ]
    with client.session_transaction() as session:
        session.clear()
    assert client.post("/", data=b"12345").data == b"345"


@pytest.mark.parametrize("how", ["form", "upload", "json", "none", "unread"])
def test_whatever_the_body_is(
    app: flask.Flask, client: Client, scopes: Scopes, conflict: Refuse, how: str
) -> None:
    @app.post("/")
    @scopes.retry(3, on=Conflict)
    def index() -> t.Any:
        readers: dict[str, t.Callable[[], t.Any]] = {
            "form": lambda: flask.request.form["a"],
            "upload": lambda: flask.request.files["a"].read(),
            "json": lambda: flask.request.json["a"],
            "none": flask.request.get_data,
            "unread": lambda: b"",
        }
        read = readers[how]()
        conflict()
        return read

    bodies: dict[str, dict[str, t.Any]] = {
        "form": {"data": {"a": "x" * 5000}},
        "upload": {"data": {"a": (io.BytesIO(b"x" * 5000), "a.txt")}},
        "json": {"json": {"a": "x" * 5000}},
        "none": {},
        "unread": {"data": b"x" * 5000},
    }

    expected = b"" if how in {"none", "unread"} else b"x" * 5000
    assert client.post("/", **bodies[how]).data == expected


def test_a_commit_that_meets_a_conflict(
    app: flask.Flask, client: Client, scopes: Scopes, conflict: Refuse, log: list[str]
) -> None:
    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> str:
        return "never"

    @scopes.request
    def work() -> c.Iterator[None]:
        yield
        conflict()
        log.append("committed")

    @scopes.request(until="sent")
    def reader() -> c.Iterator[None]:
        try:
            yield
        finally:
            log.append("closed")

    @app.get("/")
    @scopes.retry(3, on=Conflict)
    def index() -> str:
        reader()
        work()
        return "ok"

    response = client.get("/")
    response.close()

    assert response.text == "ok"
    assert log == ["closed", "closed", "committed", "closed"]


@pytest.mark.parametrize("where", ["view", "commit", "after_request"])
def test_the_last_failure_says_how_often_it_was_tried(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    log: list[str],
    caplog: pytest.LogCaptureFixture,
    where: str,
) -> None:
    caplog.set_level("INFO")

    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise Conflict("always")

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        if where == "after_request" and response.status_code == 200:
            raise Conflict("always")
        return response

    @app.get("/")
    @scopes.retry(3, on=(LookupError, Conflict))
    def index() -> str:
        work()
        if where == "commit":
            refuses()
        if where == "view":
            raise Conflict("always")
        return "ok"

    assert client.get("/").status_code == 500
    assert log == ["rolled back: Conflict"] * 3
    *attempts, last = caplog.records
    assert [record.levelname for record in attempts] == ["INFO", "INFO"]
    assert "Attempt 1 of 3 failed" in attempts[0].message
    assert last.exc_info
    assert last.exc_info[1] is not None
    assert "attempt 3 of 3" in str(last.exc_info[1].__notes__)
    assert caplog.text.count("attempt 3 of 3") == 1


def test_a_rollback_that_fails_does_not_end_the_attempts(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    conflict: Refuse,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @scopes.request
    def stubborn() -> c.Iterator[None]:
        try:
            yield
        except Conflict:
            raise OSError("the connection is gone") from None

    @app.get("/")
    @scopes.retry(3, on=Conflict)
    def index() -> str:
        stubborn()
        conflict()
        return "ok"

    assert client.get("/").text == "ok"
    assert [record.message for record in caplog.records] == [
        "A failed request could not be rolled back cleanly"
    ] * 2


def test_an_attempt_that_failed_keeps_nothing_even_with_a_status_to_commit_on(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    conflict: Refuse,
    log: list[str],
) -> None:
    @app.get("/")
    @scopes.retry(3, on=Conflict)
    @scopes.commit_on(503)
    def index() -> str:
        work()
        try:
            conflict()
        except Conflict as error:
            raise ServiceUnavailable from error
        return "ok"

    assert client.get("/").text == "ok"
    assert log == [*["rolled back: ServiceUnavailable"] * 2, "committed"]


def test_only_a_conflict_is_tried_again(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    log: list[str],
) -> None:
    @app.get("/<how>")
    @scopes.retry(3, on=Conflict)
    def index(how: str) -> t.Any:
        work()
        if how == "error":
            raise LookupError
        if how == "abort":
            flask.abort(409)
        return "no", 409

    for how in ("error", "abort", "status"):
        client.get(f"/{how}")

    assert len(log) == 3


def labelled(label: str) -> Exception:
    from pymongo.errors import OperationFailure

    return OperationFailure("write conflict", details={"errorLabels": [label]})


def configuration(text: str) -> Exception:
    """The first is what PyMongo says of a primary that is just stepping down."""
    from pymongo.errors import ConfigurationError

    return ConfigurationError(text)


class Driver(Exception):
    """What drivers and libraries put on their errors."""

    def __init__(self, **attributes: object) -> None:
        vars(self).update(attributes)


def busy(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    return error


def made_of(cause: Exception) -> Exception:
    error = ServiceUnavailable()
    error.__cause__ = cause
    return error


TRANSIENT: list[tuple[Exception, bool]] = [
    (labelled("TransientTransactionError"), True),
    (labelled("RetryableWriteError"), False),
    (configuration("Sessions are not supported by this MongoDB deployment"), True),
    (configuration("Unknown option"), False),
    (Driver(sqlstate="40001"), True),
    (Driver(pgcode="40P01"), True),
    (Driver(sqlstate="23505"), False),
    (Driver(orig=Driver(sqlstate="40001")), True),
    (busy(sqlite3.SQLITE_BUSY), True),
    (busy(sqlite3.SQLITE_BUSY_SNAPSHOT), True),
    (busy(sqlite3.SQLITE_CONSTRAINT), False),
    (sqlite3.OperationalError("no code"), False),
    (made_of(busy(sqlite3.SQLITE_LOCKED)), True),
    (ExceptionGroup("two", [ValueError(), Driver(sqlstate="40001")]), True),
    (Conflict(), False),
]


@pytest.mark.parametrize("number", range(len(TRANSIENT)))
def test_what_drivers_say_is_a_conflict(
    app: flask.Flask, client: Client, scopes: Scopes, number: int
) -> None:
    error, transient = TRANSIENT[number]
    calls: list[str] = []

    @app.get("/")
    @scopes.retry(2)
    def index() -> str:
        calls.append("")
        if len(calls) == 1:
            raise error
        return "ok"

    assert client.get("/").status_code == (200 if transient else error_status(error))
    assert len(calls) == (2 if transient else 1)


def error_status(error: Exception) -> int:
    return getattr(error, "code", None) or 500


def test_a_real_conflict_in_sqlite(
    app: flask.Flask, client: Client, scopes: Scopes, tmp_path: t.Any
) -> None:
    path = tmp_path / "shop.db"
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("CREATE TABLE orders (number)")
    blocker.execute("BEGIN IMMEDIATE")
    attempts: list[str] = []

    @scopes.request
    def orders() -> c.Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(path, timeout=0)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    @app.get("/")
    @scopes.retry(2)
    def index() -> str:
        attempts.append("")
        if len(attempts) == 2:
            blocker.execute("COMMIT")
        orders().execute("INSERT INTO orders VALUES (1)")
        return "ok"

    assert client.get("/").text == "ok"
    assert blocker.execute("SELECT number FROM orders").fetchall() == [(1,)]
    blocker.close()


def test_a_body_that_is_too_long_is_refused(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    early: list[bytes] = []

    @app.before_request
    def before() -> None:
        if "early" in flask.request.args:
            early.append(flask.request.get_data())

    @app.post("/")
    @scopes.retry(3, max_body=10)
    def index() -> bytes:
        return flask.request.get_data()

    @app.post("/long")
    @scopes.retry(3)
    def long() -> bytes:
        return flask.request.get_data()

    assert client.post("/", data=b"x" * 10).data == b"x" * 10
    response = client.post("/", data=b"x" * 11)
    assert response.status_code == 413
    assert "10 bytes" in response.text
    assert client.post("/?early=1", data=b"x" * 11).status_code == 413
    assert client.post("/long", data=b"x" * 11).data == b"x" * 11
    app.config["MAX_CONTENT_LENGTH"] = 5
    assert client.post("/", data=b"x" * 6).status_code == 413


def test_a_body_of_unknown_length_that_is_too_long(
    app: flask.Flask, scopes: Scopes
) -> None:
    @app.post("/")
    @scopes.retry(3, max_body=10)
    def index() -> bytes:
        return flask.request.get_data()

    def post(size: int) -> str:
        environ = EnvironBuilder(app, "/", method="POST").get_environ()
        environ["wsgi.input"] = io.BytesIO(b"x" * size)
        environ["wsgi.input_terminated"] = True
        environ.pop("CONTENT_LENGTH", None)
        return run_wsgi_app(app, environ)[1]

    assert post(10) == "200 OK"
    assert post(11) == "413 REQUEST ENTITY TOO LARGE"


def test_a_body_too_long_for_any_view_is_not_kept(
    app: flask.Flask, client: Client, scopes: Scopes, conflict: Refuse
) -> None:
    """Read by something before the view, so the view cannot be tried again."""

    @app.post("/")
    @scopes.retry(3, on=Conflict, max_body=10)
    def index() -> str:
        return "never"

    @app.post("/other")
    def other() -> str:
        return str(len(flask.request.get_data()))

    assert client.post("/other", data=b"x" * 5000).text == "5000"


def test_a_view_that_streams_cannot_be_retried(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    log: list[str],
) -> None:
    app.testing = True

    @app.get("/")
    @scopes.retry(3)
    def export() -> flask.Response:
        work()
        return flask.Response(iter(["a", "b"]))

    with pytest.raises(RetryError, match="'export'"):
        client.get("/")
    assert log == ["rolled back: RetryError"]


def test_async_views_and_methods(
    app: flask.Flask, client: Client, scopes: Scopes, conflict: Refuse
) -> None:
    @app.get("/")
    @scopes.retry(3, on=Conflict)
    async def index() -> str:
        conflict()
        return "ok"

    assert client.get("/").text == "ok"


def test_an_app_inside_of_another(scopes: Scopes, conflict: Refuse) -> None:
    outer, inner = flask.Flask("outer"), flask.Flask("inner")
    calls: list[str] = []

    @inner.get("/")
    @scopes.retry(3, on=Conflict)
    def view() -> str:
        calls.append("inner")
        conflict()
        return "ok"

    @outer.get("/")
    @scopes.retry(3, on=Conflict)
    def passes_on() -> t.Any:
        calls.append("outer")
        return inner.test_client().get("/").text

    scopes.init_app(inner)
    scopes.init_app(outer)

    assert outer.test_client().get("/").text == "ok"
    assert calls == ["outer", "inner", "inner", "inner"]


def test_apps_that_retry_nothing_are_left_alone(scopes: Scopes) -> None:
    app = flask.Flask("plain")
    scopes.init_app(app)

    assert "wsgi_app" not in vars(app)


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((0,), {}), (("3",), {}), ((3,), {"on": 3}), ((3,), {"max_body": 0})],
)
def test_what_retry_takes(
    scopes: Scopes, arguments: tuple[t.Any, ...], keywords: dict[str, t.Any]
) -> None:
    with pytest.raises(SetupError, match=r"retry\(\) cannot be called so"):
        scopes.retry(*arguments, **keywords)
    with pytest.raises(SetupError, match="not a number of attempts"):
        t.cast(t.Any, scopes).retry(lambda: "a view")


@pytest.mark.parametrize("where", ["another resource", "store", "receiver"])
def test_what_was_kept_in_part_is_not_tried_again(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[], str],
    log: list[str],
    where: str,
) -> None:
    """Or it would be done twice."""

    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise Conflict("in the second database")

    class Store(flask.sessions.SecureCookieSessionInterface):
        def save_session(self, *args: t.Any) -> None:
            if where == "store" and log == ["committed"]:
                raise Conflict("in the store")

    app.session_interface = Store()

    def receiver(sender: object, response: flask.Response) -> None:
        if where == "receiver" and response.status_code == 200:
            raise Conflict("in a receiver")

    flask.request_finished.connect(receiver, app)
    errors: list[BaseException] = []

    @app.errorhandler(500)
    def handle(error: t.Any) -> str:
        errors.append(error.original_exception)
        return "sorry"

    @app.get("/")
    @scopes.retry(3, on=Conflict)
    def index() -> str:
        if where == "another resource":
            refuses()
        return work()

    assert client.get("/").text == "sorry"
    assert log == ["committed"]
    assert "attempt 1 of 3, the last" in str(errors[0].__notes__)


def test_an_app_that_is_called_with_the_environ_of_the_one_around_it(
    scopes: Scopes, conflict: Refuse
) -> None:
    outer, inner = flask.Flask("outer"), flask.Flask("inner")
    scopes.init_app(inner)
    scopes.init_app(outer)

    @inner.post("/")
    @scopes.retry(2, on=LookupError)
    def view() -> bytes:
        return flask.request.get_data()

    @outer.post("/")
    @scopes.retry(3, on=Conflict)
    def passes_on() -> t.Any:
        answer = run_wsgi_app(inner, flask.request.environ)[0]
        conflict()
        return b"".join(answer)

    assert outer.test_client().post("/", data=b"hello").data == b"hello"


def test_the_input_of_a_request_without_a_body_is_the_servers_own(
    app: flask.Flask, scopes: Scopes
) -> None:
    """A websocket server has its connection there."""

    class Input(io.BytesIO):
        raw = "the connection"

    @app.route("/", methods=["GET", "POST"])
    @scopes.retry(2)
    def index() -> str:
        stream: t.Any = flask.request.environ["wsgi.input"]
        return f"{type(stream).__name__} with {stream.raw}"

    for method, sent in (("GET", "Input"), ("POST", "Recorded")):
        environ = EnvironBuilder(app, "/", method=method).get_environ()
        environ["wsgi.input"] = Input(b"body")
        if method == "POST":
            environ["CONTENT_LENGTH"] = "4"
        body = run_wsgi_app(app, environ)[0]
        assert b"".join(body).decode() == f"{sent} with the connection"


def test_what_a_view_puts_into_the_environ_is_seen_around_the_app(
    app: flask.Flask, scopes: Scopes
) -> None:
    @app.get("/")
    @scopes.retry(2)
    def index() -> str:
        flask.request.environ["REMOTE_USER"] = "ann"
        return "ok"

    environ = EnvironBuilder(app, "/").get_environ()
    source = environ["wsgi.input"]
    body: t.Any = app.wsgi_app(environ, lambda *args: lambda data: None)
    body.close()

    assert environ["REMOTE_USER"] == "ann"
    assert environ["wsgi.input"] is source


def test_a_client_that_keeps_contexts_has_those_of_the_last_attempt(
    app: flask.Flask, client: Client, scopes: Scopes, conflict: Refuse, log: list[str]
) -> None:
    app.teardown_request(lambda error: log.append("teardown"))
    attempts: list[str] = []

    @app.get("/")
    @scopes.retry(3, on=Conflict)
    def index() -> str:
        attempts.append("")
        flask.g.attempt = len(attempts)
        conflict()
        return "ok"

    with client:
        client.get("/")
        assert flask.g.attempt == 3
        assert len(log) == 3
    assert len(log) == 4


def test_scopes_that_the_app_does_not_know_say_so(app: flask.Flask) -> None:
    app.testing = True
    app.add_url_rule("/", view_func=Scopes().retry(2)(lambda: "ok"))

    with pytest.raises(OutsideScopeError, match="do not know the app 'shop'"):
        app.test_client().get("/")
