"""What type checkers make of ``flask_scopes.sessions``. Checked by mypy and pyright,
never run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import datetime
import typing as t

import redis
import sqlalchemy as sa

from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import Device
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions import Store
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.redis import RedisStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

scopes = Scopes()
mongo = Mongo(scopes)
sql = SQL(scopes)


@scopes.application
def client() -> redis.Redis:
    return redis.Redis(decode_responses=True)


stores: list[Store] = [
    MongoStore(mongo),
    MongoStore(mongo, "web", bind="logs"),
    RedisStore(scopes),
    RedisStore(scopes, client=client, prefix="web:"),
    SQLStore(sql),
    SQLStore(sql, bind="web", metadata=sa.MetaData()),
]
sessions = ServerSessions(
    scopes,
    stores[0],
    user_key="user",
    privileged_keys=["admin"],
    idle=datetime.timedelta(days=1),
    lifetime=datetime.timedelta(days=2),
    grace=datetime.timedelta(seconds=3),
    on_conflict="error",
    when_down="read-only",
)

t.assert_type(sessions.current, str | None)
t.assert_type(sessions.of(1), list[Device])
t.assert_type(sessions.revoke("id"), bool)
t.assert_type(sessions.revoke_all("ann", but=sessions.current), int)
t.assert_type(sessions.purge(), int)
t.assert_type(sessions.value("id", "language"), str | None)
sessions.on_revoke(lambda user, ids, but: None)
t.assert_type(sessions.of("ann")[0].seen, datetime.datetime)
t.assert_type(sessions.of("ann")[0].current, bool)
t.assert_type(RedisStore(scopes).client, Resource[[], redis.Redis])
sessions.rotate()

ServerSessions(scopes)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ServerSessions(scopes, sql)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ServerSessions(scopes, stores[0], on_conflict="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ServerSessions(scopes, stores[0], idle=14)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
sessions.revoke(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
sessions.current = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
