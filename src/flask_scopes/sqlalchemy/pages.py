"""Rows by the page."""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t

import sqlalchemy as sa
from flask import abort
from flask import has_request_context
from flask import request
from sqlalchemy.exc import DataError

if t.TYPE_CHECKING:
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from .queries import AnySession

T = t.TypeVar("T")

_ROWS: t.Final = 20


class Page(t.Generic[T]):
    """Some rows of many; lives as long as you keep it. ``total`` and what follows from
    it are asked for at first use, so while its session is there.
    """

    def __init__(
        self,
        items: c.Sequence[T],
        number: int,
        size: int,
        has_next: bool,
        count: c.Callable[[], int],
    ) -> None:
        self.items = items
        """Those of this page."""
        self.number = number
        """Which page it is, from 1 on."""
        self.size = size
        """How many rows a page has, but for the last one."""
        self.has_next = has_next
        self._count = count

    @property
    def has_previous(self) -> bool:
        return self.number > 1

    @functools.cached_property
    def total(self) -> int:
        """How many rows there are on all pages."""
        return self._count()

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-self.total // self.size)

    def numbers(self, *, edge: int = 1, around: int = 2) -> c.Iterator[int | None]:
        """Numbers for links: of the first and last pages and of those around this one;
        None where some are left out.

        :param edge: how many at the beginning and at the end.
        :param around: how many on each side of this one.
        """
        last = 0
        for number in range(1, self.pages + 1):
            if (
                number <= edge
                or number > self.pages - edge
                or abs(number - self.number) <= around
            ):
                if number > last + 1:
                    yield None
                yield number
                last = number

    def __iter__(self) -> c.Iterator[T]:
        return iter(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} rows>"


@t.overload
def paginate(
    session: AnySession,
    statement: TypedReturnsRows[tuple[T]],
    *,
    page: int | None = None,
    size: int | None = None,
    max_size: int = 100,
) -> Page[T]: ...
@t.overload
def paginate(
    session: AnySession,
    statement: TypedReturnsRows[T],
    *,
    page: int | None = None,
    size: int | None = None,
    max_size: int = 100,
) -> Page[T]: ...
def paginate(
    session: AnySession,
    statement: t.Any,
    *,
    page: int | None = None,
    size: int | None = None,
    max_size: int = 100,
) -> Page[t.Any]:
    """One page of what *statement* selects, or a 404 page if that has no rows and is
    not the first. Without an order, pages may overlap.

    :param statement: a ``select()`` of one column, or of one entity.
    :param page: which, from 1 on; by default what ``?page=`` of the request says.
    :param size: how many rows; by default what ``?per_page=`` says, or 20.
    :param max_size: the most that a request may ask for.
    """
    number = page if page is not None else _asked_for("page", 1)
    rows = size if size is not None else min(_asked_for("per_page", _ROWS), max_size)
    if number < 1 or rows < 1:
        abort(404)
    try:
        # One more, to know whether there is a next page.
        part = statement.limit(rows + 1).offset((number - 1) * rows)
        found: c.Sequence[t.Any] = session.scalars(part).unique().all()
    except (DataError, OverflowError):
        # The driver has no such number.
        found = []
    if not found and number > 1:
        abort(404)

    def count() -> int:
        inner = statement.order_by(None).subquery()
        return session.scalar(sa.select(sa.func.count()).select_from(inner)) or 0

    return Page(found[:rows], number, rows, len(found) > rows, count)


def _asked_for(name: str, default: int) -> int:
    """The number in the request's query; *default* if there is none."""
    if not has_request_context() or name not in request.args:
        return default
    return request.args.get(name, 0, type=int)
