"""Accounts and records in MongoDB, with raw PyMongo."""

from __future__ import annotations

import contextlib
import typing as t

from ..extras import brought_by

with brought_by("mongo", "pymongo", "flask_scopes.login.mongo works with PyMongo"):
    import pymongo as pymongo

from bson import ObjectId
from bson.errors import InvalidId
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from ..clock import date_of
from ..mongo import Mongo
from ..mongo.durable import durable
from ..mongo.durable import transaction_with
from ..mongo.transactions import plain
from . import messages
from .records import Record
from .users import Account
from .users import email_key

if t.TYPE_CHECKING:
    import collections.abc as c

    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

    from ..extension import Scopes
    from ..mongo import Document
    from .records import Data

# Behind a kind; and the character that comes after it.
_SEPARATOR, _AFTER = ":", ";"


class MongoUsers:
    """Accounts in a collection, beside what the application keeps of its users there.
    A document has ``email``, ``email_key`` (by which addresses are compared, and which
    is unique), ``password`` and ``confirmed``.

    That index is made by ``flask scopes indexes --create``, or
    ``mongo.create_indexes(users.database)``. Without it, two who register at the same
    moment may get the same address.

    :param mongo: the servers of the project.
    :param database: the name of the database; the one in the address, if empty.
    :param bind: the client that it is reached by.
    :param collection: the name of the collection.
    """

    def __init__(
        self,
        mongo: Mongo,
        database: str = "",
        *,
        bind: str = "",
        collection: str = "users",
    ) -> None:
        indexes = {collection: [IndexModel("email_key", unique=True, sparse=True)]}
        self.database = mongo.database(database, bind=bind, indexes=indexes)
        """The resource of the database."""
        self._name = collection

    def get(self, user_id: str) -> Account | None:
        key = _id(user_id)
        return None if key is None else self._find({"_id": key})

    def find(self, email: str) -> Account | None:
        return self._find({"email_key": email_key(email)})

    def add(self, email: str, password: str | None, **fields: t.Any) -> Account:
        own = {"email": email.strip(), "email_key": email_key(email)}
        # A field that has one of these names is an error, as it is of a model.
        made = dict(**fields, **own, password=password, confirmed=False)
        try:
            self._users.insert_one(made, session=self._session())
        except DuplicateKeyError:
            raise messages.email_taken() from None
        return _account(made)

    def set_password(self, account: Account, password: str) -> bool:
        was = {"password": account.password}
        return self._change(account, was, {"password": password})

    def confirm(self, account: Account) -> bool:
        was = {"email": account.email, "confirmed": {"$ne": True}}
        return self._change(account, was, {"confirmed": True})

    def _find(self, query: Document) -> Account | None:
        found = self._users.find_one(query, session=self._session())
        return None if found is None else _account(found)

    def _change(self, account: Account, was: Document, to: Document) -> bool:
        query = {"_id": _id(account.id), **was}
        done = self._users.update_one(query, {"$set": to}, session=self._session())
        return done.matched_count > 0

    @property
    def _users(self) -> Collection[Document]:
        return durable(self.database(), self._name)

    def _session(self) -> ClientSession | None:
        return transaction_with(self.database())


class MongoRecords:
    """Records in a collection. What is over goes by a TTL index, which ``flask scopes
    indexes --create`` makes, or ``mongo.create_indexes(records.database)``.

    :param scopes: which the apps are set up with.
    :param mongo: the servers of the project.
    :param database: the name of the database; the one in the address, if empty.
    :param bind: the client that it is reached by.
    :param collection: the name of the collection, which is for nothing else.
    """

    def __init__(
        self,
        scopes: Scopes,
        mongo: Mongo,
        database: str = "",
        *,
        bind: str = "",
        collection: str = "login",
    ) -> None:
        self._scopes = scopes
        indexes = [
            IndexModel("ends", expireAfterSeconds=0),
            IndexModel("owner", sparse=True),
        ]
        self.database = mongo.database(
            database, bind=bind, indexes={collection: indexes}
        )
        """The resource of the database."""
        self._name = collection

    def get(self, record_id: str) -> Record | None:
        with plain(self.database().client):
            found = self._records.find_one({"_id": record_id}, session=self._session())
        return None if found is None else _record(found)

    def add(self, record: Record) -> bool:
        made = {"_id": record.id, "owner": record.owner, "version": record.version}
        made |= _fields(record.data, record.expires)
        # Found, if there is one already: then nothing is changed.
        return self._update({"_id": record.id}, {"$setOnInsert": made}, upsert=True)

    def swap(self, record: Record, data: Data, expires: float) -> bool:
        made = {**_fields(data, expires), "version": record.version + 1}
        as_read = {"_id": record.id, "version": record.version}
        return self._update(as_read, {"$set": made})

    def _update(self, query: Document, to: Document, *, upsert: bool = False) -> bool:
        session = self._session()
        with plain(self.database().client):
            try:
                done = self._records.update_one(
                    query, to, upsert=upsert, session=session
                )
            except DuplicateKeyError:
                # Two at once: the other one has added it.
                return False
        return bool(done.upserted_id) if upsert else done.matched_count > 0

    def remove(self, record_ids: c.Collection[str]) -> int:
        query = {"_id": {"$in": list(record_ids)}}
        with plain(self.database().client):
            done = self._records.delete_many(query, session=self._session())
        return done.deleted_count

    def of(self, kind: str, owner: str) -> list[Record]:
        span = {"$gte": kind + _SEPARATOR, "$lt": kind + _AFTER}
        query: Document = {"owner": owner, "_id": span}
        with plain(self.database().client):
            found = self._records.find(query, session=self._session())
            return [_record(each) for each in found]

    @contextlib.contextmanager
    def apart(self) -> c.Generator[bool, None, None]:
        with self._scopes.unit():
            yield True

    def purge(self, now: float) -> int:
        return 0

    @property
    def _records(self) -> Collection[Document]:
        return durable(self.database(), self._name)

    def _session(self) -> ClientSession | None:
        return transaction_with(self.database())


def _id(user_id: str) -> ObjectId | None:
    try:
        return ObjectId(user_id)
    except InvalidId:
        return None


def _account(found: c.Mapping[str, t.Any]) -> Account:
    return Account(
        id=str(found["_id"]),
        email=found["email"],
        password=found.get("password"),
        is_confirmed=bool(found.get("confirmed")),
    )


def _record(found: c.Mapping[str, t.Any]) -> Record:
    names = ("owner", "data", "expires", "version")
    return Record(found["_id"], **{name: found[name] for name in names})


def _fields(data: Data, expires: float) -> dict[str, t.Any]:
    return {"data": dict(data), "expires": expires, "ends": date_of(expires)}
