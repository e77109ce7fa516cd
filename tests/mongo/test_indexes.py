"""Declared indexes, and ``flask scopes indexes``, with a real MongoDB."""

from __future__ import annotations

import collections.abc as c
import contextlib
import datetime
import gc
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import typing as t
import uuid
import weakref
from pathlib import Path

import click
import click.testing
import flask
import pytest
from pymongo import IndexModel
from pymongo import MongoClient
from pymongo.collation import Collation
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.errors import PyMongoError
from pymongo.monitoring import CommandListener
from pymongo.server_api import ServerApi

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import commands
from flask_scopes.mongo import Mongo
from flask_scopes.mongo.index_command import add_command
from flask_scopes.mongo.indexes import Declared
from flask_scopes.mongo.indexes import Indexes
from flask_scopes.mongo.indexes import checked
from flask_scopes.mongo.indexes import create_indexes

from .replica_set import Member
from .replica_set import ReplicaSet
from .replica_set import standalone
from .replica_set import until

pytestmark = pytest.mark.mongo

Rows = dict[str, t.Any]
SECONDS = 30.0
"""How long to wait for what must come."""
LOGGED = "what it is about is in the server's log"


@pytest.fixture
def database(mongo_uri: str) -> c.Iterator[Database[Rows]]:
    """One of the test's own."""
    with own_database(mongo_uri) as database:
        yield database


@contextlib.contextmanager
def own_database(uri: str, **options: t.Any) -> c.Generator[Database[Rows]]:
    with MongoClient[Rows](uri, **options) as client:
        database = client[f"indexes_{secrets.token_hex(4)}"]
        yield database
        client.drop_database(database)


def app_with(*declared: Declared) -> flask.Flask:
    app = flask.Flask("shop")
    add_command(app, list(declared))
    return app


def for_database(database: Database[Rows], indexes: Indexes) -> Declared:
    return Declared(lambda: [database], checked(indexes))


def app_for(database: Database[Rows], indexes: Indexes) -> flask.Flask:
    return app_with(for_database(database, indexes))


def run(app: flask.Flask, *arguments: str) -> click.testing.Result:
    return app.test_cli_runner().invoke(args=["scopes", "indexes", *arguments])


def names(database: Database[Rows], collection: str) -> list[str]:
    return [index["name"] for index in database[collection].list_indexes()]


def told(app: flask.Flask, *arguments: str) -> dict[str, str]:
    """The status of each index."""
    rows = json.loads(run(app, *arguments, "--json").stdout)
    return {row["name"]: row["status"] for row in rows}


# ---- What is listed --------------------------------------------------------------


def test_the_command_lists_and_changes_nothing(database: Database[Rows]) -> None:
    database.posts.create_index("slug", unique=True)
    database.posts.create_index("old")
    database.posts.create_index("email")
    database.people.create_index("born")
    app = app_for(
        database,
        {
            "posts": [
                IndexModel("slug", unique=True),
                IndexModel([("written", -1), ("author", 1)]),
                IndexModel("email", unique=True),
            ],
            "notes": [IndexModel([("text", "text")])],
            "people": [IndexModel("born")],
            "tags": [],
        },
    )
    result = run(app)
    assert result.exit_code == 0
    assert result.output == (
        f"{database.name}.posts\n"
        "  ok        slug_1               slug: 1, unique\n"
        "  missing   written_-1_author_1  written: -1, author: 1\n"
        "  differs   email_1              email: 1              "
        "  declared with unique, is without\n"
        "  unknown   old_1                old: 1\n"
        f"{database.name}.notes\n"
        "  missing   text_text  text: text\n"
        f"{database.name}.people\n"
        "  ok        born_1  born: 1\n"
        "To change what differs, drop it, then run this with --create.\n"
        "6 indexes: 2 ok, 2 missing, 1 differs, 1 unknown\n"
    )
    assert names(database, "posts") == ["_id_", "slug_1", "old_1", "email_1"]
    assert "notes" not in database.list_collection_names()


def test_without_declared_indexes_there_is_nothing_to_list() -> None:
    result = run(app_with())
    assert (result.exit_code, result.output) == (0, "0 indexes\n")


def test_the_same_as_data(database: Database[Rows]) -> None:
    database.posts.create_index("old", expireAfterSeconds=60)
    database.posts.create_index("slug")
    database.posts.insert_many([{"written": 1}, {"written": 1}])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    since = IndexModel("since", partialFilterExpression={"since": {"$gt": day}})
    written = IndexModel([("written", -1), ("day", 1)], unique=True)
    app = app_for(
        database, {"posts": [IndexModel("slug", unique=True), written, since]}
    )
    result = run(app, "--create", "--json")
    assert result.exit_code == 1
    posts = {"database": database.name, "collection": "posts"}
    later = {"partialFilterExpression": {"since": {"$gt": {"$date": DATE}}}}
    assert json.loads(result.stdout) == [
        {
            **posts,
            "name": "slug_1",
            "keys": [["slug", 1]],
            "options": {},
            "status": "differs",
            "remark": "declared with unique, is without",
        },
        {
            **posts,
            "name": "written_-1_day_1",
            "keys": [["written", -1], ["day", 1]],
            "options": {"unique": True},
            "status": "missing",
            "error": "several documents have the same value",
        },
        {
            **posts,
            "name": "since_1",
            "keys": [["since", 1]],
            "options": later,
            "status": "created",
        },
        {
            **posts,
            "name": "old_1",
            "keys": [["old", 1]],
            "options": {"expireAfterSeconds": 60},
            "status": "unknown",
        },
    ]


