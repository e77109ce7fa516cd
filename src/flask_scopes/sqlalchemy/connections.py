"""Connections for what keeps its own tables beside those of an app."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session

from ..lookup import objects_in_progress
from ..reading import writes_are_forbidden

if t.TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.engine import Connection

    from .extension import SQL


class Connections:
    """Where to read and write: in the transaction of this unit, if it has begun one.
    Lives as long as what keeps the tables.

    :param bind: which of the databases.
    """

    def __init__(self, sql: SQL, bind: str) -> None:
        self._sql = sql
        self._bind = bind

    def session(self) -> Session | None:
        """The session of this unit with our engine, if it has one, and may write."""
        return None if writes_are_forbidden() else self._in_progress()

    def _in_progress(self) -> Session | None:
        engine = self._sql.engine(self._bind)
        for each in objects_in_progress():
            if isinstance(each, Session) and each.bind is engine:
                return each
        return None

    def read(self, query: sa.Select[t.Any]) -> c.Sequence[sa.RowMapping]:
        """What *query* finds."""
        session = self.session()
        if session is not None:
            # A second connection for each request could be one too many. (If its
            # transaction has failed, it does nothing more.)
            with contextlib.suppress(DBAPIError, InvalidRequestError):
                return session.connection().execute(query).mappings().all()
        with self._sql.engine(self._bind).connect() as connection:
            return connection.execute(query).mappings().all()

    @contextlib.contextmanager
    def writing(self) -> c.Generator[Connection, None, None]:
        """That of the unit, or else one of its own, in a transaction: a database like
        SQLite has room for one that writes.
        """
        session = self.session()
        if session is not None:
            yield session.connection()
            return
        with self._sql.engine(self._bind).begin() as connection:
            yield connection

    def is_held(self) -> bool:
        """Whether this unit has begun to use SQLite, which has room for one that
        writes: another connection would wait for it, and it for that.
        """
        is_sqlite = self._sql.engine(self._bind).dialect.name == "sqlite"
        return is_sqlite and self._in_progress() is not None

    def execute(self, statement: sa.Executable) -> int:
        """Write, and say how many rows it was."""
        with self.writing() as connection:
            done: t.Any = connection.execute(
                statement, execution_options={"preserve_rowcount": True}
            )
        return int(done.rowcount)

    def create(self, metadata: sa.MetaData, tables: c.Sequence[sa.Table]) -> None:
        """Make *tables*, if they are not there."""
        metadata.create_all(self._sql.engine(self._bind), tables=tables)


# Or MariaDB takes "Ann" for "ann", and refuses what is not in its own alphabet.
EXACT: t.Final[dict[str, t.Any]] = {
    f"{name}_{option}": value
    for name in ("mysql", "mariadb")
    for option, value in {"charset": "utf8mb4", "collate": "utf8mb4_bin"}.items()
}
"""Keyword arguments of a table whose text is compared letter by letter."""
