"""What type checkers make of ``flask_scopes.mongo``. Checked by mypy and pyright, never
run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import typing as t

import flask
from bson import ObjectId
from pymongo import IndexModel
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.mongo import Document
from flask_scopes.mongo import Indexes
from flask_scopes.mongo import Mongo
from flask_scopes.mongo import RequestStats
from flask_scopes.mongo import Stats
from flask_scopes.mongo import delete_file
from flask_scopes.mongo import one_or_404
from flask_scopes.mongo import save_file
from flask_scopes.mongo import send_file

scopes = Scopes()
existing: MongoClient[Document] = MongoClient()


class Extension:
    cx = existing


mongo = Mongo(scopes)
Mongo(scopes, client=existing, binds={"logs": Extension()})
Mongo(scopes, client="mongodb://localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

t.assert_type(mongo.client(), MongoClient[dict[str, t.Any]])
t.assert_type(mongo.client("logs"), MongoClient[dict[str, t.Any]])
t.assert_type(mongo.session(bind="logs"), ClientSession)
mongo.client(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
mongo.client.override(existing)

indexes: Indexes = {"posts": [IndexModel("slug")]}
blog = mongo.database("blog", bind="logs", indexes=indexes)
t.assert_type(blog, Resource[[], Database[dict[str, t.Any]]])
t.assert_type(blog().posts.find_one(), dict[str, t.Any] | None)
tenant = mongo.tenant(lambda: ObjectId(), prefix="shop_", allow=("acme",))
t.assert_type(tenant, Resource[[], Database[dict[str, t.Any]]])
mongo.create_indexes(tenant)

t.assert_type(mongo.stats("logs"), Stats)
t.assert_type(mongo.request_stats(), RequestStats)


@mongo.transactional
def bare(number: int) -> str:
    return str(number)


@mongo.transactional(bind="logs")
def named(number: int) -> str:
    return str(number)


t.assert_type(bare(1), str)
t.assert_type(named(1), str)
bare("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Post(t.TypedDict):
    slug: str


def typed(posts: Collection[Post]) -> None:
    t.assert_type(one_or_404(posts, {"slug": "a"}, sort=[("slug", 1)]), Post)


def files() -> None:
    picture = save_file(blog(), "a.png", b"", bucket="pictures", metadata={"a": 1})
    t.assert_type(picture, ObjectId)
    save_file(blog(), "a.png", flask.request.files["file"])
    save_file(blog(), "a.png", "text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    t.assert_type(send_file(blog(), picture, public=True, max_age=1), flask.Response)
    send_file(blog(), "a.png", version=0)
    delete_file(blog(), picture)
