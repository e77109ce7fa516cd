"""Indexes that are declared beside a database.

They are made by ``flask scopes indexes --create``, or by an explicit call for one
database. Never at import, in ``init_app`` or at a request that happens to be the first:
every process would do it again, and some request would wait for hours.
"""

from __future__ import annotations

import collections.abc as c
import re
import typing as t

import pymongo
from bson.errors import BSONError
from pymongo import IndexModel

from ..errors import SetupError
from ..places import caller
from .index_differences import Index

if t.TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database

    from .clients import Document

Indexes: t.TypeAlias = c.Mapping[str, c.Sequence[IndexModel]]
"""By the name of the collection. An empty sequence: it is to have none."""

_A_DAY: t.Final = 24 * 3600.0

# What a collection can be called, for PyMongo.
_COLLECTION = re.compile(r"(?!\.)(?!.*\.\.)[^$\0]+(?<!\.)", re.DOTALL)


class Declared:
    """What the collections of some databases are to have; lives as long as the
    resource that it was declared with.

    :param databases: called in an app context, when the command runs. For tenants,
        all that exist.
    """

    # (Not a dataclass: its `__init__` would have no file, and be taken for the user's.)
    def __init__(
        self,
        databases: c.Callable[[], c.Iterable[Database[Document]]],
        indexes: Indexes,
    ) -> None:
        self.databases = databases
        self.indexes = indexes
        self.place = caller()
        """Where the user wrote that."""


def checked(indexes: Indexes) -> Indexes:
    """A copy of *indexes*.

    :raises SetupError: they cannot be declared like this.
    """
    fault = _fault(indexes)
    if fault:
        raise _not_indexes(fault)
    return {name: _checked(name, models) for name, models in indexes.items()}


def _fault(given: object) -> str | None:
    """What is wrong with the types."""
    if not isinstance(given, c.Mapping):
        return f"this is a {type(given).__name__}"
    for name, models in t.cast("c.Mapping[object, object]", given).items():
        if not isinstance(name, str) or not _COLLECTION.fullmatch(name):
            return f"{name!r} cannot be the name of a collection"
        if isinstance(models, str) or not isinstance(models, c.Sequence):
            return f"{name!r} has a {type(models).__name__}"
        for model in t.cast("c.Sequence[object]", models):
            if not isinstance(model, IndexModel):
                return f"{name!r} has a {type(model).__name__} in its list"
    return None


def _checked(collection: str, models: c.Sequence[IndexModel]) -> tuple[IndexModel, ...]:
    passed: dict[str, IndexModel] = {}
    for model in models:
        name: object = model.document["name"]
        reason, cure = "", 'name it: IndexModel(..., name="...")'
        if not isinstance(name, str) or not name:
            reason = "its name is no text"
        elif name in passed:
            reason = "it is not the only one of this name"
        elif name == "_id_" or list(model.document["key"].items()) == [("_id", 1)]:
            reason, cure = "every collection has it by itself", "leave it out"
        elif error := _not_storable(model):
            reason, cure = f"MongoDB cannot store it ({error})", "use other values"
        if reason:
            raise _bad_index(collection, name, reason, cure)
        passed[str(name)] = model
    return tuple(passed.values())


def _not_storable(model: IndexModel) -> str | None:
    try:
        Index.of_model(model)
    except (BSONError, TypeError, ValueError, OverflowError) as error:
        return type(error).__name__
    return None


def _not_indexes(what: str) -> SetupError:
    return SetupError(
        "Indexes are declared as a dictionary of lists of IndexModel, by the name of"
        f" the collection; {what}.\n\n"
        f"Declared at {caller()}.\n\n"
        "To fix it, write them like this:\n\n"
        '    indexes={"posts": [IndexModel("slug", unique=True)]}'
    )


def _bad_index(collection: str, name: object, reason: str, cure: str) -> SetupError:
    return SetupError(
        f"The index {name!r} of the collection {collection!r} cannot be declared:"
        f" {reason}.\n\n"
        f"Declared at {caller()}.\n\n"
        f"To fix it, {cure}."
    )


def declared_twice(collection: str, name: str, places: c.Sequence[str]) -> SetupError:
    return SetupError(
        f"The index {name!r} of the collection {collection!r} is declared twice, and"
        " not in the same way.\n\n"
        f"Declared at {' and at '.join(places)}, for the same database.\n\n"
        "To fix it, leave one out, or name one of them:"
        '  IndexModel(..., name="...")'
    )


def create_indexes(database: Database[Document], indexes: Indexes) -> None:
    """Make those of *indexes* that *database* does not have: for a new tenant, say.
    Any number of processes may do so at once.

    :raises PyMongoError: one cannot be made.
    """
    for name, models in indexes.items():
        if models:
            reach(database)
            build(database[name], models)


def reach(database: Database[Document]) -> None:
    """See that its server is there, as patiently as its client is. :func:`build` would
    look for one that is away until the day is over.

    :raises PyMongoError: it is not.
    """
    database.command("ping")


def build(collection: Collection[Document], models: c.Sequence[IndexModel]) -> None:
    """Make *models* in *collection*. One that is there, or is just being made by
    somebody else, is no error: then this waits for it.

    :raises PyMongoError: one cannot be made.
    """
    # An index of a large collection takes hours. The client's `timeoutMS` is meant for
    # requests: the server would stop at that limit, and throw away what it has done.
    # (In a request, its deadline counts all the same, as the outer one.)
    with pymongo.timeout(_A_DAY):
        collection.create_indexes(list(models))