DATE = "2026-01-01T00:00:00Z"


def test_what_nobody_declared_is_told_as_it_would_be_declared(
    database: Database[Rows],
) -> None:
    shell = {"key": {"a": 1.0, "b": -1.0}, "name": "ab"}
    database.command("createIndexes", "posts", indexes=[shell])
    database.posts.create_index([("place", "2dsphere")], name="near")
    database.posts.create_index([("title", "text"), ("n", 1)], name="search")
    database.posts.create_index("x", collation=Collation("en", strength=2), name="x")
    result = run(app_for(database, {"posts": []}))
    assert result.output.splitlines()[1:-1] == [
        "  unknown   ab      a: 1, b: -1",
        "  unknown   near    place: 2dsphere",
        "  unknown   search  title: text, n: 1",
        '  unknown   x       x: 1, collation: {"locale": "en", "strength": 2}',
    ]


def test_odd_names_stay_in_their_line(database: Database[Rows]) -> None:
    database["a\nb"].create_index("c\nd", name="e\x1b[31m\tf")
    result = run(app_for(database, {"a\nb": []}))
    assert result.output == (
        f"'{database.name}.a\\nb'\n"
        "  unknown   'e\\x1b[31m\\tf'  'c\\nd': 1\n"
        "1 index: 1 unknown\n"
    )


# ---- What was created does not differ --------------------------------------------

