"""Promises 14 and 15: when a request is finished, and what counts as failure."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client
from flask.views import MethodView
from werkzeug.exceptions import NotFound

from flask_scopes import ClosedError
from flask_scopes import CommitFailed
from flask_scopes import OutsideScopeError
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import UnitFailed

Work = Resource[[], list[str]]


@pytest.fixture
def work(scopes: Scopes, log: list[str]) -> Work:
    """Stands for a transaction: says how it ended."""

    @scopes.request
    def work() -> c.Iterator[list[str]]:
        try:
            yield log
        except BaseException as error:
            log.append(f"rolled back: {type(error).__name__}")
            raise
        log.append("committed")

    return work


@pytest.fixture
def failing(scopes: Scopes) -> Resource[[], None]:
    @scopes.request
    def failing() -> c.Iterator[None]:
        yield
        raise OSError("the disk is full")

    return failing


def teapot() -> flask.Response:
    return flask.Response("short and stout", 418)


VIEWS: dict[str, tuple[c.Callable[[], t.Any], str]] = {
    "ok": (lambda: "ok", "committed"),
    "a returned redirect": (lambda: flask.redirect("/"), "committed"),
    "a raised redirect": (lambda: flask.abort(flask.redirect("/")), "committed"),
    "304": (lambda: ("", 304), "committed"),
    "abort(404)": (lambda: flask.abort(404), "rolled back: NotFound"),
    "abort(teapot)": (lambda: flask.abort(teapot()), "rolled back: HTTPException"),
    "a returned 422": (lambda: ("no", 422), "rolled back: UnitFailed"),
    "a returned teapot": (teapot, "rolled back: UnitFailed"),
    "unhandled": (lambda: 1 / 0, "rolled back: ZeroDivisionError"),
    "handled": (lambda: [{"other": 1}][0]["key"], "rolled back: KeyError"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_counts_as_failure(
    app: flask.Flask, client: Client, work: Work, log: list[str], name: str
) -> None:
    view, end = VIEWS[name]

    @app.errorhandler(KeyError)
    def handle(error: KeyError) -> str:
        work().append("an error handler uses it")
        return "fine"

    @app.get("/")
    def index() -> t.Any:
        work()
        return view()

    client.get("/")

    assert log[-1] == end
    assert len(log) == (2 if name == "handled" else 1)


def test_an_error_handler_may_be_the_first_to_use_an_object(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    @app.errorhandler(404)
    def handle(error: NotFound) -> str:
        work()
        return "found something else"

    assert client.get("/nowhere").status_code == 200
    assert log == ["rolled back: NotFound"]


def test_the_status_that_counts_is_the_one_that_leaves(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        response.status_code = 503 if response.status_code == 200 else 200
        return response

    @app.get("/<int:status>")
    def index(status: int) -> t.Any:
        work()
        return "", status

    assert client.get("/200").status_code == 503
    assert client.get("/503").status_code == 200
    assert log == ["rolled back: UnitFailed", "committed"]


def test_the_end_comes_after_every_after_request_and_before_the_session(
    app: flask.Flask, client: Client, work: Work, log: list[str], scopes: Scopes
) -> None:
    class Interface(flask.sessions.SecureCookieSessionInterface):
        def save_session(self, *args: t.Any) -> None:
            log.append("session saved")
            super().save_session(*args)

    def says(what: str) -> c.Callable[[t.Any], t.Any]:
        def function(argument: t.Any) -> t.Any:
            log.append(what)
            return argument

        return function

    early = flask.Flask("early")
    early.secret_key = "k"
    early.after_request(says("registered before us"))
    scopes.init_app(early)
    early.after_request(says("registered after us"))
    early.session_interface = Interface()

    @early.get("/")
    def index() -> str:
        work()
        flask.after_this_request(says("of this request"))
        flask.request_finished.connect(finished, early)
        flask.session["seen"] = True
        return "ok"

    def finished(sender: object, response: flask.Response) -> None:
        log.append("request finished")

    early.test_client().get("/")

    assert log == [
        "of this request",
        "registered after us",
        "registered before us",
        "committed",
        "session saved",
        "request finished",
    ]


@pytest.mark.parametrize("raised", [True, False])
@pytest.mark.parametrize("where", ["view", "method", "async"])
def test_a_view_may_say_which_statuses_are_success(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Work,
    log: list[str],
    raised: bool,
    where: str,
) -> None:
    def answer(status: int) -> t.Any:
        work()
        if raised:
            flask.abort(status)
        return "", status

    @app.get("/view/<int:status>")
    @scopes.commit_on(401, 422)
    def view(status: int) -> t.Any:
        return answer(status)

    @app.get("/async/<int:status>")
    @scopes.commit_on(401)
    @scopes.commit_on(422)
    async def async_view(status: int) -> t.Any:
        return answer(status)

    class Method(MethodView):
        @scopes.commit_on(401, 422)
        def get(self, status: int) -> t.Any:
            return answer(status)

    app.add_url_rule("/method/<int:status>", view_func=Method.as_view("method"))

    for status in (401, 422, 403):
        assert client.get(f"/{where}/{status}").status_code == status
    assert log[:2] == ["committed", "committed"]
    assert log[2].startswith("rolled back")


def test_an_exception_is_a_failure_whatever_status_it_becomes(
    app: flask.Flask, client: Client, scopes: Scopes, work: Work, log: list[str]
) -> None:
    @app.errorhandler(LookupError)
    def handle(error: LookupError) -> tuple[str, int]:
        return "", 401

    @app.get("/")
    @scopes.commit_on(401)
    def index() -> str:
        work()
        raise LookupError

    assert client.get("/").status_code == 401
    assert log == ["rolled back: LookupError"]


@pytest.mark.parametrize("statuses", [(), (200,), (600,), ("401",), (len,)])
def test_commit_on_takes_statuses_of_failure(
    scopes: Scopes, statuses: tuple[t.Any, ...]
) -> None:
    with pytest.raises(SetupError, match="401, 422"):
        scopes.commit_on(*statuses)


def test_a_decorated_view_can_be_called_without_a_request(scopes: Scopes) -> None:
    assert scopes.commit_on(401)(lambda: "called")() == "called"
    assert scopes.retry(2)(lambda: "called")() == "called"


def test_a_doomed_unit_fails_and_answers_as_if_nothing_was(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors: list[UnitFailed] = []

    @scopes.request
    def work() -> c.Iterator[None]:
        try:
            yield
        except UnitFailed as error:
            errors.append(error)
            raise

    @app.get("/")
    def index() -> str:
        scopes.doom("a dry run")
        scopes.doom("again")
        work()
        flask.session["seen"] = True
        return "would do"

    caplog.set_level("INFO")
    response = client.get("/")

    assert response.text == "would do"
    # Nobody would see it from the outside.
    assert "200 OK, but rolled back" in caplog.text
    assert "a dry run" in caplog.text
    assert "Set-Cookie" not in response.headers
    assert "a dry run" in str(errors[0])
    assert "test_finish.py" in str(errors[0])
    assert errors[0].status is None


def test_the_status_is_an_attribute_of_the_failure(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    statuses: list[int | None] = []

    @scopes.request
    def work() -> c.Iterator[None]:
        try:
            yield
        except UnitFailed as error:
            statuses.append(error.status)
            raise

    @app.get("/")
    def index() -> t.Any:
        work()
        return "", 409

    client.get("/")

    assert statuses == [409]


def test_what_is_about_a_unit_is_refused_without_one(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    calls: list[c.Callable[[], None]] = [
        lambda: scopes.doom("why"),
        lambda: scopes.after_commit(lambda: None),
    ]

    @scopes.application
    def shared() -> str:
        for call in calls:
            with pytest.raises(OutsideScopeError, match="there is none here"):
                call()
        return "ok"

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        for call in calls:
            with pytest.raises(ClosedError, match="too late"):
                call()

    app.add_url_rule("/", view_func=lambda: shared())

    for call in calls:
        with pytest.raises(OutsideScopeError, match="there is none here"):
            call()
        with (
            flask.Flask("other").app_context(),
            pytest.raises(OutsideScopeError, match="do not know the app 'other'"),
        ):
            call()
    assert client.get("/").text == "ok"


def test_a_base_exception_in_a_view_unwinds_everything(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    @app.get("/")
    def index() -> str:
        work()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.get("/")
    assert log == ["rolled back: KeyboardInterrupt"]


def test_a_rollback_that_fails_is_logged_and_the_answer_stays(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Work,
    log: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @scopes.request
    def stubborn() -> c.Iterator[None]:
        try:
            yield
        except NotFound:
            raise OSError("the connection is gone") from None

    @app.get("/")
    def index() -> str:
        work()
        stubborn()
        flask.abort(404)

    assert client.get("/").status_code == 404
    assert log == ["rolled back: NotFound"]
    assert "could not be rolled back" in caplog.text
    assert "the connection is gone" in caplog.text


def test_an_after_request_function_that_raises_fails_the_unit(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        if response.status_code == 200:
            raise LookupError
        return response

    app.add_url_rule("/", view_func=lambda: (work() and "ok") or "ok")

    assert client.get("/").status_code == 500
    assert log == ["rolled back: LookupError"]


def test_a_failure_after_the_commit_commits_nothing_more(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    """The 500 page may use objects: new ones, which are rolled back."""

    def finished(sender: object, response: flask.Response) -> None:
        if response.status_code == 200:
            raise LookupError

    @app.errorhandler(500)
    def handle(error: Exception) -> tuple[str, int]:
        work().append("used by the 500 page")
        return "sorry", 500

    flask.request_finished.connect(finished, app)
    app.add_url_rule("/", view_func=lambda: (work() and "ok") or "ok")

    assert client.get("/").text == "sorry"
    assert log == ["committed", "used by the 500 page", "rolled back: LookupError"]


def test_an_unfinished_request_is_finished_when_flask_tears_it_down(
    app: flask.Flask,
    scopes: Scopes,
    work: Work,
    failing: Resource[[], None],
    log: list[str],
) -> None:
    with app.test_request_context():
        work()
    with app.test_request_context():
        scopes.doom("no")
        work()
    with pytest.raises(CommitFailed, match="'failing'"), app.test_request_context():
        work()
        failing()

    assert log == ["committed", "rolled back: UnitFailed", "rolled back: OSError"]


def test_a_base_exception_that_the_app_hides_from_teardown(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    class Timeout(BaseException):
        """As a server raises in a worker."""

    app.should_ignore_error = lambda error: True  # type: ignore[method-assign]  # of it

    @app.get("/")
    def index() -> str:
        work()
        raise Timeout

    with pytest.raises(Timeout):
        client.get("/")
    assert log == ["rolled back: Timeout"]


def test_an_extension_that_handles_errors_itself(
    app: flask.Flask, client: Client, work: Work, log: list[str]
) -> None:
    """As Flask-RESTful does, which puts its own methods on the app."""

    @functools.wraps(app.handle_user_exception)
    def handle(e: Exception) -> flask.Response:
        return flask.Response("fine")

    app.handle_user_exception = handle  # type: ignore[method-assign]  # as it does
    app.handle_exception = handle  # type: ignore[method-assign]  # as it does

    @app.get("/")
    def index() -> str:
        work()
        raise LookupError

    assert client.get("/").text == "fine"
    assert log == ["rolled back: LookupError"]


def test_a_failed_commit_of_another_unit_after_the_requests_own(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Work,
    failing: Resource[[], None],
    log: list[str],
) -> None:
    """What was kept is not said to be lost."""

    def receiver(sender: object, response: flask.Response) -> None:
        if response.status_code == 200:
            with scopes.unit():
                failing()

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> str:
        return "nothing was kept"

    flask.request_finished.connect(receiver, app)
    app.add_url_rule("/", view_func=lambda: str(work()))

    assert client.get("/").status_code == 500
    assert log == ["committed"]
