"""What type checkers make of ``flask_scopes.login``. Checked by mypy and pyright, never
run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import datetime
import typing as t

import argon2
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.login import Account
from flask_scopes.login import Login
from flask_scopes.login import Passwords
from flask_scopes.login import Records
from flask_scopes.login import Throttle
from flask_scopes.login import Token
from flask_scopes.login import Users
from flask_scopes.login import local_path
from flask_scopes.login.mongo import MongoRecords
from flask_scopes.login.mongo import MongoUsers
from flask_scopes.login.sql import AccountColumns
from flask_scopes.login.sql import SQLRecords
from flask_scopes.login.sql import SQLUsers
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import Device
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sqlalchemy import SQL


class Base(DeclarativeBase):
    pass


class User(AccountColumns, Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


scopes = Scopes()
mongo = Mongo(scopes)
sql = SQL(scopes)
all_users: list[Users] = [MongoUsers(mongo, "accounts"), SQLUsers(sql, User)]
all_records: list[Records] = [
    MongoRecords(scopes, mongo, bind="web", collection="login"),
    SQLRecords(scopes, sql, metadata=Base.metadata),
]
login = Login(
    scopes,
    users=all_users[0],
    records=all_records[0],
    sessions=ServerSessions(scopes, MongoStore(mongo)),
    passwords=Passwords(scopes, hasher=argon2.PasswordHasher(), at_once=4),
    throttle=Throttle(free=3, longest=datetime.timedelta(seconds=30)),
    token_prefix="shop",
    reset_within=datetime.timedelta(minutes=30),
)
login.login_view = "sign_in"


@login.user
def current_user(user_id: str) -> User | None:
    return sql.session().get(User, int(user_id))


@Login(scopes).user
def always(user_id: str) -> User:
    return User()


t.assert_type(current_user, Resource[[], User | None])
t.assert_type(current_user(), User | None)
t.assert_type(always(), User | None)
t.assert_type(login.check("ann@example.org", "x"), Account | None)
t.assert_type(login.sign_in("ann@example.org", "x", remember=True), bool)
t.assert_type(login.sign_in_as(User()), bool)
login.sign_out_everywhere(1, but_here=True, tokens=True)
t.assert_type(login.devices(1), list[Device])
t.assert_type(login.sign_out_device(1, "id"), bool)
t.assert_type(login.tokens.create(1, "a script", scopes=["orders"]), str)
t.assert_type(login.tokens.of(1), list[Token])
t.assert_type(login.token, Token | None)
t.assert_type(login.next_path("/"), str)
t.assert_type(login.reset_password("text", "x"), Account | None)
t.assert_type(login.confirm_email("text"), Account | None)
t.assert_type(login.links.to_reset("text"), Account | None)
t.assert_type(login.unauthorized(), ResponseReturnValue)
t.assert_type(login.passwords.hash("x"), str)
t.assert_type(login.users.add("ann@example.org", None, name="Ann"), Account)
t.assert_type(local_path("/"), str | None)
login.send_reset("ann@example.org", lambda account, text: account.email + text)


@login.requires("orders")
def api(number: int) -> str:
    return str(number)


@login.fresh(datetime.timedelta(minutes=10))
def pay() -> str:
    return "paid"


t.assert_type(api(1), str)
t.assert_type(pay(), str)

Login()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Login(scopes, users=sql)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Login(scopes, records=all_users[0])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
login.fresh(600)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
login.check(None, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
login.send_reset("x", lambda account: None)  # type: ignore[misc, arg-type]  # pyright: ignore[reportArgumentType]
