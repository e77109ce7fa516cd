"""Promise 15: a commit that fails is an honest 500, and changes nothing."""

from __future__ import annotations

import collections.abc as c
import copy
import pickle
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import CommitFailed
from flask_scopes import Resource
from flask_scopes import Scopes

from .conftest import leaves

Maker = c.Callable[..., Resource[[], str]]


@pytest.fixture
def resource(scopes: Scopes, log: list[str]) -> Maker:
    def make(name: str, fails: BaseException | None = None) -> Resource[[], str]:
        def factory() -> c.Iterator[str]:
            try:
                yield name
            except BaseException as error:
                log.append(f"{name} rolled back: {type(error).__name__}")
                raise
            if fails is not None:
                raise fails
            log.append(f"{name} committed")

        factory.__name__ = name
        return scopes.request(factory)

    return make


@pytest.fixture
def visit(app: flask.Flask, client: Client) -> c.Callable[..., t.Any]:
    """Use these objects in a request, and put something into the session."""

    def visit(*used: Resource[[], str]) -> t.Any:
        def view() -> str:
            flask.session["seen"] = True
            return " ".join(each() for each in used)

        app.add_url_rule("/", view_func=view)
        return client.get("/")

    return visit


def test_it_is_a_500_and_in_the_log_once(
    resource: Maker, visit: t.Any, log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    response = visit(
        resource("ledger"), resource("orders", OSError("full")), resource("mails")
    )

    assert response.status_code == 500
    assert log == ["mails committed", "ledger rolled back: OSError"]
    (record,) = caplog.records
    assert record.exc_info
    error = record.exc_info[1]
    assert isinstance(error, CommitFailed)
    assert error.resource == "orders"
    assert error.committed == ("mails",)
    assert str(error.cause) == "full"
    assert "Set-Cookie" not in response.headers


def test_it_reaches_its_handler(
    app: flask.Flask, resource: Maker, visit: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[CommitFailed] = []

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> tuple[str, int]:
        errors.append(error)
        assert "seen" not in flask.session
        flask.session["told"] = True
        return "not kept", 503

    response = visit(resource("orders", OSError()))

    assert (response.status_code, response.text) == (503, "not kept")
    assert len(errors) == 1
    assert not caplog.records
    assert session_of(app, response) == {"told": True}


def session_of(app: flask.Flask, response: t.Any) -> dict[str, t.Any]:
    client = app.test_client()
    cookie = response.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    client.set_cookie("session", cookie)
    with client.session_transaction() as session:
        return dict(session)


@pytest.mark.parametrize("propagate", [True, False])
def test_a_handler_that_fails_itself(
    app: flask.Flask, resource: Maker, visit: t.Any, propagate: bool
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    calls: list[str] = []

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> str:
        calls.append("handler")
        raise LookupError("of the handler")

    orders = resource("orders", OSError())
    if propagate:
        with pytest.raises(LookupError, match="of the handler"):
            visit(orders)
    else:
        assert visit(orders).status_code == 500
    assert calls == ["handler"]


def test_without_a_handler_it_propagates_in_tests(
    app: flask.Flask, resource: Maker, visit: t.Any
) -> None:
    app.testing = True
    with pytest.raises(CommitFailed, match="'orders'"):
        visit(resource("orders", OSError()))


def test_handlers_and_after_request_may_use_new_objects_which_are_rolled_back(
    app: flask.Flask, resource: Maker, visit: t.Any, log: list[str]
) -> None:
    """Flask runs `after_request` again: nothing of that is committed."""
    ledger = resource("ledger")

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> tuple[str, int]:
        return ledger(), 500

    @app.after_request
    def after(response: flask.Response) -> flask.Response:
        log.append(f"{response.status_code} with {ledger()}")
        return response

    assert visit(ledger, resource("orders", OSError())).text == "ledger"
    assert log == [
        "200 with ledger",
        "ledger rolled back: OSError",
        "500 with ledger",
        "ledger rolled back: CommitFailed",
    ]


def test_a_unit_around_the_request_is_another_matter(
    app: flask.Flask, resource: Maker, visit: t.Any, log: list[str]
) -> None:
    ledger = resource("ledger")
    with app.app_context():
        mine = ledger()
        assert visit(resource("orders", OSError())).status_code == 500
        assert ledger() is mine
    assert log == ["ledger committed"]


def test_what_fails_in_rolling_back_is_in_it_too(
    app: flask.Flask, scopes: Scopes, resource: Maker
) -> None:
    @scopes.request
    def worse() -> c.Iterator[None]:
        try:
            yield
        except OSError:
            raise LookupError("gone") from None

    orders = resource("orders", OSError("full"))

    with pytest.raises(CommitFailed) as raised, scopes.unit(app):
        worse()
        orders()

    assert [type(error) for error in leaves(raised.value)] == [OSError, LookupError]
    assert raised.value.cause is raised.value.exceptions[0]
    assert "failed to roll back  'worse'" in str(raised.value)


def test_a_base_exception_in_a_commit_is_not_made_a_response(
    resource: Maker, visit: t.Any, log: list[str]
) -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        visit(resource("ledger"), resource("orders", KeyboardInterrupt()))

    assert [type(error) for error in leaves(raised.value)] == [KeyboardInterrupt]
    assert log == ["ledger rolled back: KeyboardInterrupt"]


def test_of_a_unit_inside_of_the_view_it_is_an_error_like_any_other(
    app: flask.Flask, client: Client, scopes: Scopes, resource: Maker, log: list[str]
) -> None:
    ledger, orders = resource("ledger"), resource("orders", OSError())
    handled: list[str] = []

    @app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> str:
        handled.append(error.resource)
        raise error

    @app.get("/")
    def index() -> str:
        ledger()
        with scopes.unit():
            orders()
        return "never"

    assert client.get("/").status_code == 500
    assert handled == ["orders"]
    assert log == ["ledger rolled back: CommitFailed"]


def test_it_can_be_copied_pickled_and_taken_apart(
    app: flask.Flask, scopes: Scopes, resource: Maker
) -> None:
    with pytest.raises(CommitFailed) as raised, scopes.unit(app):
        resource("mails")
        resource("orders", OSError("full"))()

    for error in (
        copy.copy(raised.value),
        pickle.loads(pickle.dumps(raised.value)),
    ):
        assert str(error) == str(raised.value)
        assert (error.resource, error.committed) == ("orders", ())
        assert str(error.cause) == "full"
    matching, rest = raised.value.split(OSError)
    assert matching is not None
    assert rest is None
