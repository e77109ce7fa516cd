"""The session of a request, and the interface that stands before the app's own."""

from __future__ import annotations

import collections.abc as c
import copy
import json
import pickle
import typing as t

import flask
import pytest
from flask.sessions import SecureCookieSession
from flask.sessions import SecureCookieSessionInterface
from flask.sessions import SessionInterface
from flask.testing import FlaskClient as Client

from flask_scopes import CommitFailed
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes import SetupError


class Stored(SecureCookieSession):
    sid = "the one"


class Shelf(SessionInterface):
    """Keeps sessions on the server, as text."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.prefix = "session:"

    def open_session(self, app: flask.Flask, request: flask.Request) -> Stored:
        return Stored(json.loads(self.rows.get(Stored.sid, "{}")))

    def save_session(self, app: flask.Flask, session: t.Any, response: t.Any) -> None:
        self.rows[session.sid] = json.dumps(session)

    def regenerate(self, session: Stored) -> str:
        return f"{self.prefix}regenerated {session.sid}"


@pytest.fixture
def work(scopes: Scopes, log: list[str]) -> Resource[[], None]:
    @scopes.request
    def work() -> c.Iterator[None]:
        yield
        log.append("committed")

    return work


@pytest.fixture
def refused(scopes: Scopes) -> Resource[[], None]:
    @scopes.request
    def refused() -> c.Iterator[None]:
        yield
        raise OSError

    return refused


def views(app: flask.Flask, scopes: Scopes, refused: t.Any, work: t.Any) -> None:
    @app.get("/<how>")
    def index(how: str) -> t.Any:
        if how != "unused":
            work()
        flask.session["seen"] = how
        if how == "commit":
            refused()
        if how == "doom":
            scopes.doom("no")
        if how in {"abort", "unused"}:
            flask.abort(404)
        return how, 422 if how == "422" else 200


@pytest.fixture(params=["before", "after", "replaced"])
def shelf(
    app: flask.Flask, refused: t.Any, work: t.Any, request: pytest.FixtureRequest
) -> Shelf:
    """On an app that got it before `init_app`, after it, or once it was serving."""
    scopes = t.cast(Scopes, request.getfixturevalue("scopes"))
    other = flask.Flask("other")
    other.secret_key = "k"
    shelf = Shelf()
    if request.param == "before":
        other.session_interface = shelf
    scopes.init_app(other)
    views(other, scopes, refused, work)
    if request.param == "replaced":
        other.test_client().get("/ok")
    if request.param != "before":
        other.session_interface = shelf
    app.extensions["other"] = other
    return shelf


@pytest.mark.parametrize("how", ["commit", "doom", "abort", "422"])
def test_nothing_of_a_failed_request_is_in_a_store(
    app: flask.Flask, shelf: Shelf, how: str
) -> None:
    client = app.extensions["other"].test_client()
    client.get("/ok")
    client.get(f"/{how}")

    assert shelf.rows == {"the one": '{"seen": "ok"}'}


@pytest.mark.parametrize("how", ["commit", "doom", "abort", "422"])
def test_nor_in_a_cookie(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    refused: t.Any,
    work: t.Any,
    how: str,
) -> None:
    views(app, scopes, refused, work)
    client.get("/ok")
    response = client.get(f"/{how}")

    assert "Set-Cookie" not in response.headers
    # It was read, so who asks matters to a cache.
    assert response.vary.as_set() == {"cookie"}
    with client.session_transaction() as session:
        assert session["seen"] == "ok"


def test_nor_is_a_permanent_cookie_sent_again(
    app: flask.Flask, client: Client, scopes: Scopes, refused: t.Any, work: t.Any
) -> None:
    views(app, scopes, refused, work)

    @app.before_request
    def before() -> None:
        flask.session.permanent = True

    assert "Set-Cookie" in client.get("/ok").headers
    for how in ("commit", "doom", "abort", "422"):
        assert "Set-Cookie" not in client.get(f"/{how}").headers, how


def test_a_request_that_used_no_object_is_as_without_us(
    app: flask.Flask, client: Client, scopes: Scopes, refused: t.Any, work: t.Any
) -> None:
    views(app, scopes, refused, work)
    response = client.get("/unused")

    assert response.status_code == 404
    assert "Set-Cookie" in response.headers


def test_what_an_error_handler_puts_into_the_session_is_kept(
    app: flask.Flask, client: Client, work: Resource[[], None]
) -> None:
    @app.errorhandler(403)
    def handle(error: Exception) -> t.Any:
        flask.flash("This is not for you.")
        return flask.redirect("/door")

    @app.get("/")
    def index() -> str:
        work()
        flask.session["half"] = "done"
        flask.abort(403)

    assert client.get("/").location == "/door"
    with client.session_transaction() as session:
        assert list(session) == ["_flashes"]


def test_the_interface_passes_for_the_one_behind_it(
    app: flask.Flask, shelf: Shelf
) -> None:
    other = app.extensions["other"]
    client = other.test_client()
    client.get("/ok")
    interface: t.Any = other.session_interface

    assert interface is not shelf
    assert isinstance(interface, Shelf)
    assert isinstance(interface, SessionInterface)
    assert interface.regenerate(Stored()) == "session:regenerated the one"
    assert interface.get_cookie_name(other) == "session"
    assert repr(interface) == repr(shelf)
    interface.prefix = "s:"
    assert shelf.prefix == "s:"
    del interface.prefix
    assert not hasattr(shelf, "prefix")
    with pytest.raises(AttributeError, match="nothing"):
        _ = t.cast(t.Any, interface).nothing


def test_an_interface_that_wraps_ours(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    class Outer(SecureCookieSessionInterface):
        def save_session(self, *args: t.Any) -> None:
            log.append("outer saves")
            inner.save_session(*args)

    inner = app.session_interface
    app.session_interface = Outer()

    @app.get("/")
    def index() -> str:
        work()
        flask.session["seen"] = True
        return "ok"

    assert "Set-Cookie" in client.get("/").headers
    assert log == ["committed", "outer saves"]


def test_a_session_transaction_of_the_test_client(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    @app.get("/")
    def index() -> str:
        work()
        return str(flask.session["name"])

    with client.session_transaction() as session:
        session["name"] = "ann"
        assert not app.session_interface.is_null_session(session)
    assert client.get("/").text == "ann"
    with app.test_request_context(), client.session_transaction() as session:
        work()
        session["name"] = "bo"
    assert log == ["committed", "committed"]
    assert client.get("/").text == "bo"


def test_without_a_secret_key(
    scopes: Scopes,
    work: Resource[[], None],
    refused: Resource[[], None],
    log: list[str],
) -> None:
    app = flask.Flask("keyless")
    scopes.init_app(app)

    @app.get("/<how>")
    def index(how: str) -> str:
        work()
        if how == "fails":
            refused()
        return "ok"

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> tuple[str, int]:
        return "not kept", 500

    assert app.test_client().get("/works").status_code == 200
    assert log == ["committed"]
    assert app.test_client().get("/fails").text == "not kept"
    assert log == ["committed"]


def test_a_session_that_cannot_be_written_fails_before_the_commit(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    @app.get("/")
    def index() -> str:
        work()
        flask.session["value"] = object()
        return "ok"

    assert client.get("/").status_code == 500
    assert log == []


def test_nor_if_it_cannot_be_written_to_a_store(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    """Flask-Session has its serializer there."""

    class Serializer:
        def encode(self, session: t.Any) -> bytes:
            return json.dumps(dict(session)).encode()

    class Serializing(Shelf):
        serializer = Serializer()

    app.session_interface = Serializing()

    @app.get("/")
    def index() -> str:
        work()
        flask.session["value"] = object()
        return "ok"

    assert client.get("/").status_code == 500
    assert log == []


def test_a_store_that_is_down_when_the_session_is_to_be_restored(
    app: flask.Flask,
    client: Client,
    work: Resource[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Flaky(SecureCookieSessionInterface):
        opened = 0

        def open_session(self, *args: t.Any) -> SecureCookieSession | None:
            self.opened += 1
            if self.opened > 1:
                raise ConnectionError("no store")
            return super().open_session(*args)

    app.session_interface = Flaky()

    @app.get("/")
    def index() -> t.Any:
        work()
        flask.session["seen"] = True
        return "no", 409

    response = client.get("/")

    assert response.status_code == 409
    assert "Set-Cookie" not in response.headers
    assert "no store" in caplog.text


def test_a_session_that_is_saved_by_hand_does_not_end_the_request(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    def save() -> None:
        session = t.cast(t.Any, flask.session)._get_current_object()
        app.session_interface.save_session(app, session, flask.Response())
        assert not log

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        save()
        work()
        return response

    @app.get("/")
    def index() -> str:
        work()
        save()
        work()
        return "ok"

    assert client.get("/").text == "ok"
    assert log == ["committed"]


def test_an_app_whose_interface_cannot_be_assigned_is_refused(scopes: Scopes) -> None:
    class Fixed(flask.Flask):
        @property
        def session_interface(self) -> t.Any:  # type: ignore[override]  # the mistake
            return SecureCookieSessionInterface()

    with pytest.raises(SetupError, match=r"Fixed\.session_interface"):
        scopes.init_app(Fixed("fixed"))


def test_who_asks_in_a_view_hears_the_truth_about_a_null_session(
    scopes: Scopes, work: Resource[[], None]
) -> None:
    app = flask.Flask("keyless")
    scopes.init_app(app)

    @app.get("/")
    def index() -> str:
        work()
        session = t.cast(t.Any, flask.session)._get_current_object()
        return str(app.session_interface.is_null_session(session))

    assert app.test_client().get("/").text == "True"


def test_another_app_may_be_given_the_interface(
    app: flask.Flask, client: Client, work: Resource[[], None]
) -> None:
    other = flask.Flask("other")
    other.secret_key = "k"
    other.session_interface = app.session_interface

    @other.get("/")
    def index() -> str:
        flask.session["seen"] = True
        return "ok"

    assert "Set-Cookie" in other.test_client().get("/").headers


def test_a_subclass_may_write_what_is_not_in_the_session(
    app: flask.Flask, client: Client, work: Resource[[], None], log: list[str]
) -> None:
    class Converting(SecureCookieSessionInterface):
        def save_session(self, app: t.Any, session: t.Any, response: t.Any) -> None:
            session["value"] = str(type(session["value"]))
            super().save_session(app, session, response)

    app.session_interface = Converting()

    @app.get("/")
    def index() -> str:
        work()
        flask.session["value"] = object()
        return "ok"

    assert client.get("/").status_code == 200
    assert log == ["committed"]


def test_a_change_that_nobody_noticed_is_dropped_as_well(
    app: flask.Flask, client: Client, work: Resource[[], None]
) -> None:
    @app.errorhandler(409)
    def handle(error: Exception) -> str:
        flask.flash("No.")
        return "told"

    @app.get("/<what>")
    def index(what: str) -> str:
        work()
        flask.session.setdefault("cart", []).append(what)
        if what == "bad":
            flask.abort(409)
        return "ok"

    client.get("/good")
    assert client.get("/bad").text == "told"
    with client.session_transaction() as session:
        assert session["cart"] == ["good"]
        assert "_flashes" in session


def test_a_session_that_is_a_plain_dict(
    app: flask.Flask, client: Client, work: Resource[[], None]
) -> None:
    class Plain(SessionInterface):
        saved: t.ClassVar[list[t.Any]] = []

        def open_session(self, app: t.Any, request: t.Any) -> t.Any:
            return {}

        def save_session(self, app: t.Any, session: t.Any, response: t.Any) -> None:
            self.saved.append(session)

    class Session(dict[str, t.Any]):
        """Flask 3.1.3 notes on it that it was used."""

    app.session_interface = interface = Plain()
    interface.open_session = lambda *args: Session()  # type: ignore[method-assign]  # its own

    @app.get("/")
    def index() -> t.Any:
        work()
        flask.session["seen"] = True
        return "no", 409

    assert client.get("/").status_code == 409
    assert interface.saved == [{}]


def test_an_app_that_makes_its_own_page_of_a_failed_commit(
    scopes: Scopes, work: Resource[[], None], refused: Resource[[], None]
) -> None:
    class Own(flask.Flask):
        def full_dispatch_request(self, *args: t.Any) -> flask.Response:
            try:
                return super().full_dispatch_request(*args)
            except CommitFailed:
                finalize: t.Any = self.finalize_request
                return t.cast(flask.Response, finalize(*args, "own page"))

    app = Own("own")
    app.secret_key = "k"
    scopes.init_app(app)

    @app.get("/")
    def index() -> str:
        flask.session["seen"] = True
        refused()
        return "ok"

    response = app.test_client().get("/")

    assert response.text == "own page"
    assert "Set-Cookie" not in response.headers


def test_the_interface_can_be_copied(app: flask.Flask) -> None:
    interface = app.session_interface
    for made in (
        copy.copy(interface),
        copy.deepcopy(interface),
        pickle.loads(pickle.dumps(interface)),
    ):
        assert isinstance(made, SecureCookieSessionInterface)
        assert made.get_cookie_name(app) == "session"
