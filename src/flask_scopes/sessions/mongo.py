"""Sessions in MongoDB.

Everything of a session has an ``_id`` that begins with that of the session, so that it
is found by the index that every collection has. A value is a document of its own, and
two transactions that change different values do not meet.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from ..extras import brought_by

with brought_by("mongo", "pymongo", "flask_scopes.sessions.mongo works with PyMongo"):
    import pymongo

import pymongo.errors
from pymongo import DeleteMany
from pymongo import IndexModel
from pymongo import InsertOne
from pymongo import UpdateOne

from ..clock import date_of
from ..mongo import Mongo
from ..mongo.durable import durable
from ..mongo.durable import transaction_with
from ..mongo.transactions import plain
from .records import Change
from .records import Fields
from .records import Head
from .records import Row
from .records import Stored

if t.TYPE_CHECKING:
    from pymongo.client_session import ClientSession
    from pymongo.collection import Collection

    from ..mongo.clients import Document

# Behind the id of a session; and the character that comes after it.
_SEPARATOR, _AFTER = ":", ";"


class MongoStore:
    """Sessions in a collection; connects when it is first asked.

    What is over goes by a TTL index, which ``flask scopes indexes --create`` makes, or
    ``mongo.create_indexes(store.database)``.

    :param mongo: the servers of the project.
    :param database: the name of the database; the one in the address, if empty.
    :param bind: the client that it is reached by.
    :param collection: the name of the collection, which is for nothing else.
    """

    failures = (
        pymongo.errors.ConnectionFailure,
        pymongo.errors.ExecutionTimeout,
        pymongo.errors.WTimeoutError,
    )

    def __init__(
        self,
        mongo: Mongo,
        database: str = "",
        *,
        bind: str = "",
        collection: str = "sessions",
    ) -> None:
        indexes = [
            IndexModel("ends", expireAfterSeconds=0),
            IndexModel("user", sparse=True),
        ]
        self.database = mongo.database(
            database, bind=bind, indexes={collection: indexes}
        )
        """The resource of the database."""
        self._name = collection

    def load(self, session_id: str) -> Stored | None:
        head: Head | None = None
        rows: dict[str, Row] = {}
        collection = self._collection
        with plain(collection.database.client):
            for each in collection.find(_all_of(session_id)):
                name = each["_id"].partition(_SEPARATOR)[2]
                if name:
                    rows[name[1:]] = Row(each["text"], each["generation"])
                else:
                    head = _head(session_id, each)
        return None if head is None else Stored(head, rows)

    def add(self, head: Head, texts: c.Mapping[str, str]) -> None:
        fields = {name: getattr(head, name) for name in _FIELDS}
        ends = date_of(head.expires)
        documents = [{"_id": head.id + _SEPARATOR, **fields, "ends": ends}]
        changes = {name: Change(None, text) for name, text in texts.items()}
        writes = [InsertOne[t.Any](each) for each in documents]
        writes += _writes(head, 0, changes)
        self._bulk(writes)

    def write(
        self,
        head: Head,
        generation: int,
        changes: c.Mapping[str, Change],
        *,
        check: bool,
    ) -> bool:
        if not check:
            self._bulk(_writes(head, generation, changes))
            return True
        done: list[str] = []
        for name in sorted(changes):
            if not self._replace(head, generation, name, changes[name]):
                # Without a transaction, others may have seen it for a moment.
                for each in done:
                    old, new = changes[each]
                    self._replace(head, generation, each, Change(new, old))
                return False
            done.append(name)
        return True

    def _replace(self, head: Head, generation: int, name: str, change: Change) -> bool:
        """Change a value, if it is what it was."""
        key, session = _key(head.id, name), self._session()
        old, collection = {"_id": key, "text": change.old}, self._collection
        with plain(collection.database.client):
            if change.new is None:
                done = collection.delete_one(old, session=session)
                return done.deleted_count > 0
            new = _value(head, generation, change.new)
            if change.old is not None:
                fields = {"$set": new}
                changed = collection.update_one(old, fields, session=session)
                return changed.matched_count > 0
            # Found, if somebody has put one there: then nothing is changed.
            once = {"$setOnInsert": new}
            made = collection.update_one(
                {"_id": key}, once, upsert=True, session=session
            )
            return made.upserted_id is not None

    def update(self, session_id: str, digest: str, fields: Fields) -> bool:
        if "expires" in fields:
            fields = {**fields, "ends": date_of(fields["expires"])}
        key = {"_id": session_id + _SEPARATOR, "digest": digest}
        collection = self._collection
        with plain(collection.database.client):
            found = collection.update_one(
                key, {"$set": fields}, session=self._session()
            )
            if "digest" in fields and not fields["digest"]:
                # Its values need not wait for the end of its lifetime.
                end = {"$set": {"ends": fields["ends"]}}
                collection.update_many(_all_of(session_id), end)
        return found.matched_count > 0

    def remove(self, session_ids: c.Collection[str]) -> int:
        heads = {"_id": {"$in": [each + _SEPARATOR for each in session_ids]}}
        collection = self._collection
        with plain(collection.database.client):
            # First: what has no head is not read any more.
            count = collection.delete_many(heads).deleted_count
            rest = [DeleteMany(_all_of(each)) for each in session_ids]
            if rest:
                collection.bulk_write(rest, ordered=False)
        return count

    def of(self, user: str) -> list[Head]:
        collection = self._collection
        with plain(collection.database.client):
            found = list(collection.find({"user": user}))
        return [_head(each["_id"].rstrip(_SEPARATOR), each) for each in found]

    def joins(self) -> bool:
        return self._session() is not None

    def purge(self, now: float) -> int:
        return 0

    @property
    def _collection(self) -> Collection[Document]:
        return durable(self.database(), self._name)

    def _session(self) -> ClientSession | None:
        return transaction_with(self.database())

    def _bulk(self, writes: c.Sequence[t.Any]) -> None:
        if not writes:
            return
        session, collection = self._session(), self._collection
        with plain(collection.database.client):
            collection.bulk_write(writes, session=session)


_FIELDS: t.Final = tuple(name for name in Head.__slots__ if name != "id")


def _head(session_id: str, found: c.Mapping[str, t.Any]) -> Head:
    return Head(id=session_id, **{name: found[name] for name in _FIELDS})


def _key(session_id: str, name: str) -> str:
    # With one more, as a name may be empty, and that would be the head.
    return f"{session_id}{_SEPARATOR}{_SEPARATOR}{name}"


def _all_of(session_id: str) -> dict[str, t.Any]:
    return {"_id": {"$gte": session_id + _SEPARATOR, "$lt": session_id + _AFTER}}


def _value(head: Head, generation: int, text: str) -> dict[str, t.Any]:
    # Its head goes earlier if it is not used; without that it is not read.
    return {"text": text, "generation": generation, "ends": date_of(head.limit)}


def _writes(
    head: Head, generation: int, changes: c.Mapping[str, Change]
) -> list[t.Any]:
    writes: list[t.Any] = []
    # In one order for all, so that no two wait for one another.
    for name in sorted(changes):
        key, text = {"_id": _key(head.id, name)}, changes[name].new
        if text is None:
            writes.append(DeleteMany(key))
        else:
            fields = {"$set": _value(head, generation, text)}
            writes.append(UpdateOne(key, fields, upsert=True))
    return writes
