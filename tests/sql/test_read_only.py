"""Requests that are not to write do not, and say so."""

from __future__ import annotations

import collections.abc as c
import typing as t

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from flask_scopes import CommitFailed
from flask_scopes import ReadOnlyError

from .shop import Item
from .shop import OpenShop
from .shop import Shop


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.stock(Item(name="apple"))
    shop.app.register_error_handler(
        CommitFailed, lambda error: (type(error.cause).__name__, 500)
    )
    return shop


def test_it_reads(stocked: Shop) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        return stocked.sql.session().scalars(sa.select(Item)).one().name

    assert stocked.client.get("/").text == "apple"


def test_it_commits_nothing(stocked: Shop) -> None:
    """Not even that there is nothing to commit."""
    ended: list[str] = []
    with stocked.app.app_context():
        for end in ("commit", "rollback"):
            sa.event.listen(
                stocked.sql.engine(), end, lambda connection, end=end: ended.append(end)
            )
    stocked.view(stocked.scopes.read_only(lambda: str(_count(stocked))))
    assert stocked.client.get("/").text == "1"
    assert ended == ["rollback"]


def _count(shop: Shop) -> int:
    return len(shop.sql.session().scalars(sa.select(Item)).all())


def _add(shop: Shop) -> None:
    shop.sql.session().add(Item(name="pear"))


def _change(shop: Shop) -> None:
    shop.sql.session().scalars(sa.select(Item)).one().left = 2


def _delete(shop: Shop) -> None:
    session = shop.sql.session()
    session.delete(session.scalars(sa.select(Item)).one())


@pytest.mark.parametrize("write", [_add, _change, _delete])
@pytest.mark.parametrize("flush", [False, True])
def test_what_is_flushed_is_refused(
    stocked: Shop, write: c.Callable[[Shop], None], flush: bool
) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        write(stocked)
        if flush:
            with pytest.raises(ReadOnlyError, match="a flush of Item"):
                stocked.sql.session().flush()
        return "looked"

    # What the view has let pass is found at the end.
    assert stocked.client.post("/").text == "ReadOnlyError"
    assert stocked.names() == ["apple"]


def test_what_has_not_changed_is_no_matter(stocked: Shop) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        item = stocked.sql.session().scalars(sa.select(Item)).one()
        item.left = item.left
        return "looked"

    assert stocked.client.post("/").text == "looked"


STATEMENTS = [
    sa.insert(Item).values(name="pear"),
    sa.update(Item).values(left=2),
    sa.delete(Item),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_that_writes_is_refused(stocked: Shop, statement: t.Any) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        with pytest.raises(ReadOnlyError, match=r"test_read_only\.py:"):
            stocked.sql.session().execute(statement)
        return "looked"

    assert stocked.client.post("/").text == "looked"
    assert stocked.names() == ["apple"]


@pytest.mark.parametrize("begun", [False, True])
def test_the_database_refuses_what_is_only_text(stocked: Shop, begun: bool) -> None:
    """Also if the transaction began before the view was called."""
    if begun:

        @stocked.app.before_request
        def begin() -> None:
            stocked.sql.session().get(Item, 1)

    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        with pytest.raises(DBAPIError, match=r"read-?only"):
            stocked.sql.session().execute(sa.text("UPDATE items SET name = 'pear'"))
        stocked.sql.session().rollback()
        return "looked"

    @stocked.app.post("/write")
    def write() -> str:
        stocked.sql.session().add(Item(name="plum"))
        return "written"

    assert stocked.client.post("/").text == "looked"
    # By the same connection, out of the pool.
    assert stocked.client.post("/write").text == "written"
    assert stocked.names() == ["apple", "plum"]


def test_what_was_begun_with_savepoints_as_well(stocked: Shop) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        with stocked.sql.session().begin_nested():
            return stocked.sql.session().scalars(sa.select(Item.name)).one()

    assert stocked.client.post("/").text == "apple"


def test_it_takes_no_lock(open_shop: OpenShop, tmp_path: t.Any) -> None:
    shop = open_shop(f"sqlite:///{tmp_path}/shop.db?timeout=0")
    shop.create()

    @shop.view
    @shop.scopes.read_only
    def look() -> str:
        return str(len(shop.sql.session().scalars(sa.select(Item)).all()))

    with shop.app.app_context():
        shop.sql.session().execute(sa.insert(Item).values(name="apple"))
        # Somebody writes; this would fail at once.
        assert shop.client.post("/").text == "0"
    assert shop.names() == ["apple"]


def test_a_unit_of_its_own_may_write(stocked: Shop) -> None:
    @stocked.view
    @stocked.scopes.read_only
    def look() -> str:
        with stocked.scopes.unit():
            stocked.sql.session().add(Item(name="by unit"))

        def later() -> None:
            stocked.sql.session().add(Item(name="later"))

        stocked.scopes.after_commit(later)
        return "looked"

    stocked.client.post("/")
    assert stocked.names() == ["apple", "by unit", "later"]


def test_what_came_before_the_view_is_not_kept_silently(stocked: Shop) -> None:
    @stocked.app.before_request
    def note() -> None:
        stocked.sql.session().add(Item(name="before"))

    stocked.view(stocked.scopes.read_only(lambda: "looked"))
    assert stocked.client.post("/").text == "ReadOnlyError"
    assert stocked.names() == ["apple"]


def test_safe_methods_with_the_flag(stocked: Shop) -> None:
    stocked.app.config["SCOPES_READ_ONLY_GET"] = True

    @stocked.view
    def write() -> str:
        stocked.sql.session().add(Item(name="pear"))
        return "written"

    assert stocked.client.get("/").text == "ReadOnlyError"
    assert stocked.client.head("/").status_code == 500
    assert stocked.names() == ["apple"]
    assert stocked.client.post("/").text == "written"
    assert stocked.names() == ["apple", "pear"]
    with stocked.app.app_context():
        stocked.sql.session().add(Item(name="plum"))
    assert stocked.names() == ["apple", "pear", "plum"]


def test_a_decorator_above_its_route_is_seen_to_do_nothing(stocked: Shop) -> None:
    """As with the others: Flask calls what the route has registered."""

    @stocked.scopes.read_only
    @stocked.app.post("/")
    def write() -> str:
        stocked.sql.session().add(Item(name="pear"))
        return "written"

    assert stocked.client.post("/").text == "written"
