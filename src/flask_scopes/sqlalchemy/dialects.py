"""What databases do differently, as far as a unit of work depends on it."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.engine import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_QUERY_ONLY: t.Final = "flask_scopes.query_only"
# "Deadlock found": MySQL has rolled back all of the transaction, and begins another.
_MYSQL_DEADLOCK: t.Final = 1213


def begin(connection: Connection) -> None:
    """Let a transaction of SQLite begin where SQLAlchemy says that it does.

    Python's ``sqlite3`` waits for the first statement that writes. What was read
    before belongs to no transaction then: between reading a balance and writing it,
    another change may be lost. And a savepoint that comes first is the transaction,
    and is kept whatever becomes of the unit.
    """
    if connection.dialect.driver != "pysqlite":
        return
    own: t.Any = connection.connection.dbapi_connection
    # Unless somebody else takes care of that: "AUTOCOMMIT", or Python 3.12's
    # `autocommit`, which is -1 where it is not in use.
    if own.isolation_level is None or getattr(own, "autocommit", -1) != -1:
        return
    if not own.in_transaction:
        connection.exec_driver_sql("BEGIN")


def forbid_writes(connection: Connection) -> None:
    """Let the database refuse to write in the transaction of *connection*, where it
    can do so in the middle of one.
    """
    name = connection.dialect.name
    if name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    elif name == "sqlite":
        connection.info[_QUERY_ONLY] = True
        connection.exec_driver_sql("PRAGMA query_only = ON")


def watch(engine: Engine) -> None:
    """See to it that :func:`forbid_writes` is undone, with each connection."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "checkin", _checkin)


def _checkin(own: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    # It is not of the transaction, but of the connection, which others take next.
    if entry.info.pop(_QUERY_ONLY, False) and own is not None:
        own.cursor().execute("PRAGMA query_only = OFF")


class Failure:
    """An error of a database; is kept as long as its session takes part in a unit."""

    __slots__ = ("connection", "ended", "error", "savepoint")

    def __init__(
        self, connection: Connection, error: DBAPIError, *, disconnected: bool
    ) -> None:
        self.connection = connection
        self.error = error
        self.savepoint = connection.get_nested_transaction()
        self.ended = True if disconnected else _has_ended(connection, error)
        """Whether it has ended the transaction; None: that has to be asked."""

    def is_fatal(self) -> bool:
        """Whether what was done in the transaction before it cannot be committed."""
        if self.connection.closed:
            # By a rollback, which the view may have asked for.
            return False
        if self.ended is not None:
            return self.ended
        if self.savepoint is not None and not self.savepoint.is_active:
            return False
        try:
            self.connection.execute(sa.select(sa.literal(1)))
        except DBAPIError:
            return True
        return False


def _has_ended(connection: Connection, error: DBAPIError) -> bool | None:
    """Now, since the next statement may begin another transaction.

    PostgreSQL has not: it waits, refuses everything, and answers a COMMIT with
    "ROLLBACK", which is no error to its drivers.
    """
    name = connection.dialect.name
    if name == "sqlite":
        own: t.Any = connection.connection.dbapi_connection
        return not getattr(own, "in_transaction", True)
    if name in ("mysql", "mariadb"):
        args = getattr(error.orig, "args", ())
        return _MYSQL_DEADLOCK in (*args, getattr(error.orig, "errno", None))
    return None
