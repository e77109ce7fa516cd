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
    sessions = _sessions_of(existing)
    name = "the joined session" if sessions is existing else "db.session"
    joined = Joined(scopes, name)
    event.listen(sessions, "after_transaction_create", joined.after_create)
    event.listen(sessions, "do_orm_execute", joined.before_execute)
    event.listen(sessions, "before_attach", joined.before_attach)
    event.listen(sessions, "before_flush", joined.before_flush)
    watch(sessions)


def _sessions_of(existing: Existing) -> scoped_session[Session]:
    found: object = existing
    if not isinstance(existing, scoped_session):
        found = getattr(existing, "session", None)
    if not isinstance(found, scoped_session):
        raise messages.nothing_to_join(existing)
    return t.cast("scoped_session[Session]", found)


class Joined:
    """Looks at what sessions are used for; lives as long as what makes them."""

    def __init__(self, scopes: Scopes, name: str) -> None:
        self.scopes = scopes
        self.name = name

        @scopes.request
        @declared(name)
        def part(session: Session) -> c.Iterator[Part]:
            with taking_part(session, by_hand=True) as taken:
                yield taken

        self.part = part

    def is_late(self, session: Session) -> bool:
        """Let *session* take part in the unit that it is used in, if there is any; and
        whether that is finished.
        """
        try:
            unit = current_unit(self.name, self.scopes)
        except OutsideScopeError:
            return False
        except ClosedError:
            return True
        known = part_of(session)
        if known is None or known.unit is not unit:
            # Its owner closes it in a function of `teardown_appcontext`.
            unit.precedes_teardown = True
            attach(session, self.part(session))
        return False

    def after_create(self, session: Session, transaction: SessionTransaction) -> None:
        # What a stream reads is its own affair.
        self.is_late(session)

    def before_execute(self, state: ORMExecuteState) -> None:
        writes = state.is_insert or state.is_update or state.is_delete
        if self.is_late(state.session) and writes:
            self.refuse()

    def before_attach(self, session: Session, instance: object) -> None:
        if self.is_late(session):
            self.refuse()

    def before_flush(self, session: Session, *others: object) -> None:
        if self.is_late(session) and kinds_to_flush(session):
            self.refuse()

    def refuse(self) -> t.NoReturn:
        raise messages.written_late(messages.called(self.name))