KINDS: dict[str, tuple[Rows, IndexModel]] = {
    "plain": ({}, IndexModel("x")),
    "compound": ({}, IndexModel([("b", 1), ("a", -1), ("c.d", 1)])),
    "unique": ({}, IndexModel("x", unique=True)),
    "sparse": ({}, IndexModel("x", sparse=True)),
    "flags that are off": ({}, IndexModel("x", unique=False, hidden=False)),
    "hidden": ({}, IndexModel("x", hidden=True)),
    "number as a flag": ({}, IndexModel("x", unique=1)),
    "expires": ({}, IndexModel("x", expireAfterSeconds=3600)),
    "expires at once": ({}, IndexModel("x", expireAfterSeconds=0)),
    "partial": (
        {},
        IndexModel(
            "x",
            partialFilterExpression={
                "state": True,
                "at": {"$gt": datetime.datetime(2026, 1, 1, 1, 1, 1, 1234)},
                "$and": [{"n": {"$gte": 1}}, {"m": {"$exists": True}}],
            },
        ),
    ),
    "collation": ({}, IndexModel("x", collation=Collation("en", strength=2))),
    "collation of French": ({}, IndexModel("x", collation={"locale": "fr_CA"})),
    "simple collation": ({}, IndexModel("x", collation=Collation("simple"))),
    "default collation": ({"collation": {"locale": "de"}}, IndexModel("x")),
    "simple, not the default": (
        {"collation": {"locale": "de"}},
        IndexModel("x", collation=Collation("simple")),
    ),
    "other than the default": (
        {"collation": {"locale": "de"}},
        IndexModel("x", collation=Collation("fr")),
    ),
    "text": ({}, IndexModel([("title", "text"), ("body", "text")])),
    "text and others": (
        {},
        IndexModel(
            [("a", 1), ("title", "text"), ("body", "text"), ("b", -1)],
            weights={"body": 10, "title": 1, "tags": 3},
            default_language="german",
            language_override="idiom",
        ),
    ),
    "text with all defaults": (
        {},
        IndexModel([("x", "text")], weights={"x": 1}, default_language="english"),
    ),
    "text everywhere": ({}, IndexModel([("$**", "text")])),
    "2dsphere": ({}, IndexModel([("place", "2dsphere"), ("x", 1)])),
    "2d": ({}, IndexModel([("place", "2d")])),
    "2d in bounds": ({}, IndexModel([("place", "2d")], min=-10, max=10, bits=20)),
    "2d with all defaults": ({}, IndexModel([("place", "2d")], bits=26, max=180)),
    "hashed": ({}, IndexModel([("x", "hashed")])),
    "hashed id": ({}, IndexModel([("_id", "hashed")])),
    "wildcard": ({}, IndexModel("$**", wildcardProjection={"a.b": 1, "_id": 0})),
    "wildcard below": ({}, IndexModel("sub.$**")),
    "in the background": ({}, IndexModel("x", background=True)),
    "old version": ({}, IndexModel("x", v=1)),
    "storage engine": (
        {},
        IndexModel(
            "x",
            storageEngine={
                "wiredTiger": {"configString": "prefix_compression=false"},
            },
        ),
    ),
    "of a capped collection": ({"capped": True, "size": 4096}, IndexModel("x")),
    "of a time series": (
        {"timeseries": {"timeField": "at", "metaField": "of"}},
        IndexModel([("of.sensor", 1), ("at", -1)]),
    ),
    "of a clustered collection": (
        {"clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "mine"}},
        IndexModel("x"),
    ),
}


@pytest.mark.parametrize(("options", "model"), KINDS.values(), ids=KINDS)
def test_what_was_created_is_ok_and_there_for_good(
    database: Database[Rows], options: Rows, model: IndexModel
) -> None:
    if options:
        database.create_collection("kinds", **options)
    app = app_for(database, {"kinds": [model]})
    for arguments, expected in [
        ((), "missing"),
        (("--create",), "created"),
        ((), "ok"),
        (("--create", "--drop-unknown"), "ok"),
    ]:
        result = run(app, *arguments)
        assert result.exit_code == 0
        lines = result.output.splitlines()
        assert lines[1].split()[:2] == [expected, model.document["name"]]
        assert lines[2:] == [f"1 index: 1 {expected}"]
    assert model.document["name"] in names(database, "kinds")


def test_what_a_shell_has_made_is_ok_as_well(database: Database[Rows]) -> None:
    both: Rows = {"key": {"a": 1.0, "b": -1.0}, "name": "ab"}
    some: Rows = {
        "key": {"c": 1.0},
        "name": "c",
        "expireAfterSeconds": 5.0,
        "partialFilterExpression": {"n": 1.0},
    }
    database.command("createIndexes", "posts", indexes=[both, some])
    models = [
        IndexModel([("a", 1), ("b", -1)], name="ab"),
        IndexModel(
            "c", name="c", expireAfterSeconds=5, partialFilterExpression={"n": 1}
        ),
    ]
    result = run(app_for(database, {"posts": models}))
    assert "  ok        ab  a: 1, b: -1\n" in result.output
    assert "2 indexes: 2 ok\n" in result.output


# ---- What differs ----------------------------------------------------------------

DIFFERENCES = {
    "unique": (IndexModel("x", unique=True), "declared without unique, is with"),
    "sparse": (IndexModel("x", sparse=True), "declared without sparse, is with"),
    "hidden": (IndexModel("x", hidden=True), "declared without hidden, is with"),
    "name": (IndexModel("x", name="other"), "declared as x_1"),
    "keys": (IndexModel("y", name="x_1"), "declared for x: 1"),
    "direction": (IndexModel([("x", -1)], name="x_1"), "declared for x: 1"),
    "expires": (
        IndexModel("x", expireAfterSeconds=0),
        "declared without expireAfterSeconds, is with expireAfterSeconds: 0",
    ),
    "collation": (
        IndexModel("x", collation=Collation("en", strength=2)),
        "declared without collation, is with collation:"
        ' {"locale": "en", "strength": 2}',
    ),
    "two": (
        IndexModel("x", unique=True, sparse=True, name="other"),
        "declared as x_1; declared without unique, is with; declared without sparse,"
        " is with",
    ),
}


@pytest.mark.parametrize(("there", "remark"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_differs_is_told_and_never_changed(
    database: Database[Rows], there: IndexModel, remark: str
) -> None:
    database.posts.create_indexes([there])
    before = list(database.posts.list_indexes())
    app = app_for(database, {"posts": [IndexModel("x")]})
    for arguments, status in [
        ((), 0),
        (("--drop-unknown",), 0),
        (("--create",), 1),
        (("--create", "--drop-unknown"), 1),
    ]:
        result = run(app, *arguments)
        lines = result.output.splitlines()
        assert result.exit_code == status
        assert lines[1].startswith(f"  differs   {there.document['name']}  ")
        assert lines[1].endswith(f"  {remark}")
        assert lines[2].startswith("To change what differs, drop it, then run")
        assert lines[3:] == ["1 index: 1 differs"]
    assert list(database.posts.list_indexes()) == before


PAIRS: dict[str, tuple[Rows, Rows, str]] = {
    "seconds": (
        {"expireAfterSeconds": 60},
        {"expireAfterSeconds": 3600},
        "declared with expireAfterSeconds: 60, is with expireAfterSeconds: 3600",
    ),
    "filter": (
        {"partialFilterExpression": {"open": True}},
        {"partialFilterExpression": {"open": 1}},
        'declared with partialFilterExpression: {"open": true}, is with'
        ' partialFilterExpression: {"open": 1}',
    ),
    "filter with a list": (
        {"partialFilterExpression": {"$and": [{"open": True}]}},
        {"partialFilterExpression": {"$and": [{"open": 1}]}},
        'declared with partialFilterExpression: {"$and": [{"open": true}]}, is with'
        ' partialFilterExpression: {"$and": [{"open": 1}]}',
    ),
    "no filter": (
        {"partialFilterExpression": {"open": True}},
        {},
        'declared with partialFilterExpression: {"open": true}, is without',
    ),
    "strength": (
        {"collation": Collation("en", strength=2)},
        {"collation": Collation("en", strength=1)},
        'declared with collation: {"locale": "en", "strength": 2}, is with'
        ' collation: {"locale": "en", "strength": 1}',
    ),
    "no collation": (
        {"collation": Collation("en")},
        {},
        'declared with collation: {"locale": "en"}, is without',
    ),
    "simple collation": (
        {"collation": Collation("simple")},
        {"collation": Collation("en")},
        'declared with collation: {"locale": "simple"}, is with'
        ' collation: {"locale": "en"}',
    ),
}


@pytest.mark.parametrize(("declared", "there", "remark"), PAIRS.values(), ids=PAIRS)
def test_options_that_differ_are_told(
    database: Database[Rows], declared: Rows, there: Rows, remark: str
) -> None:
    database.posts.create_index("x", **there)
    result = run(app_for(database, {"posts": [IndexModel("x", **declared)]}))
    assert result.output.splitlines()[1].endswith(f"  {remark}")


def test_the_default_collation_of_a_collection_is_wanted(
    database: Database[Rows],
) -> None:
    database.create_collection("posts", collation={"locale": "de"})
    database.posts.create_index("x", collation=Collation("fr"))
    result = run(app_for(database, {"posts": [IndexModel("x")]}))
    assert result.output.splitlines()[1].endswith(
        'declared with collation: {"locale": "de"}, is with collation: {"locale": "fr"}'
    )


SPECIAL = {
    "projection": (
        IndexModel("$**", wildcardProjection={"a": 1}),
        IndexModel("$**", wildcardProjection={"b": 1}),
        'declared with wildcardProjection: {"a": 1}, is with'
        ' wildcardProjection: {"b": 1}',
    ),
    "no projection": (
        IndexModel("$**"),
        IndexModel("$**", wildcardProjection={"b": 1}),
        'declared without wildcardProjection, is with wildcardProjection: {"b": 1}',
    ),
    "no filter": (
        IndexModel("x"),
        IndexModel("x", partialFilterExpression={"open": True}),
        "declared without partialFilterExpression, is with"
        ' partialFilterExpression: {"open": true}',
    ),
    "no bounds": (
        IndexModel([("x", "2d")]),
        IndexModel([("x", "2d")], min=-10, max=10, bits=20),
        "declared without bits, is with bits: 20; declared without min, is with"
        " min: -10.0; declared without max, is with max: 10.0",
    ),
    "bounds": (
        IndexModel([("x", "2d")], min=-10),
        IndexModel([("x", "2d")]),
        "declared with min: -10, is without",
    ),
    "fields of text": (
        IndexModel([("title", "text"), ("body", "text")], name="search"),
        IndexModel([("title", "text")], name="search"),
        "declared for body: text, title: text",
    ),
    "other text": (
        IndexModel([("title", "text"), ("body", "text")]),
        IndexModel([("tags", "text")]),
        "declared as title_text_body_text; declared for body: text, title: text",
    ),
    "weights": (
        IndexModel([("title", "text")], weights={"title": 5}),
        IndexModel([("title", "text")]),
        'declared with weights: {"title": 5}, is without',
    ),
    "language": (
        IndexModel([("title", "text")]),
        IndexModel([("title", "text")], default_language="none"),
        'declared without default_language, is with default_language: "none"',
    ),
    "storage engine": (
        IndexModel("x"),
        IndexModel("x", storageEngine={"wiredTiger": {}}),
        'declared without storageEngine, is with storageEngine: {"wiredTiger": {}}',
    ),
}


@pytest.mark.parametrize(("declared", "there", "remark"), SPECIAL.values(), ids=SPECIAL)
def test_special_indexes_that_differ_are_told(
    database: Database[Rows], declared: IndexModel, there: IndexModel, remark: str
) -> None:
    database.posts.create_indexes([there])
    result = run(app_for(database, {"posts": [declared]}))
    line = result.output.splitlines()[1]
    assert line.startswith(f"  differs   {there.document['name']}")
    assert line.endswith(f"  {remark}")


def test_of_several_with_the_same_keys_each_has_its_own(
    database: Database[Rows],
) -> None:
    some: Rows = {"partialFilterExpression": {"open": True}}
    database.posts.create_index("x", name="plain")
    database.posts.create_index("x", name="renamed", unique=True)
    database.posts.create_index("x", name="some", **some)
    models = [
        IndexModel("x", name="only", unique=True),
        IndexModel("x", name="some", **some),
        IndexModel("x", name="new", sparse=True),
    ]
    result = run(app_for(database, {"posts": models}))
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[1:4] == [
        "differs renamed x: 1, unique declared as only",
        'ok some x: 1, partialFilterExpression: {"open": true}',
        "differs plain x: 1 declared as new; declared with sparse, is without",
    ]


# ---- What is created and dropped -------------------------------------------------


def test_only_what_nobody_declared_is_dropped(database: Database[Rows]) -> None:
    for collection in ("posts", "tags", "private"):
        database[collection].create_index("old")
    database.create_collection(
        "cluster",
        clusteredIndex={"key": {"_id": 1}, "unique": True, "name": "clustered"},
    )
    database.posts.create_index("kept")
    database.posts.create_index([("_id", "hashed")])
    models = [IndexModel("kept"), IndexModel("new")]
    app = app_for(database, {"posts": models, "tags": [], "cluster": []})
    result = run(app, "--drop-unknown")
    assert result.exit_code == 0
    assert result.output == (
        f"{database.name}.posts\n"
        "  ok        kept_1      kept: 1\n"
        "  missing   new_1       new: 1\n"
        "  dropped   old_1       old: 1\n"
        "  dropped   _id_hashed  _id: hashed\n"
        f"{database.name}.tags\n"
        "  dropped   old_1  old: 1\n"
        "5 indexes: 1 ok, 1 missing, 3 dropped\n"
    )
    assert names(database, "posts") == ["_id_", "kept_1"]
    assert names(database, "tags") == ["_id_"]
    assert names(database, "private") == ["_id_", "old_1"]
    assert names(database, "cluster") == ["clustered"]


def test_both_may_be_done_at_once(database: Database[Rows]) -> None:
    database.posts.create_index("old")
    app = app_for(database, {"posts": [IndexModel("new")]})
    result = run(app, "--create", "--drop-unknown")
    assert result.exit_code == 0
    assert "2 indexes: 1 created, 1 dropped" in result.output
    assert names(database, "posts") == ["_id_", "new_1"]


def test_one_that_cannot_be_made_does_not_stop_the_others(
    database: Database[Rows],
) -> None:
    database.posts.insert_many(
        [
            {"slug": "a secret", "a": ["secret"], "b": ["secret"]},
            {"slug": "a secret", "place": "another secret"},
        ]
    )
    database.create_collection("shown", viewOn="posts", pipeline=[])
    models = [
        IndexModel("slug", unique=True),
        IndexModel([("place", "2dsphere")]),
        IndexModel([("a", 1), ("b", 1)], name="both"),
        IndexModel("nonsense", nonsense=True),
        IndexModel("good"),
    ]
    app = app_for(
        database,
        {
            "posts": models,
            "shown": [IndexModel("x", name="of_a_view")],
            "system.x": [IndexModel("x", name="of_the_system")],
        },
    )
    assert run(app).exit_code == 0
    result = run(app, "--create")
    assert result.exit_code == 1
    lines = [re.split("  +", line) for line in result.output.splitlines()]
    assert {line[2]: line[4:] for line in lines if line[0] == ""} == {
        "slug_1": ["cannot be created: several documents have the same value"],
        "place_2dsphere": [f"cannot be created: Location16755; {LOGGED}"],
        "both": ["cannot be created: cannot index parallel arrays [b] [a]"],
        "nonsense_1": [
            "cannot be created: The field 'nonsense' is not valid for an index"
            ' specification. Specification: { nonsense: true, name: "nonsense_1", key:'
            " { nonsense: 1 } }"
        ],
        "good_1": [],
        "of_a_view": [
            f"cannot be created: Namespace {database.name}.shown is a view, not a"
            " collection"
        ],
        "of_the_system": [
            f"cannot be created: Invalid system namespace: {database.name}.system.x"
        ],
    }
    assert result.output.endswith("7 indexes: 1 created, 6 missing\n")
    assert names(database, "posts") == ["_id_", "good_1"]
    assert "secret" not in result.output


class Heard(CommandListener):
    """Calls *what* before a command of this name is sent, in the same thread."""

    def __init__(self, name: str, what: c.Callable[[], object]) -> None:
        self.name = name
        self.what = what

    def started(self, event: t.Any) -> None:
        if event.command_name == self.name:
            self.what()

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...


def test_what_somebody_else_does_in_between_is_no_error(
    mongo_uri: str, database: Database[Rows]
) -> None:
    database.posts.create_index("old")

    def create() -> None:
        database.posts.create_index("new", unique=True)

    def drop() -> None:
        database.posts.drop_index("old_1")

    listeners = [Heard("createIndexes", create), Heard("dropIndexes", drop)]
    with MongoClient[Rows](mongo_uri, event_listeners=listeners) as client:
        models = [IndexModel("new", unique=True)]
        app = app_for(client[database.name], {"posts": models})
        result = run(app, "--create", "--drop-unknown")
    assert result.exit_code == 0
    assert result.output.endswith("2 indexes: 1 created, 1 dropped\n")
    assert names(database, "posts") == ["_id_", "new_1"]


def test_a_collection_that_is_dropped_meanwhile_has_no_indexes(
    mongo_uri: str, database: Database[Rows]
) -> None:
    database.posts.create_index("x")
    listeners = [Heard("listIndexes", database.posts.drop)]
    with MongoClient[Rows](mongo_uri, event_listeners=listeners) as client:
        app = app_for(client[database.name], {"posts": [IndexModel("x")]})
        assert told(app) == {"x_1": "missing"}


def test_making_one_may_take_longer_than_the_client_waits(
    mongo_uri: str, database: Database[Rows]
) -> None:
    begun = threading.Event()
    limits: Rows = {"timeoutMS": 1500, "socketTimeoutMS": 1500}
    listeners = [Heard("createIndexes", begun.set)]
    with (
        MongoClient[Rows](mongo_uri, event_listeners=listeners, **limits) as client,
        database.client.start_session() as session,
    ):
        app = app_for(client[database.name], {"posts": [IndexModel("x")]})
        database.posts.insert_one({})
        # As long as somebody writes, the index has to wait.
        session.start_transaction()
        database.posts.insert_one({}, session=session)
        results: list[click.testing.Result] = []
        thread = threading.Thread(target=lambda: results.append(run(app, "--create")))
        thread.start()
        assert begun.wait(SECONDS)
        thread.join(2.5)
        assert thread.is_alive()
        session.commit_transaction()
        thread.join(SECONDS)
    assert results[0].exit_code == 0
    assert names(database, "posts") == ["_id_", "x_1"]


def test_one_that_is_only_just_being_made_is_waited_for(
    replica_set: ReplicaSet,
) -> None:
    sent = threading.Event()
    listeners = [Heard("createIndexes", sent.set)]
    primary = replica_set.primary()
    other = next(each for each in replica_set.members if each is not primary)
    with (
        own_database(replica_set.uri, event_listeners=listeners) as database,
        MongoClient[Rows](replica_set.uri) as client,
    ):
        database.posts.insert_one({"x": 1})
        app = app_for(database, {"posts": [IndexModel("x")]})
        results: list[click.testing.Result] = []
        first = threading.Thread(
            target=client[database.name].posts.create_index, args=["x"]
        )
        second = threading.Thread(target=lambda: results.append(run(app, "--create")))
        # It is not finished before all members have it, and one hangs.
        other.pause()
        try:
            first.start()
            until(lambda: "is being made" in run(app).output)
            assert run(app).output.endswith(
                "  missing   x_1  x: 1  is being made\n1 index: 1 missing\n"
            )
            second.start()
            assert sent.wait(SECONDS)
            second.join(0.5)
            assert second.is_alive()
        finally:
            other.resume()
        for thread in (first, second):
            thread.join(SECONDS)
        assert results[0].output.endswith("created   x_1  x: 1\n1 index: 1 created\n")
        assert told(app) == {"x_1": "ok"}
        replica_set.wait_until_whole()


# ---- Servers that do not answer --------------------------------------------------


def test_a_server_that_is_away_is_told_without_its_address() -> None:
    uri = "mongodb://ann:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with MongoClient[Rows](uri) as client:
        app = app_for(client.blog, {"posts": [IndexModel("slug")]})
        for arguments in [(), ("--create",), ("--json",)]:
            result = run(app, *arguments)
            assert result.exit_code == 1
            assert result.stdout == ""
            assert result.stderr == (
                "Error: MongoDB does not tell the indexes: ServerSelectionTimeoutError."
                "\n\nAsked for the database 'blog', by flask scopes indexes.\n\n"
                "To fix it, see that the server runs, and that the app's config says"
                " where.\n"
            )


def test_databases_that_cannot_be_found_out_are_told() -> None:
    uri = "mongodb://ann:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with MongoClient[Rows](uri) as client:

        def databases() -> list[Database[Rows]]:
            return [client[name] for name in client.list_database_names()]

        app = app_with(Declared(databases, {"posts": [IndexModel("slug")]}))
        result = run(app)
    assert result.exit_code == 1
    assert "Asked for the databases, by flask scopes indexes." in result.stderr
    assert "secret" not in result.output


def test_a_server_that_goes_away_is_not_waited_for_until_the_day_is_over(
    tmp_path: Path,
) -> None:
    with standalone(tmp_path) as server:
        listeners = [Heard("createIndexes", server.kill)]
        limits: Rows = {"serverSelectionTimeoutMS": 500}
        with MongoClient[Rows](
            server.host, event_listeners=listeners, **limits
        ) as client:
            models = [IndexModel("one"), IndexModel("two")]
            app = app_for(client.blog, {"posts": models})
            begun = time.monotonic()
            result = run(app, "--create")
            assert time.monotonic() - begun < SECONDS
            assert result.exit_code == 1
            assert re.fullmatch(
                r"blog\.posts\n"
                r"  missing   one_1  one: 1  cannot be created: AutoReconnect\n",
                result.stdout,
            )
            assert "Error: MongoDB does not tell the indexes: Server" in result.stderr

            begun = time.monotonic()
            with pytest.raises(PyMongoError):
                create_indexes(client.blog, {"posts": models})
            assert time.monotonic() - begun < SECONDS


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[Member]:
    """A server that asks for a password, and three who have one."""
    server = Member(tmp_path_factory.mktemp("guarded"), "--auth")
    try:
        server.start()
        server.ask("createUser", "root", pwd="root", roles=["root"])
        with MongoClient[Rows](f"mongodb://root:root@{server.host}/") as client:
            for name, role in [("admin", "dbAdmin"), ("reader", "read")]:
                roles = [{"role": role, "db": "blog"}]
                client.admin.command("createUser", name, pwd="secret", roles=roles)
            client.admin.command("createUser", "nobody", pwd="secret", roles=[])
            client.blog.posts.create_index("old")
        yield server
    finally:
        server.kill()


def guarded_run(
    guarded: Member, name: str, *arguments: str, password: str = "secret"
) -> click.testing.Result:
    uri = f"mongodb://{name}:{password}@{guarded.host}/?authSource=admin"
    with MongoClient[Rows](uri) as client:
        app = app_for(client.blog, {"posts": [IndexModel("new")]})
        return run(app, *arguments)


def test_without_any_rights_it_says_which_are_needed(guarded: Member) -> None:
    result = guarded_run(guarded, "nobody")
    assert result.exit_code == 1
    assert result.output == (
        f"Error: MongoDB does not tell the indexes: Unauthorized; {LOGGED}.\n\n"
        "Asked for the database 'blog', by flask scopes indexes.\n\n"
        "To fix it, give its user the role dbAdmin.\n"
    )
    result = guarded_run(guarded, "reader", password="wrong")
    assert result.exit_code == 1
    assert "indexes: AuthenticationFailed; " in result.output


def test_who_may_only_look_can_look(guarded: Member) -> None:
    assert guarded_run(guarded, "reader").exit_code == 0
    result = guarded_run(guarded, "reader", "--create", "--drop-unknown")
    assert result.exit_code == 1
    assert result.output == (
        "blog.posts\n"
        f"  missing   new_1  new: 1  cannot be created: Unauthorized; {LOGGED}\n"
        f"  unknown   old_1  old: 1  cannot be dropped: Unauthorized; {LOGGED}\n"
        "2 indexes: 1 missing, 1 unknown\n"
    )
    result = guarded_run(guarded, "admin", "--create", "--drop-unknown")
    assert result.output.endswith("2 indexes: 1 created, 1 dropped\n")


def test_a_strict_version_of_the_api_will_do(mongo_uri: str) -> None:
    strict = ServerApi("1", strict=True, deprecation_errors=True)
    with own_database(mongo_uri, server_api=strict) as database:
        database.posts.create_index("old")
        app = app_for(database, {"posts": [IndexModel("new")]})
        assert told(app) == {"new_1": "missing", "old_1": "unknown"}
        done = told(app, "--create", "--drop-unknown")
        assert done == {"new_1": "created", "old_1": "dropped"}
        assert told(app) == {"new_1": "ok"}


# ---- Declarations ----------------------------------------------------------------


def test_everything_that_is_declared_for_an_app_is_in_one_command(
    mongo_uri: str, database: Database[Rows]
) -> None:
    app = flask.Flask("shop")
    lists: list[list[Declared]] = [[], []]
    for declared in lists:
        add_command(app, declared)
    # Lists may grow later.
    with MongoClient[Rows](mongo_uri) as client:
        same = client[database.name]
        shared = IndexModel("shared")
        lists[0].append(for_database(database, {"posts": [IndexModel("one"), shared]}))
        lists[1].append(for_database(same, {"posts": [IndexModel("two")]}))
        lists[1].append(for_database(same, {"posts": [shared], "tags": [shared]}))
        # None is unknown to the others, and dropped.
        assert run(app, "--create").exit_code == 0
        result = run(app, "--create", "--drop-unknown")
        assert result.output == (
            f"{database.name}.posts\n"
            "  ok        one_1     one: 1\n"
            "  ok        shared_1  shared: 1\n"
            "  ok        two_1     two: 1\n"
            f"{database.name}.tags\n"
            "  ok        shared_1  shared: 1\n"
            "4 indexes: 4 ok\n"
        )


def test_two_declarations_that_contradict_each_other_are_refused(
    database: Database[Rows],
) -> None:
    def declare(**options: t.Any) -> Declared:
        model = IndexModel([("a", 1), ("b", 1)], name="ab", **options)
        return for_database(database, {"posts": [model]})

    app = app_with(declare(), declare(unique=True))
    result = run(app, "--create")
    assert result.exit_code == 1
    assert result.output.startswith(
        "Error: The index 'ab' of the collection 'posts' is declared twice, and not in"
        " the same way.\n\nDeclared at "
    )
    assert result.output.count("test_indexes.py:") == 2
    assert "To fix it, leave one out, or name one of them:" in result.output
    assert database.list_collection_names() == []


NOT_INDEXES: dict[str, tuple[t.Any, str]] = {
    "list": ([IndexModel("x")], "this is a list"),
    "nothing": (None, "this is a NoneType"),
    "number": ({3: []}, "3 cannot be the name of a collection"),
    "no name": ({"": []}, "'' cannot be the name of a collection"),
    "dollar": ({"a$b": []}, "'a$b' cannot be the name of a collection"),
    "dot": ({"a.": []}, "'a.' cannot be the name of a collection"),
    "first dot": ({".a": []}, "'.a' cannot be the name of a collection"),
    "dots": ({"a..b": []}, "'a..b' cannot be the name of a collection"),
    "null": ({"a\0": []}, "'a\\x00' cannot be the name of a collection"),
    "no list": ({"posts": IndexModel("x")}, "'posts' has a IndexModel"),
    "text": ({"posts": "slug"}, "'posts' has a str"),
    "text in a list": ({"posts": ["slug"]}, "'posts' has a str in its list"),
    "generator": ({"posts": iter([])}, "'posts' has a list_iterator"),
}


@pytest.mark.parametrize(("indexes", "what"), NOT_INDEXES.values(), ids=NOT_INDEXES)
def test_what_is_no_declaration_is_refused(indexes: t.Any, what: str) -> None:
    with pytest.raises(SetupError) as caught:
        checked(indexes)
    text = str(caught.value)
    assert text.startswith(
        "Indexes are declared as a dictionary of lists of IndexModel"
    )
    assert f"by the name of the collection; {what}.\n\nDeclared at " in text
    assert "test_indexes.py:" in text
    assert text.endswith('indexes={"posts": [IndexModel("slug", unique=True)]}')


BAD: dict[str, tuple[list[IndexModel], str]] = {
    "one name": (
        [IndexModel("x"), IndexModel("y", name="x_1")],
        "The index 'x_1' of the collection 'posts' cannot be declared: it is not the"
        " only one of this name.",
    ),
    "id": (
        [IndexModel("_id")],
        "The index '_id_1' of the collection 'posts' cannot be declared: every"
        " collection has it by itself.",
    ),
    "name of id": (
        [IndexModel("x", name="_id_")],
        "The index '_id_' of the collection 'posts' cannot be declared: every"
        " collection has it by itself.",
    ),
    "not a name": (
        [IndexModel("x", name=5)],
        "The index 5 of the collection 'posts' cannot be declared: its name is no"
        " text.",
    ),
    "empty name": (
        [IndexModel("x", name="")],
        "The index '' of the collection 'posts' cannot be declared: its name is no"
        " text.",
    ),
    "object": (
        [IndexModel("x", partialFilterExpression={"x": object()})],
        "The index 'x_1' of the collection 'posts' cannot be declared: MongoDB cannot"
        " store it (InvalidDocument).",
    ),
    "uuid": (
        [IndexModel("x", partialFilterExpression={"x": uuid.uuid4()})],
        "The index 'x_1' of the collection 'posts' cannot be declared: MongoDB cannot"
        " store it (ValueError).",
    ),
    "large number": (
        [IndexModel("x", expireAfterSeconds=2**70)],
        "The index 'x_1' of the collection 'posts' cannot be declared: MongoDB cannot"
        " store it (OverflowError).",
    ),
}


@pytest.mark.parametrize(("models", "what"), BAD.values(), ids=BAD)
def test_an_index_that_cannot_be_is_refused(
    models: list[IndexModel], what: str
) -> None:
    with pytest.raises(SetupError) as caught:
        checked({"posts": models})
    text = str(caught.value)
    assert text.startswith(f"{what}\n\nDeclared at ")
    assert "test_indexes.py:" in text
    assert "\n\nTo fix it, " in text


def test_what_is_declared_does_not_change_later() -> None:
    models = [IndexModel("x")]
    given = {"posts": models}
    indexes = checked(given)
    models.append(IndexModel("y"))
    given["tags"] = []
    assert list(indexes) == ["posts"]
    assert len(indexes["posts"]) == 1


def test_one_database_gets_its_indexes_by_a_call(database: Database[Rows]) -> None:
    indexes = checked(
        {"posts": [IndexModel("a"), IndexModel("b", unique=True)], "tags": []}
    )
    for _ in range(2):
        create_indexes(database, indexes)
        assert names(database, "posts") == ["_id_", "a_1", "b_1"]
    assert database.list_collection_names() == ["posts"]
    with pytest.raises(OperationFailure, match="same name"):
        create_indexes(database, {"posts": [IndexModel("a", unique=True)]})


# ---- With an app -----------------------------------------------------------------

SITE = """
import flask
from pymongo import IndexModel
from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

scopes = Scopes()
mongo = Mongo(scopes)
blog = mongo.database({name!r}, indexes={{"posts": [IndexModel("slug", unique=True)]}})
tenant = mongo.tenant(
    lambda: 7, prefix={name!r} + "_", indexes={{"notes": [IndexModel("written")]}}
)
app = flask.Flask(__name__)
app.config.from_prefixed_env()
scopes.init_app(app)

@app.get("/")
def index():
    blog().posts.insert_one({{}})
    tenant().notes.insert_one({{}})
    return "done"
"""


def test_nothing_is_made_before_the_command_says_so(
    database: Database[Rows], mongo_uri: str
) -> None:
    site: dict[str, t.Any] = {"__name__": "site"}
    # (Below, a real process has it.)
    exec(SITE.format(name=database.name), site)
    app: flask.Flask = site["app"]
    app.config["MONGO_URI"] = mongo_uri
    try:
        tenant = database.client[f"{database.name}_7"]
        assert database.list_collection_names() == []
        assert app.test_client().get("/").text == "done"
        assert names(database, "posts") == ["_id_"]
        assert names(tenant, "notes") == ["_id_"]
        assert told(app) == {"slug_1": "missing", "written_1": "missing"}
        with app.app_context():
            site["mongo"].create_indexes(site["tenant"])
        assert told(app) == {"slug_1": "missing", "written_1": "ok"}
        assert told(app, "--create") == {"slug_1": "created", "written_1": "ok"}
        assert names(database, "posts") == ["_id_", "slug_1"]
    finally:
        site["scopes"].close(app)
        database.client.drop_database(f"{database.name}_7")


@pytest.mark.server
def test_the_real_command_prints_plain_text_into_a_pipe(
    database: Database[Rows], mongo_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "blog_site.py").write_text(SITE.format(name=database.name))

    def flask_run(*arguments: str, uri: str = mongo_uri) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "flask", "--app", "blog_site", "scopes"]
        environment = {
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "FLASK_MONGO_URI": uri,
            # A machine that is busy would have warnings of slow commands in between.
            "FLASK_MONGO_SLOW_MS": "null",
        }
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    heading = f"{database.name}.posts\n"
    assert flask_run("indexes") == (
        0,
        f"{heading}  missing   slug_1  slug: 1, unique\n1 index: 1 missing\n",
        "",
    )
    assert flask_run("indexes", "--create") == (
        0,
        f"{heading}  created   slug_1  slug: 1, unique\n1 index: 1 created\n",
        "",
    )
    assert names(database, "posts") == ["_id_", "slug_1"]
    status, output, _ = flask_run("--help")
    assert status == 0
    assert "indexes  List the indexes of MongoDB" in output
    away = "mongodb://ann:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    status, output, errors = flask_run("indexes", uri=away)
    assert (status, output) == (1, "")
    assert errors.startswith("Error: MongoDB does not tell the indexes: ")
    assert "Traceback" not in errors
    assert "secret" not in errors
    status, _, errors = flask_run("indexes", uri="")
    assert status == 1
    assert errors.startswith("Error: The app's config does not say where MongoDB is")
    assert "Traceback" not in errors


def test_the_commands_are_in_one_group_that_leaves_others_alone() -> None:
    app = flask.Flask("shop")
    made = commands.group(app)
    assert commands.group(app) is made
    assert app.cli.commands["scopes"] is made

    theirs = flask.Flask("shop")
    group = click.Group("scopes")
    theirs.cli.add_command(group)
    add_command(theirs, [])
    assert set(group.commands) == {"list", "graph", "check", "indexes"}

    alone = flask.Flask("shop")
    command = click.Command("scopes")
    alone.cli.add_command(command)
    add_command(alone, [])
    assert alone.cli.commands["scopes"] is command


def test_an_app_with_indexes_is_freed_at_once(mongo_uri: str) -> None:
    scopes = Scopes()
    mongo = Mongo(scopes)
    mongo.database("blog", indexes={"posts": [IndexModel("slug")]})
    gc.collect()
    gc.disable()
    try:
        app = flask.Flask("shop")
        scopes.init_app(app)
        assert "indexes" in commands.group(app).commands
        reference = weakref.ref(app)
        del app
        assert reference() is None
    finally:
        gc.enable()
