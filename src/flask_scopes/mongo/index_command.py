"""``flask scopes indexes``: lists the declared indexes, and makes them if told to.

What it prints is data about indexes. An error of the server is quoted only if it is
about the index itself: others quote documents, and this is read in logs of deployments.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

import bson.json_util
import click
import flask
from flask.cli import with_appcontext
from pymongo.errors import ConnectionFailure
from pymongo.errors import OperationFailure
from pymongo.errors import PyMongoError

from .. import commands
from ..errors import ScopesError
from .index_differences import Index
from .index_differences import Row
from .index_differences import Status
from .index_differences import compare
from .index_differences import shown
from .indexes import Declared
from .indexes import build
from .indexes import declared_twice
from .indexes import reach

if t.TYPE_CHECKING:
    from pymongo import IndexModel
    from pymongo.collection import Collection
    from pymongo.database import Database

    from .clients import Document

_SOURCES: t.Final = "scopes.indexes"
"""What the app keeps ours under, in its ``extensions``."""

_INDEX_NOT_FOUND: t.Final = 27
_DUPLICATE: t.Final = 11000
# Bad values and types, specifications that conflict or are not possible, views, names.
_ABOUT_THE_INDEX: t.Final = (2, 9, 14, 67, 72, 73, 85, 86, 166, 171, 197)

Group: t.TypeAlias = "tuple[Collection[Document], list[Row]]"
Source: t.TypeAlias = "tuple[IndexModel, str]"
"""What was declared, and where."""


def add_command(app: flask.Flask, declared: c.Sequence[Declared]) -> None:
    """Let ``flask scopes indexes`` of *app* look after what is *declared*, also later:
    it may be a list that grows. Other lists of the same app stay.
    """
    sources = app.extensions.setdefault(_SOURCES, [])
    sources.append(declared)
    commands.group(app).add_command(indexes)


@click.command("indexes")
@click.option("--create", is_flag=True, help="Make what is missing.")
@click.option(
    "--drop-unknown",
    is_flag=True,
    help="Drop what nobody declared, in collections for which something is declared.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the same as data.")
@with_appcontext
def indexes(create: bool, drop_unknown: bool, as_json: bool) -> None:
    """List the indexes of MongoDB that are declared, and those that are there.

    Changes nothing unless it is told to. What differs from its declaration stays as it
    is in any case. The status is 1 if not everything could be done, or something
    differs, and was to be created.
    """
    done: list[Group] = []
    for collection, rows in _found():
        widths = _widths(rows)
        if rows and not as_json:
            click.echo(shown(collection.full_name))
        for row in rows:
            if create and row.status == "missing":
                _create(collection, row)
            elif drop_unknown and row.status == "unknown":
                _drop(collection, row)
            if not as_json:
                # One by one, as each may take hours.
                click.echo(_line(row, *widths))
        done.append((collection, rows))
    everything = [row for _, rows in done for row in rows]
    if as_json:
        data = [_data(collection, row) for collection, rows in done for row in rows]
        click.echo(bson.json_util.dumps(data, indent=2))
    else:
        _conclude(everything)
    differs = any(row.status == "differs" for row in everything)
    if (create and differs) or any(row.error for row in everything):
        raise click.exceptions.Exit(1)


def _found() -> c.Iterator[Group]:
    """What is declared, and what is there, for one collection after the other."""
    for database, wanted in _databases().items():
        known: dict[str, Document] = {}
        with _explained(database.name):
            names = {"name": {"$in": list(wanted)}}
            for each in database.list_collections(filter=names):
                known[each["name"]] = dict(each)
        for name, sources in wanted.items():
            about = known.get(name, {"type": "none"})
            documents: list[c.Mapping[str, t.Any]] = []
            # A view has no indexes, and its error would be in the way of others.
            if about["type"] not in ("none", "view"):
                with _explained(database.name):
                    documents = _list(database[name])
            collation: Document = about.get("options", {}).get("collation", {})
            models = [model for model, _ in sources.values()]
            yield database[name], compare(models, documents, collation)


def _databases() -> dict[Database[Document], dict[str, dict[str, Source]]]:
    """All that is declared, by database, collection and name. (PyMongo knows that two
    clients of one server mean the same: else the indexes of one would be unknown to
    the other, and dropped.)
    """
    merged: dict[Database[Document], dict[str, dict[str, Source]]] = {}
    sources: list[c.Sequence[Declared]]
    sources = flask.current_app.extensions.get(_SOURCES, [])
    with _explained():
        for declared in [each for source in sources for each in source]:
            for database in declared.databases():
                collections = merged.setdefault(database, {})
                for name, models in declared.indexes.items():
                    _merge(name, collections.setdefault(name, {}), models, declared)
    return merged


def _merge(
    collection: str,
    known: dict[str, Source],
    models: c.Iterable[IndexModel],
    declared: Declared,
) -> None:
    """Add *models* to those that are *known* for *collection*, by name.

    :raises SetupError: there is another of its name.
    """
    for model in models:
        index = Index.of_model(model)
        first, place = known.setdefault(index.name, (model, declared.place))
        if Index.of_model(first) != index:
            places = (place, declared.place)
            raise declared_twice(collection, index.name, places)


@contextlib.contextmanager
def _explained(database: str = "") -> c.Generator[None]:
    """Ends the command with what an error means; not with where it came from, which
    may be told with an address.
    """
    try:
        yield
    except ScopesError as error:
        raise click.ClickException(str(error)) from error
    except PyMongoError as error:
        raise click.ClickException(_untold(error, database)) from error


def _untold(error: PyMongoError, database: str) -> str:
    cure = "give its user the role dbAdmin"
    if isinstance(error, ConnectionFailure) or error.timeout:
        cure = "see that the server runs, and that the app's config says where"
    elif not isinstance(error, OperationFailure):
        cure = "look at the app's config, and at what is declared"
    where = f"the database {database!r}" if database else "the databases"
    return (
        f"MongoDB does not tell the indexes: {_reason(error)}.\n\n"
        f"Asked for {where}, by flask scopes indexes.\n\n"
        f"To fix it, {cure}."
    )


def _list(collection: Collection[Document]) -> list[c.Mapping[str, t.Any]]:
    listing = {"listIndexes": collection.name, "includeBuildUUIDs": True}
    try:
        # Otherwise it does not say which of them are only just being made, and a
        # second process with --create would be through before they are there.
        return list(collection.database.cursor_command(listing))
    except OperationFailure:
        # With a strict version of the API, the server does not know the question.
        return list(collection.list_indexes())


def _create(collection: Collection[Document], row: Row) -> None:
    assert row.model is not None
    with _explained(collection.database.name):
        reach(collection.database)
    try:
        build(collection, [row.model])
    except PyMongoError as error:
        row.error = _reason(error)
    else:
        row.status = "created"
        row.remark = ""


def _drop(collection: Collection[Document], row: Row) -> None:
    try:
        collection.drop_index(row.index.name)
    except PyMongoError as error:
        # Somebody else was faster.
        if getattr(error, "code", None) != _INDEX_NOT_FOUND:
            row.error = _reason(error)
            return
    row.status = "dropped"


def _reason(error: PyMongoError) -> str:
    """What *error* says, without what is in documents, and without addresses."""
    if not isinstance(error, OperationFailure):
        return type(error).__name__
    if error.code == _DUPLICATE:
        return "several documents have the same value"
    details = error.details or {}
    if error.code in _ABOUT_THE_INDEX:
        cause = str(details.get("errmsg")).rpartition(":: caused by ::")[2]
        return shown(" ".join(cause.split()))
    name = details.get("codeName", f"error {error.code}")
    return f"{name}; what it is about is in the server's log"


def _widths(rows: c.Iterable[Row]) -> tuple[int, int]:
    names = [len(shown(row.index.name)) for row in rows]
    return max(names, default=0), max([len(str(row.index)) for row in rows], default=0)


def _line(row: Row, name: int, text: int) -> str:
    remark = row.remark
    if row.error:
        verb = "dropped" if row.status == "unknown" else "created"
        remark = f"cannot be {verb}: {row.error}"
    columns = f"{row.status:<8}  {shown(row.index.name):<{name}}  {row.index!s:<{text}}"
    return f"  {columns}  {remark}".rstrip()


def _data(collection: Collection[Document], row: Row) -> Document:
    told: Document = {
        "database": collection.database.name,
        "collection": collection.name,
        "name": row.index.name,
        "keys": [list(key) for key in row.index.keys],
        "options": row.index.options,
        "status": row.status,
    }
    if row.remark:
        told["remark"] = row.remark
    if row.error:
        told["error"] = row.error
    return told


def _conclude(rows: c.Sequence[Row]) -> None:
    if any(row.status == "differs" for row in rows):
        click.echo("To change what differs, drop it, then run this with --create.")
    statuses = [row.status for row in rows]
    counts = [
        f"{statuses.count(each)} {each}"
        for each in t.get_args(Status)
        if each in statuses
    ]
    noun = "index" if len(rows) == 1 else "indexes"
    click.echo(": ".join([f"{len(rows)} {noun}", *filter(None, [", ".join(counts)])]))
