"""A row, or a page that says that there is none."""

from __future__ import annotations

import typing as t

from flask import abort
from sqlalchemy.exc import DataError
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.exc import NoResultFound

if t.TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.orm import scoped_session
    from sqlalchemy.sql.selectable import TypedReturnsRows

    AnySession: t.TypeAlias = Session | scoped_session[t.Any]

T = t.TypeVar("T")


def get_or_404(
    session: AnySession,
    entity: type[T],
    ident: object,
    *,
    with_for_update: bool = False,
) -> T:
    """The row of *entity* with the primary key *ident*, or a 404 page.

    :param session: of any kind.
    :param ident: a tuple, if the key has several columns. What cannot be a key (a
        number that is too large) is not found.
    :param with_for_update: lock the row until the end of the unit.
    """
    if ident is None:
        abort(404)
    try:
        found = session.get(entity, ident, with_for_update=with_for_update or None)
    except (DataError, OverflowError):
        # Of the driver, which has no such number.
        found = None
    return abort(404) if found is None else found


# SQLAlchemy 2.0 and 2.1 write the type of a statement in these two ways.
@t.overload
def one_or_404(session: AnySession, statement: TypedReturnsRows[tuple[T]]) -> T: ...
@t.overload
def one_or_404(session: AnySession, statement: TypedReturnsRows[T]) -> T: ...
def one_or_404(session: AnySession, statement: t.Any) -> t.Any:
    """What the only row of *statement* has in its first column, which may be an entity;
    or a 404 page, if there is no row, or more than one.
    """
    try:
        return session.scalars(statement).unique().one()
    except (NoResultFound, MultipleResultsFound):
        abort(404)


@t.overload
def first_or_404(session: AnySession, statement: TypedReturnsRows[tuple[T]]) -> T: ...
@t.overload
def first_or_404(session: AnySession, statement: TypedReturnsRows[T]) -> T: ...
def first_or_404(session: AnySession, statement: t.Any) -> t.Any:
    """What the first row of *statement* has in its first column, or a 404 page."""
    found = session.scalars(statement).first()
    return abort(404) if found is None else found
