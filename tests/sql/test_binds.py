"""Several databases in one unit: all are flushed before the first is committed."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError

from flask_scopes import CommitFailed
from flask_scopes import SetupError

from .shop import Item
from .shop import OpenShop
from .shop import Order
from .shop import Shop
from .shop import failures


@pytest.fixture
def failed(two: Shop) -> list[CommitFailed]:
    return failures(two.app)


def test_both_are_committed(two: Shop) -> None:
    @two.view
    def buy() -> str:
        two.sql.session().add(Item(name="apple"))
        two.sql.session("archive").add(Item(name="old apple"))
        return "bought"

    assert two.client.post("/").text == "bought"
    assert (two.names(), two.names("archive")) == (["apple"], ["old apple"])


def test_both_are_rolled_back(two: Shop) -> None:
    @two.view
    def buy() -> tuple[str, int]:
        two.sql.session().add(Item(name="apple"))
        two.sql.session("archive").add(Item(name="old apple"))
        return "no", 400

    two.client.post("/")
    assert (two.names(), two.names("archive")) == ([], [])


@pytest.mark.parametrize("first", ["", "archive"])
def test_what_a_constraint_refuses_in_one_is_found_before_the_other_is_committed(
    two: Shop, failed: list[CommitFailed], first: str
) -> None:
    with two.app.app_context():
        two.sql.session().add(Item(name="apple"))

    @two.view
    def buy() -> str:
        two.sql.session(first)
        two.sql.session().add(Item(name="apple"))
        two.sql.session("archive").add(Item(name="old apple"))
        return "bought"

    assert two.client.post("/").text == "not kept"
    assert (two.names(), two.names("archive")) == (["apple"], [])
    (error,) = failed
    assert isinstance(error.cause, IntegrityError)
    assert (error.resource, error.committed) == ("sql.session", ())


def test_it_is_found_before_any_other_object_is_committed(
    two: Shop, failed: list[CommitFailed]
) -> None:
    kept: list[str] = []

    @two.scopes.request
    def other() -> c.Iterator[None]:
        yield
        kept.append("kept")

    @two.view
    def buy() -> str:
        session = two.sql.session()
        session.add_all([Item(name="apple"), Item(name="apple")])
        other()
        return "bought"

    two.client.post("/")
    assert len(failed) == 1
    assert kept == []


def test_what_was_committed_when_a_later_commit_fails_is_named(
    two: Shop, failed: list[CommitFailed]
) -> None:
    @two.view
    def buy() -> str:
        # A reference that is looked at when it is committed, and no sooner.
        two.sql.session().add(Order(item=99))
        two.sql.session("archive").add(Item(name="old apple"))
        return "bought"

    assert two.client.post("/").text == "not kept"
    (error,) = failed
    assert isinstance(error.cause, DBAPIError)
    assert error.resource == "sql.session"
    assert error.committed == ("sql.session('archive')",)
    assert two.names("archive") == ["old apple"]
    with two.app.app_context():
        assert two.sql.session().scalars(sa.select(Order)).all() == []


def test_what_a_flush_adds_to_another_is_committed_too(two: Shop) -> None:
    def keep_copy(mapper: object, connection: object, item: Item) -> None:
        if not item.name.startswith("old"):
            two.sql.session("archive").add(Item(name=f"old {item.name}"))

    sa.event.listen(Item, "after_insert", keep_copy)
    try:

        @two.view
        def buy() -> str:
            two.sql.session().add(Item(name="apple"))
            return "bought"

        assert two.client.post("/").text == "bought"
    finally:
        sa.event.remove(Item, "after_insert", keep_copy)
    assert (two.names(), two.names("archive")) == (["apple"], ["old apple"])


def test_a_bind_that_nobody_has_named(two: Shop) -> None:
    with two.app.app_context(), pytest.raises(SetupError, match="'archive'"):
        two.sql.session("arcive")


def test_the_work_of_a_teardown_is_committed(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://")
    shop.create()

    @shop.scopes.request
    def noted() -> c.Iterator[None]:
        yield
        shop.sql.session().add(Item(name="by teardown"))

    @shop.view
    def buy() -> str:
        noted()
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["by teardown"]


def test_an_error_handler_that_asks_for_a_session_has_another(
    two: Shop, failed: list[CommitFailed]
) -> None:
    used: list[t.Any] = []

    @two.app.errorhandler(500)
    def sorry(error: object) -> tuple[str, int]:
        used.append(two.sql.session())
        two.sql.session().add(Item(name="of the handler"))
        return "sorry", 500

    @two.view
    def buy() -> str:
        used.append(two.sql.session())
        flask.abort(500)

    two.client.post("/")
    two.client.post("/")
    assert two.names() == []
