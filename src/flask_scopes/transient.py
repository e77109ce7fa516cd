"""Which errors of databases mean "somebody else was faster: do it all again"."""

from __future__ import annotations

import sqlite3
import typing as t

# "Serialization failure", of the SQL standard, and PostgreSQL's "deadlock detected".
_SQL_STATES = {"40001", "40P01"}
_SQLITE_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# "Lock wait timeout exceeded" and "Deadlock found", and who says so by a number.
_MYSQL_CODES = {1205, 1213}
_MYSQL_DRIVERS = {"MySQLdb", "mariadb", "mysql", "pymysql"}
# Every MongoDB that PyMongo speaks to knows sessions. It says this of a primary that it
# has connected to in the moment in which that one steps down.
_STEPPING_DOWN: t.Final = "Sessions are not supported by this MongoDB deployment"


def is_transient(
    error: BaseException, others: tuple[type[Exception], ...] = ()
) -> bool:
    """Whether *error*, or what it was explicitly made of, is a conflict that may
    pass, by what its driver says; or one of the types *others*.
    """
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        each = todo.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        # SQLAlchemy keeps the driver's error under this name.
        todo += [each.__cause__, getattr(each, "orig", None)]
        seen.add(id(each))
        if isinstance(each, others) or _says_its_driver(each):
            return True
        if isinstance(each, BaseExceptionGroup):
            todo += t.cast("BaseExceptionGroup[BaseException]", each).exceptions
    return False


def _says_its_driver(error: BaseException) -> bool:
    if getattr(error, "is_transient", None) is True:
        # Our own, of a session.
        return True
    has_label = getattr(error, "has_error_label", None)
    if callable(has_label):
        # PyMongo, after the specification of MongoDB's transactions.
        return bool(has_label("TransientTransactionError")) or (
            str(error) == _STEPPING_DOWN
        )
    if isinstance(error, sqlite3.Error):
        # An extended code has the plain one in its lowest byte.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_CODES
    if type(error).__module__.partition(".")[0] in _MYSQL_DRIVERS:
        code = getattr(error, "errno", None) or next(iter(error.args), None)
        return code in _MYSQL_CODES
    # psycopg and others; psycopg2.
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return state in _SQL_STATES
