"""How a session takes part in a unit: flushed, committed, or rolled back with it.

SQLAlchemy calls us (its events, on the class that a ``sessionmaker`` makes) with each
session of that class; which of them take part is in their ``info``.

**An error that nobody lets out.** After an error PostgreSQL does nothing more in a
transaction, and answers its COMMIT with "ROLLBACK", which drivers take for success: a
view that caught the error would answer "done" for what is lost. So errors are noted
where they happen, and before the commit the database is asked whether the transaction
is still there. A savepoint that took the error back is found to be well.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import typing as t
import weakref

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import SQLAlchemyError

from ..building import Build
from ..building import current_build
from ..lookup import unit_in_progress
from ..messages import named
from ..places import pass_through
from ..reading import writes_are_forbidden
from . import dialects
from . import messages

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.orm import ORMExecuteState
    from sqlalchemy.orm import Session
    from sqlalchemy.orm import SessionTransaction
    from sqlalchemy.orm import UOWTransaction

    from ..unit import Unit

_KEY: t.Final = "flask_scopes"
_watched: weakref.WeakSet[Engine] = weakref.WeakSet()

# Its events call us, and users call it.
pass_through("sqlalchemy")


class Part:
    """What is known of a session in one unit; lives as long as that."""

    __slots__ = ("build", "by_hand", "committing", "connections", "failures", "unit")

    def __init__(self, build: Build, unit: Unit | None, by_hand: bool) -> None:
        self.build = build
        self.unit = unit
        """None once it is finished."""
        self.by_hand = by_hand
        """Whether the view may commit as well."""
        self.committing = False
        self.connections: dict[Connection, bool] = {}
        """Those of its transactions, and whether they refuse to write."""
        self.failures: list[dialects.Failure] = []
        """The errors of the database, in order."""

    def said(self) -> str:
        """What a message says of where it was raised."""
        name = named(self.build.recipe)
        if self.committing:
            return f"Found when {name} was about to be committed"
        return messages.called(name)

    def forbid_writes(self) -> None:
        for connection, forbidden in list(self.connections.items()):
            if not (forbidden or connection.closed or connection.invalidated):
                self.connections[connection] = True
                dialects.forbid_writes(connection)

    def raise_swallowed(self, session: Session) -> None:
        """
        :raises DBAPIError: the one after which there is nothing left to commit.
        """
        fatal = next((each for each in self.failures if each.is_fatal()), None)
        if fatal is None and self.failures and not session.is_active:
            # That of a flush, which SQLAlchemy has rolled back.
            fatal = self.failures[-1]
        if fatal is not None:
            fatal.error.add_note(messages.swallowed())
            raise fatal.error

    def end(self) -> None:
        # What is noted refers to frames, and those to the session.
        self.unit = None
        self.connections.clear()
        self.failures.clear()


@contextlib.contextmanager
def taking_part(
    session: Session, *, by_hand: bool = False
) -> c.Generator[Part, None, None]:
    """For the factory of a request object: *session* is committed if the unit succeeds,
    and rolled back otherwise.

    :param by_hand: whether the view may commit as well.
    """
    unit, build = unit_in_progress(), t.cast("Build", current_build.get())
    part = Part(build, unit, by_hand)
    attach(session, part)
    if unit is not None:
        unit.prepare.append((build, functools.partial(_prepare, session, part)))
    try:
        yield part
        _commit(session, part)
    except BaseException:
        # Its error is what counts, also if the connection is gone meanwhile.
        with contextlib.suppress(SQLAlchemyError):
            session.rollback()
        raise
    finally:
        part.end()


def attach(session: Session, part: Part) -> None:
    """From now on *session* is used in the unit of *part*."""
    session.info[_KEY] = part


def part_of(session: Session) -> Part | None:
    """How *session* takes part, or did last."""
    part: Part | None = session.info.get(_KEY)
    return part


def _prepare(session: Session, part: Part) -> None:
    """Everything that can fail, but for the commit."""
    part.committing = True
    part.raise_swallowed(session)
    session.flush()


def _commit(session: Session, part: Part) -> None:
    part.committing = True
    part.raise_swallowed(session)
    if writes_are_forbidden():
        session.rollback()
        return
    try:
        session.commit()
    except InvalidRequestError as error:
        if "permanently closed" in str(error):
            error.add_note(messages.closed_by_hand())
        raise


def watch(sessions: t.Any) -> None:
    """Hear of the sessions that *sessions*, a ``sessionmaker`` or ``scoped_session``,
    makes.
    """
    event.listen(sessions, "after_begin", _after_begin)
    event.listen(sessions, "do_orm_execute", _before_execute)
    event.listen(sessions, "before_flush", _before_flush)
    event.listen(sessions, "before_commit", _before_commit)
    event.listen(sessions, "after_commit", _after_commit)


def watch_engine(engine: Engine) -> None:
    """Hear of the errors of *engine*. Later calls do nothing."""
    # SQLAlchemy's `event.contains` goes by the id of the engine, and remembers that as
    # long as its dialect, to which statements refer, is there. So the id may be that
    # of one that is gone: errors would not be heard of, and rows be lost.
    if engine not in _watched:
        event.listen(engine, "handle_error", _on_error)
        dialects.watch(engine)
        # Last: another thread that finds it here relies on that. (To listen twice is
        # to listen once.)
        _watched.add(engine)


def _after_begin(
    session: Session, transaction: SessionTransaction, connection: Connection
) -> None:
    part = part_of(session)
    if part is None or part.unit is None:
        return
    dialects.begin(connection)
    if connection not in part.connections:
        part.connections[connection] = False
        connection.execution_options(**{_KEY: part})
        watch_engine(connection.engine)
    if writes_are_forbidden():
        part.forbid_writes()


def _on_error(context: ExceptionContext) -> None:
    connection, error = context.connection, context.sqlalchemy_exception
    if connection is None or not isinstance(error, DBAPIError):
        return
    part: Part | None = connection.get_execution_options().get(_KEY)
    if part is not None and part.unit is not None:
        lost = context.is_disconnect
        part.failures.append(dialects.Failure(connection, error, disconnected=lost))


def _before_execute(state: ORMExecuteState) -> None:
    part = part_of(state.session)
    if part is None or not writes_are_forbidden():
        return
    kinds = {
        "an INSERT": state.is_insert,
        "an UPDATE": state.is_update,
        "a DELETE": state.is_delete,
    }
    for kind, is_it in kinds.items():
        if is_it:
            raise messages.read_only(part.said(), kind)
    part.forbid_writes()


def _before_flush(session: Session, context: UOWTransaction, instances: object) -> None:
    part = part_of(session)
    if part is None or not writes_are_forbidden():
        return
    kinds = kinds_to_flush(session)
    if kinds:
        what = f"a flush of {', '.join(kinds)}"
        raise messages.read_only(part.said(), what)


def kinds_to_flush(session: Session) -> list[str]:
    """The classes of the objects that *session* is going to write."""
    changed = [each for each in session.dirty if session.is_modified(each)]
    pending = [*session.new, *session.deleted, *changed]
    return sorted({type(each).__name__ for each in pending})


def _before_commit(session: Session) -> None:
    part = part_of(session)
    if part is None or part.unit is None or part.committing:
        return
    if session.in_nested_transaction():
        return
    if not part.by_hand:
        raise messages.commit_by_hand(part.said())
    part.raise_swallowed(session)


def _after_commit(session: Session) -> None:
    part = part_of(session)
    if part is None or part.unit is None or part.committing:
        return
    if not session.in_nested_transaction() and part.build not in part.unit.committed:
        # From here on the request cannot begin anew.
        part.unit.committed.append(part.build)
