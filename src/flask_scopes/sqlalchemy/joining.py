"""Sessions that somebody else makes and closes, such as those of Flask-SQLAlchemy."""

from __future__ import annotations

import collections.abc as c
import typing as t

from sqlalchemy import event
from sqlalchemy.orm import scoped_session

from ..errors import ClosedError
from ..errors import OutsideScopeError
from ..lookup import current_unit
from ..places import declared
from . import messages
from .parts import Part
from .parts import attach
from .parts import kinds_to_flush
from .parts import part_of
from .parts import taking_part
from .parts import watch

if t.TYPE_CHECKING:
    from sqlalchemy.orm import ORMExecuteState
    from sqlalchemy.orm import Session
    from sqlalchemy.orm import SessionTransaction

    from ..extension import Scopes


class HasSession(t.Protocol):
    """An extension with a session, such as ``flask_sqlalchemy.SQLAlchemy``."""

    @property
    def session(self) -> t.Any: ...


Existing: t.TypeAlias = scoped_session[t.Any] | HasSession


def join(scopes: Scopes, existing: Existing) -> None:
    """Let each session of *existing* take part in the unit that uses it, from its first
    use on. It may outlive that, and be used in the next one.

    :raises SetupError: *existing* has no session.
    """
    found: object = existing
    if not isinstance(existing, scoped_session):
        found = getattr(existing, "session", None)
    if not isinstance(found, scoped_session):
        raise messages.nothing_to_join(existing)
    sessions = t.cast("scoped_session[Session]", found)
    name = "the joined session" if sessions is existing else "db.session"

    @scopes.request
    @declared(name)
    def joined(session: Session) -> c.Iterator[Part]:
        with taking_part(session, by_hand=True) as part:
            yield part

    def take_notice(session: Session, *, writes: bool = False) -> None:
        try:
            unit = current_unit(name, scopes)
        except OutsideScopeError:
            return
        except ClosedError:
            # What a stream reads is its own affair.
            if writes:
                raise messages.written_late(messages.called(name)) from None
            return
        part = part_of(session)
        if part is None or part.unit is not unit:
            # Its owner closes it in a function of `teardown_appcontext`.
            unit.precedes_teardown = True
            attach(session, joined(session))

    def after_create(session: Session, transaction: SessionTransaction) -> None:
        take_notice(session)

    def before_execute(state: ORMExecuteState) -> None:
        writes = state.is_insert or state.is_update or state.is_delete
        take_notice(state.session, writes=writes)

    def before_attach(session: Session, instance: object) -> None:
        take_notice(session, writes=True)

    def before_flush(session: Session, *others: object) -> None:
        take_notice(session, writes=bool(kinds_to_flush(session)))

    event.listen(sessions, "after_transaction_create", after_create)
    event.listen(sessions, "do_orm_execute", before_execute)
    event.listen(sessions, "before_attach", before_attach)
    event.listen(sessions, "before_flush", before_flush)
    watch(sessions)
