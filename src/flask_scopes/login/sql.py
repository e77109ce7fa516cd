"""Accounts and records in a database of SQLAlchemy's."""

from __future__ import annotations

import contextlib
import json
import typing as t

from ..extras import brought_by

with brought_by(
    "sqlalchemy", "sqlalchemy", "flask_scopes.login.sql works with SQLAlchemy"
):
    import sqlalchemy as sa

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from ..sqlalchemy import SQL
from ..sqlalchemy.connections import EXACT
from ..sqlalchemy.connections import Connections
from . import messages
from .records import Record
from .users import Account
from .users import email_key

if t.TYPE_CHECKING:
    import collections.abc as c

    from sqlalchemy.orm import Session

    from ..extension import Scopes
    from .records import Data


class AccountColumns:
    """What the class of an application's users has to have, as a mixin of its model,
    beside a primary key ``id``.
    """

    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(254), unique=True)
    """By which addresses are compared."""
    password: Mapped[str | None] = mapped_column(sa.String(255))
    """A hash of it."""
    confirmed: Mapped[bool] = mapped_column(default=False)


class SQLUsers:
    """Accounts in the table of the application's own model of a user.

    :param sql: the databases of the project.
    :param model: its class, with the columns of :class:`AccountColumns`.
    :param bind: which database it is in.
    """

    def __init__(self, sql: SQL, model: type[t.Any], *, bind: str = "") -> None:
        if not all(hasattr(model, name) for name in _NEEDED):
            raise messages.bad_model(model.__name__, _NEEDED)
        self._sql = sql
        self._model = model
        self._bind = bind

    @property
    def _session(self) -> Session:
        return self._sql.session(self._bind)

    def get(self, user_id: str) -> Account | None:
        key = self._key(user_id)
        found = None if key is None else self._session.get(self._model, key)
        return None if found is None else _account(found)

    def find(self, email: str) -> Account | None:
        one = sa.select(self._model).where(self._model.email_key == email_key(email))
        found = self._session.scalars(one).one_or_none()
        return None if found is None else _account(found)

    def add(self, email: str, password: str | None, **fields: t.Any) -> Account:
        if self.find(email) is not None:
            raise messages.email_taken()
        key = email_key(email)
        own = {"email": email.strip(), "email_key": key, "password": password}
        made = self._model(**fields, **own, confirmed=False)
        self._session.add(made)
        try:
            self._session.flush()
        except IntegrityError as error:
            if "email_key" not in str(error.orig):
                raise
            # Somebody was quicker. The transaction has failed with it.
            raise messages.email_taken() from error
        return _account(made)

    def set_password(self, account: Account, password: str) -> bool:
        was = self._model.password == account.password
        return self._change(account, was, password=password)

    def confirm(self, account: Account) -> bool:
        was = (self._model.email == account.email) & ~self._model.confirmed
        return self._change(account, was, confirmed=True)

    def _change(
        self, account: Account, was: sa.ColumnElement[bool], **to: t.Any
    ) -> bool:
        model = self._model
        one = sa.update(model).where(model.id == self._key(account.id), was)
        done: t.Any = self._session.execute(
            one.values(**to), execution_options={"synchronize_session": "fetch"}
        )
        return bool(done.rowcount)

    def _key(self, user_id: str) -> t.Any:
        """The primary key that *user_id* is the text of, if it is of any."""
        column = self._model.id.type
        try:
            key = column.python_type(user_id)
        except ValueError:
            return None
        if isinstance(column, sa.Integer):
            largest = 2 ** (63 if isinstance(column, sa.BigInteger) else 31)
            # Or the database fails, and with it the transaction.
            if not -largest <= key < largest:
                return None
        # Each has one id: " 1" is nobody's.
        return key if str(key) == user_id else None


_NEEDED: t.Final = ("id", "email", "email_key", "password", "confirmed")


class SQLRecords:
    """Records in a table of SQLite, PostgreSQL or MariaDB. What is over is removed by
    ``flask scopes login purge``.

    :param scopes: which the apps are set up with.
    :param sql: the databases of the project.
    :param bind: which of them.
    :param metadata: what the table is added to, for migrations: that of your models.
    """

    def __init__(
        self,
        scopes: Scopes,
        sql: SQL,
        *,
        bind: str = "",
        metadata: sa.MetaData | None = None,
    ) -> None:
        self._scopes = scopes
        self._connections = Connections(sql, bind)
        self.metadata = metadata if metadata is not None else sa.MetaData()
        self._records = _records_in(self.metadata)

    def create_tables(self) -> None:
        """Make the table, if it is not there: for development and tests. Otherwise, let
        your migrations do it.
        """
        self._connections.create(self.metadata, [self._records])

    def get(self, record_id: str) -> Record | None:
        query = self._records.select().where(self._records.c.id == record_id)
        found = self._connections.read(query)
        return _record(found[0]) if found else None

    def add(self, record: Record) -> bool:
        row = {"id": record.id, "owner": record.owner, "version": record.version}
        row |= _fields(record.data, record.expires)
        if self.get(record.id) is not None:
            return False
        try:
            self._connections.execute(self._records.insert().values(row))
        except IntegrityError:
            # Two at once: the other one has added it.
            return False
        return True

    def swap(self, record: Record, data: Data, expires: float) -> bool:
        records = self._records
        as_read = (records.c.id == record.id) & (records.c.version == record.version)
        row = {**_fields(data, expires), "version": record.version + 1}
        changed = records.update().where(as_read).values(row)
        return self._connections.execute(changed) > 0

    def remove(self, record_ids: c.Collection[str]) -> int:
        these = self._records.c.id.in_(list(record_ids))
        return self._connections.execute(self._records.delete().where(these))

    def of(self, kind: str, owner: str) -> list[Record]:
        records = self._records
        is_kind = records.c.id.startswith(f"{kind}:", autoescape=True)
        query = records.select().where(records.c.owner == owner, is_kind)
        return [_record(each) for each in self._connections.read(query)]

    @contextlib.contextmanager
    def apart(self) -> c.Generator[bool, None, None]:
        if self._connections.is_held():
            yield False
            return
        with self._scopes.unit():
            yield True

    def purge(self, now: float) -> int:
        over = self._records.c.expires <= now
        return self._connections.execute(self._records.delete().where(over))


def _records_in(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        "scopes_login",
        metadata,
        sa.Column("id", sa.String(120), primary_key=True),
        sa.Column("owner", sa.String(255), index=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("expires", sa.Double[float](), nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        **EXACT,
    )


def _account(found: t.Any) -> Account:
    return Account(
        id=str(found.id),
        email=found.email,
        password=found.password,
        is_confirmed=bool(found.confirmed),
    )


def _record(found: sa.RowMapping) -> Record:
    return Record(
        id=found["id"],
        owner=found["owner"],
        data=json.loads(found["data"]),
        expires=found["expires"],
        version=found["version"],
    )


def _fields(data: Data, expires: float) -> dict[str, t.Any]:
    return {"data": json.dumps(dict(data)), "expires": expires}
