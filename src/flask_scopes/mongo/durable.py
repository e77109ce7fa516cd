"""Collections of our own beside those of an app: read and written so that what was
ended on one server is not there on another.
"""

from __future__ import annotations

import typing as t

from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.write_concern import WriteConcern

from ..lookup import objects_in_progress
from ..reading import writes_are_forbidden

if t.TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database

    from .clients import Document

_MAJORITY: t.Final = WriteConcern("majority")


def durable(database: Database[Document], name: str) -> Collection[Document]:
    """The collection *name*, whatever its client does otherwise: one who was signed out
    on one server must not be signed in on another, nor come back when that takes over.
    """
    return database.get_collection(
        name,
        read_preference=ReadPreference.PRIMARY,
        write_concern=_MAJORITY,
    )


def transaction_with(database: Database[Document]) -> ClientSession | None:
    """The session of this unit with the client of *database*, if it has one that is in
    a transaction.
    """
    if writes_are_forbidden():
        return None
    for each in objects_in_progress():
        if isinstance(each, ClientSession) and each.client is database.client:
            return each if each.in_transaction else None
    return None
