"""A row or a 404, and rows by the page."""

from __future__ import annotations

import collections.abc as c

import pytest
import sqlalchemy as sa
from werkzeug.exceptions import NotFound

from flask_scopes.sqlalchemy import first_or_404
from flask_scopes.sqlalchemy import get_or_404
from flask_scopes.sqlalchemy import one_or_404
from flask_scopes.sqlalchemy import paginate

from .shop import Item
from .shop import Shop


@pytest.fixture
def stocked(shop: Shop) -> c.Iterator[Shop]:
    shop.stock(*[Item(name=f"item {n:02}") for n in range(45)])
    with shop.app.app_context():
        yield shop


BY_NAME = sa.select(Item).order_by(Item.name)


def test_get_or_404(stocked: Shop) -> None:
    session = stocked.sql.session()
    assert get_or_404(session, Item, 1).id == 1
    assert get_or_404(session, Item, 2, with_for_update=True).id == 2
    for missing in (99, 10**30, None):
        with pytest.raises(NotFound):
            get_or_404(session, Item, missing)
        session.rollback()


def test_one_or_404(stocked: Shop) -> None:
    session = stocked.sql.session()
    assert one_or_404(session, BY_NAME.where(Item.name == "item 03")).name == "item 03"
    for bad in (BY_NAME.where(Item.name == "none"), BY_NAME):
        with pytest.raises(NotFound):
            one_or_404(session, bad)


def test_first_or_404(stocked: Shop) -> None:
    session = stocked.sql.session()
    assert first_or_404(session, BY_NAME).name == "item 00"
    assert first_or_404(session, sa.select(sa.func.count(Item.id))) == 45
    with pytest.raises(NotFound):
        first_or_404(session, BY_NAME.where(Item.name == "none"))


def test_pages(stocked: Shop) -> None:
    session = stocked.sql.session()
    first = paginate(session, BY_NAME)
    assert [item.name for item in first] == [f"item {n:02}" for n in range(20)]
    assert (first.number, first.size, first.total, first.pages) == (1, 20, 45, 3)
    assert (first.has_previous, first.has_next) == (False, True)

    last = paginate(session, BY_NAME, page=3)
    assert [item.name for item in last] == [f"item {n:02}" for n in range(40, 45)]
    assert (last.has_previous, last.has_next) == (True, False)

    exact = paginate(session, BY_NAME, page=3, size=15)
    assert (len(exact.items), exact.has_next, exact.pages) == (15, False, 3)


@pytest.mark.parametrize("page", [0, -1, 4, 10**30])
def test_pages_that_are_not_there(stocked: Shop, page: int) -> None:
    with pytest.raises(NotFound):
        paginate(stocked.sql.session(), BY_NAME, page=page)
    # (PostgreSQL has no such number, and ends the transaction.)
    stocked.sql.session().rollback()


def test_nothing_is_one_empty_page(stocked: Shop) -> None:
    page = paginate(stocked.sql.session(), BY_NAME.where(Item.name == "none"))
    assert (page.items, page.total, page.pages, page.has_next) == ([], 0, 0, False)
    assert list(page.numbers()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (1, 20)),
        ("?page=2&per_page=10", (2, 10)),
        ("?per_page=1000", (1, 40)),
        ("?page=x", None),
        ("?page=0", None),
        ("?page=-1", None),
        ("?per_page=0", None),
        ("?per_page=-5", None),
        ("?page=", None),
        ("?page=9999999999999999999999", None),
    ],
)
def test_a_page_that_the_request_asks_for(
    stocked: Shop, query: str, expected: tuple[int, int] | None
) -> None:
    @stocked.view
    def show() -> str:
        page = paginate(stocked.sql.session(), BY_NAME, max_size=40)
        return f"{page.number} {page.size} {len(page.items)}"

    response = stocked.client.get(f"/{query}")
    if expected is None:
        assert response.status_code == 404
    else:
        assert response.text == f"{expected[0]} {expected[1]} {expected[1]}"


def test_numbers_for_links(stocked: Shop) -> None:
    def numbers(page: int) -> list[int | None]:
        shown = paginate(stocked.sql.session(), BY_NAME, page=page, size=4)
        return list(shown.numbers())

    assert numbers(1) == [1, 2, 3, None, 12]
    assert numbers(6) == [1, None, 4, 5, 6, 7, 8, None, 12]
    assert numbers(12) == [1, None, 10, 11, 12]


def test_the_total_is_asked_for_once_and_only_if_wanted(stocked: Shop) -> None:
    session = stocked.sql.session()
    asked: list[str] = []
    sa.event.listen(
        stocked.sql.engine(),
        "before_cursor_execute",
        lambda connection, cursor, statement, *more: (
            asked.append(statement) if statement != "BEGIN" else None
        ),
    )
    page = paginate(session, BY_NAME)
    assert len(asked) == 1
    assert (page.total, page.total, page.pages) == (45, 45, 3)
    assert len(asked) == 2
    assert "ORDER BY" not in asked[1]
