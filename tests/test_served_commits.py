"""Promise 15 behind a real server: databases that really refuse to commit."""

from __future__ import annotations

import collections.abc as c
import sqlite3
import typing as t
from pathlib import Path

import flask
import pytest
from flask.typing import ResponseReturnValue
from pymongo.errors import OperationFailure
from werkzeug.exceptions import InternalServerError

from flask_scopes import CommitFailed

from . import serving
from .serving import Shop

pytestmark = pytest.mark.server

database = pytest.fixture(params=serving.DATABASES)(serving.make_database)
shop = pytest.fixture(serving.make_shop)

Handled: t.TypeAlias = list[CommitFailed]


@pytest.fixture
def spoilt(shop: Shop) -> None:
    """``/order`` orders tea, notes that in the session, and cannot be committed."""

    @shop.app.get("/order")
    def order() -> str:
        shop.order("tea")
        flask.session["last"] = "tea"
        shop.spoil()
        return "ordered"

    @shop.app.get("/fine")
    def fine() -> str:
        shop.order("milk")
        return str(flask.session.get("last"))


@pytest.fixture
def handled(shop: Shop) -> Handled:
    """What the handler of failed commits was called with."""
    errors: Handled = []

    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> ResponseReturnValue:
        errors.append(error)
        return "try later", int(flask.request.args.get("status", "503"))

    return errors


@pytest.mark.usefixtures("spoilt")
def test_a_commit_that_fails_is_a_500_that_is_logged_once(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    answer = shop.ask("/order")

    assert answer.status == 500
    assert "Internal Server Error" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert shop.left == [{}]
    assert shop.database.rows() == {}
    assert serving.errors(caplog) == ["shop"]
    assert "CommitFailed" in caplog.text
    kinds = (sqlite3.IntegrityError, OperationFailure)
    assert [isinstance(each, kinds) for each in shop.ends] == [True]


@pytest.mark.usefixtures("spoilt")
def test_the_next_request_after_a_commit_that_failed_knows_nothing_of_it(
    shop: Shop,
) -> None:
    cookie = shop.ask("/order").cookie
    answer = shop.ask("/fine", Cookie=cookie)

    assert (answer.status, answer.text) == (200, "None")
    assert shop.left == [{}, {"milk": 1}]


@pytest.mark.usefixtures("spoilt")
@pytest.mark.parametrize("status", [200, 302, 503])
def test_a_handler_of_failed_commits_answers_once(
    shop: Shop, handled: Handled, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    answer = shop.ask(f"/order?status={status}")

    assert (answer.status, answer.text) == (status, "try later")
    assert "Set-Cookie" not in answer.headers
    assert shop.left == [{}]
    assert serving.errors(caplog) == []
    (error,) = handled
    assert error.resource == "orders"
    assert error.committed == ()
    assert error.cause is shop.ends[0]


@pytest.mark.usefixtures("spoilt")
def test_a_handler_of_500s_finds_the_failed_commit_behind_it(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[BaseException | None] = []

    @shop.app.errorhandler(500)
    def handle(error: InternalServerError) -> ResponseReturnValue:
        found.append(error.original_exception)
        return "sorry", 500

    answer = shop.ask("/order")

    assert (answer.status, answer.text) == (500, "sorry")
    assert [type(each) for each in found] == [CommitFailed]
    assert serving.errors(caplog) == ["shop"]


@pytest.mark.usefixtures("spoilt")
def test_a_handler_of_failed_commits_that_fails_itself_is_a_500(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> ResponseReturnValue:
        shop.order("excuse")
        raise LookupError

    answer = shop.ask("/order")

    assert answer.status == 500
    assert "Set-Cookie" not in answer.headers
    assert shop.left == [{}]
    assert serving.errors(caplog) == ["shop"]


@pytest.mark.parametrize("has_handler", [True, False])
def test_nothing_is_committed_twice_though_all_that_follows_the_view_runs_again(
    shop: Shop, request: pytest.FixtureRequest, has_handler: bool
) -> None:
    runs: list[int] = []
    if has_handler:
        request.getfixturevalue("handled")

    @shop.app.get("/order")
    def order() -> str:
        shop.order("tea")
        return "ordered"

    @shop.app.after_request
    def after(response: flask.Response) -> flask.Response:
        shop.order("milk")
        runs.append(response.status_code)
        if len(runs) == 1:
            shop.spoil()
        return response

    answer = shop.ask("/order")

    assert runs == [200, 503 if has_handler else 500]
    assert answer.status == runs[-1]
    assert shop.left == [{}]
    assert shop.database.rows() == {}
    # The second unit knows why.
    assert isinstance(shop.ends[1], CommitFailed)
    assert len(shop.ends) == 2


@pytest.mark.usefixtures("spoilt")
@pytest.mark.parametrize("own_unit", [True, False])
def test_what_a_handler_of_failed_commits_does_is_kept_in_a_unit_of_its_own_alone(
    shop: Shop, own_unit: bool
) -> None:
    @shop.app.errorhandler(CommitFailed)
    def handle(error: CommitFailed) -> str:
        if not own_unit:
            shop.order("complaint")
            return "noted"
        with shop.scopes.unit():
            shop.order("complaint")
        return "noted"

    answer = shop.ask("/order")

    assert (answer.status, answer.text) == (200, "noted")
    assert shop.left == [{"complaint": 1} if own_unit else {}]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("built_last", [True, False])
def test_with_several_databases_the_error_names_those_that_were_committed(
    shop: Shop, tmp_path: Path, handled: Handled, built_last: bool
) -> None:
    """What was built last is committed first, and stays so."""
    books = serving.SQLite(tmp_path / "ledger.db")

    @shop.scopes.request
    def ledger() -> c.Iterator[sqlite3.Connection]:
        yield from books.transaction()

    @shop.app.get("/order")
    def order() -> str:
        if not built_last:
            books.order(ledger(), "tea")
        shop.order("tea")
        if built_last:
            books.order(ledger(), "tea")
        shop.spoil()
        return "ordered"

    assert shop.ask("/order").status == 503
    (error,) = handled
    assert error.resource == "orders"
    assert error.committed == (("ledger",) if built_last else ())
    assert books.rows() == ({"tea": 1} if built_last else {})
    assert shop.database.rows() == {}


def test_a_commit_that_fails_in_a_unit_of_its_own_leaves_the_request_alone(
    shop: Shop,
) -> None:
    @shop.app.get("/order")
    def order() -> str:
        with pytest.raises(CommitFailed), shop.scopes.unit():
            shop.order("tea")
            shop.spoil()
        shop.order("milk")
        return "ordered"

    assert shop.ask("/order").status == 200
    assert shop.left == [{"milk": 1}]
