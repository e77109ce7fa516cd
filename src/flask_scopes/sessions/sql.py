"""Sessions in a database of SQLAlchemy's: a table of sessions, and one of values."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ..extras import brought_by

with brought_by(
    "sqlalchemy", "sqlalchemy", "flask_scopes.sessions.sql works with SQLAlchemy"
):
    import sqlalchemy as sa

from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import InterfaceError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..sqlalchemy import SQL
from ..sqlalchemy.connections import EXACT
from ..sqlalchemy.connections import Connections
from . import messages
from .records import Change
from .records import Fields
from .records import Head
from .records import Row
from .records import Stored

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Connection


class SQLStore:
    """Sessions in SQLite, PostgreSQL or MariaDB; connects when it is first asked.
    What is over is removed by ``flask scopes sessions purge``.

    :param sql: the databases of the project.
    :param bind: which of them.
    :param metadata: what the tables are added to, for migrations: that of your models.
    """

    failures = (
        OperationalError,
        InterfaceError,
        PoolTimeout,
    )

    def __init__(
        self, sql: SQL, *, bind: str = "", metadata: sa.MetaData | None = None
    ) -> None:
        self._connections = Connections(sql, bind)
        self.metadata = metadata if metadata is not None else sa.MetaData()
        self._heads = _heads_in(self.metadata)
        self._values = _values_in(self.metadata)

    def create_tables(self) -> None:
        """Make the tables, if they are not there: for development and tests. Otherwise,
        let your migrations do it.
        """
        self._connections.create(self.metadata, [self._heads, self._values])

    def load(self, session_id: str) -> Stored | None:
        heads, values = self._heads, self._values
        query = (
            sa.select(heads, values.c.name, values.c.text, values.c.written_in)
            .outerjoin(values, values.c.session_id == heads.c.id)
            .where(heads.c.id == session_id)
        )
        found = self._connections.read(query)
        if not found:
            return None
        rows = {
            each["name"]: Row(each["text"], each["written_in"])
            for each in found
            if each["name"] is not None
        }
        return Stored(_head(found[0]), rows)

    def add(self, head: Head, texts: c.Mapping[str, str]) -> None:
        fields = {name: getattr(head, name) for name in Head.__slots__}
        rows = [
            {"session_id": head.id, "name": name, "text": text, "written_in": 0}
            for name, text in texts.items()
        ]
        with self._connections.writing() as connection:
            connection.execute(self._heads.insert(), fields)
            if rows:
                connection.execute(self._values.insert(), rows)

    def write(
        self,
        head: Head,
        generation: int,
        changes: c.Mapping[str, Change],
        *,
        check: bool,
    ) -> bool:
        try:
            with self._connections.writing() as connection:
                # In one order for all, so that no two wait for one another.
                for name in sorted(changes):
                    one = head.id, name, generation
                    statement = self._statement(connection, one, changes[name], check)
                    done = connection.execute(statement, execution_options=_COUNT)
                    if not done.rowcount and check:
                        raise _Outdated  # noqa: TRY301  # to roll back the others
        except _Outdated:
            return False
        return True

    def _statement(
        self,
        connection: Connection,
        key: tuple[str, str, int],
        change: Change,
        check: bool,
    ) -> sa.Executable:
        """One that affects no row if the value has to be checked, and is another."""
        values, (session_id, name, generation) = self._values, key
        one = (values.c.session_id == session_id) & (values.c.name == name)
        if check and change.old is not None:
            one &= values.c.text == change.old
        if change.new is None:
            return values.delete().where(one)
        new = {"text": change.new, "written_in": generation}
        if check and change.old is not None:
            return values.update().where(one).values(new)
        row = {"session_id": session_id, "name": name, **new}
        return _upsert(connection, values, row, {} if check else new)

    def update(self, session_id: str, digest: str, fields: Fields) -> bool:
        heads = self._heads
        one = (heads.c.id == session_id) & (heads.c.digest == digest)
        with self._connections.writing() as connection:
            done = connection.execute(heads.update().where(one).values(fields))
        return done.rowcount > 0

    def remove(self, session_ids: c.Collection[str]) -> int:
        heads, values = self._heads, self._values
        with self._connections.writing() as connection:
            done = connection.execute(heads.delete().where(heads.c.id.in_(session_ids)))
            connection.execute(
                values.delete().where(values.c.session_id.in_(session_ids))
            )
        return done.rowcount

    def of(self, user: str) -> list[Head]:
        query = sa.select(self._heads).where(self._heads.c.user == user)
        return [_head(each) for each in self._connections.read(query)]

    def joins(self) -> bool:
        return self._connections.session() is not None

    def purge(self, now: float) -> int:
        heads, values = self._heads, self._values
        with self._connections.writing() as connection:
            done = connection.execute(heads.delete().where(heads.c.expires <= now))
            known = sa.select(heads.c.id)
            connection.execute(values.delete().where(values.c.session_id.not_in(known)))
        return done.rowcount


# Otherwise nobody asks how many rows were inserted.
_COUNT: t.Final = {"preserve_rowcount": True}


class _Outdated(Exception):
    """A value is no longer what it was; what was written before it is taken back."""


def _heads_in(metadata: sa.MetaData) -> sa.Table:
    text, moment = sa.String(300), sa.Double[float]()
    return sa.Table(
        "scopes_sessions",
        metadata,
        sa.Column("id", sa.String(22), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user", sa.String(255), index=True),
        sa.Column("created", moment, nullable=False),
        sa.Column("seen", moment, nullable=False),
        sa.Column("expires", moment, nullable=False, index=True),
        sa.Column("limit", moment, nullable=False),
        sa.Column("agent", text, nullable=False),
        sa.Column("address", text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("old_digest", sa.String(64), nullable=False),
        sa.Column("old_until", moment, nullable=False),
        **EXACT,
    )


def _values_in(metadata: sa.MetaData) -> sa.Table:
    # Without a foreign key: in PostgreSQL, a session that another request ends would
    # fail the transaction of this one.
    long = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    return sa.Table(
        "scopes_session_values",
        metadata,
        sa.Column("session_id", sa.String(22), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("text", long, nullable=False),
        sa.Column("written_in", sa.Integer, nullable=False),
        **EXACT,
    )


def _head(found: sa.RowMapping) -> Head:
    return Head(**{name: found[name] for name in Head.__slots__})


def _upsert(
    connection: Connection, table: sa.Table, row: Fields, new: Fields
) -> sa.Executable:
    """Insert *row*, or set *new* in the one that is there; leave that, if empty."""
    key = [column.name for column in table.primary_key]
    name = connection.dialect.name
    if name in ("mysql", "mariadb"):
        made = mysql.insert(table).values(row)
        return made.on_duplicate_key_update(new) if new else made.prefix_with("IGNORE")
    if name not in ("sqlite", "postgresql"):
        raise messages.unknown_dialect(name)
    insert = sqlite.insert if name == "sqlite" else postgresql.insert
    started = insert(table).values(row)
    if new:
        return started.on_conflict_do_update(index_elements=key, set_=new)
    return started.on_conflict_do_nothing(index_elements=key)
