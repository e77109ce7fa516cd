"""A site that people sign in to, with its accounts in a database of each kind."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import re
import secrets
import typing as t

import argon2
import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
from bson import ObjectId
from flask.testing import FlaskClient as Client
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes.login import Account
from flask_scopes.login import Login
from flask_scopes.login import Passwords
from flask_scopes.login import Records
from flask_scopes.login import Users
from flask_scopes.login.mongo import MongoRecords
from flask_scopes.login.mongo import MongoUsers
from flask_scopes.login.sql import AccountColumns
from flask_scopes.login.sql import SQLRecords
from flask_scopes.login.sql import SQLUsers
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

KINDS = ["sqlite", "postgresql", pytest.param("mongo", marks=pytest.mark.mongo)]
# For what does not depend on the database.
ONE = ["sqlite"]

# Quick: there is nothing to guard here.
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse"


class Base(DeclarativeBase):
    pass


class Row(AccountColumns, Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    active: Mapped[bool] = mapped_column(default=True)


@dataclasses.dataclass(frozen=True)
class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    id: str
    email: str
    is_active: bool = True


@dataclasses.dataclass
class Home:
    """Where a site keeps what it has."""

    kind: str
    url: str


@dataclasses.dataclass
class Parts:
    """What a project makes once."""

    users: Users
    records: t.Any
    sessions: t.Any
    create: c.Callable[[], None]
    deactivate: c.Callable[[str], None]


def parts_in_mongo(scopes: Scopes) -> Parts:
    mongo = Mongo(scopes)
    users, store = MongoUsers(mongo), MongoStore(mongo)
    records = MongoRecords(scopes, mongo)

    def create() -> None:
        for each in (users, records, store):
            mongo.create_indexes(each.database)

    def deactivate(user_id: str) -> None:
        key = {"_id": ObjectId(user_id)}
        users.database().users.update_one(key, {"$set": {"active": False}})

    return Parts(users, records, store, create, deactivate)


def parts_in_sql(scopes: Scopes) -> Parts:
    sql = SQL(scopes)
    users = SQLUsers(sql, Row)
    records, store = SQLRecords(scopes, sql), SQLStore(sql)

    def create() -> None:
        Base.metadata.create_all(sql.engine())
        records.create_tables()
        store.create_tables()

    def deactivate(user_id: str) -> None:
        row = sql.session().get(Row, int(user_id))
        assert row
        row.active = False

    return Parts(users, records, store, create, deactivate)


class Site:
    """An app, with views for all that somebody does to sign in; closed when a test
    ends.

    :param server: whether sessions are on the server.
    """

    def __init__(self, home: Home, *, server: bool = True, **options: t.Any) -> None:
        self.scopes = Scopes()
        self.app = flask.Flask("site")
        self.app.secret_key = "a key for tests"
        self.app.config.update(MONGO_URI=home.url, SQLALCHEMY_URL=home.url)
        # The client of the tests speaks plain HTTP.
        self.app.config["SCOPES_SESSION_SECURE"] = False
        is_mongo = home.kind == "mongo"
        parts = (parts_in_mongo if is_mongo else parts_in_sql)(self.scopes)
        self.parts = parts
        self.records: Records = parts.records
        self.sessions: ServerSessions | None = None
        if server:
            self.sessions = ServerSessions(self.scopes, parts.sessions)
        self.loaded: list[str] = []
        """The ids that the function at `@login.user` was given."""
        options = {
            "users": parts.users,
            "records": parts.records,
            "sessions": self.sessions,
            "passwords": Passwords(self.scopes, hasher=QUICK),
        } | options
        self.login = Login(self.scopes, **options)
        self.current_user = self.login.user(self.load)
        self.letters: list[tuple[str, str]] = []
        """To whom, and with which text for a link."""
        self.login.login_view = "sign_in"
        self.login.refresh_view = "confirm"
        self.scopes.init_app(self.app)
        self._add_views()
        with self.app.app_context():
            parts.create()

    def load(self, user_id: str) -> User | None:
        self.loaded.append(user_id)
        account = self.login.users.get(user_id)
        if account is None:
            return None
        return User(account.id, account.email, not self.is_inactive(account))

    def is_inactive(self, account: Account) -> bool:
        return account.email.startswith("inactive")

    def _add_views(self) -> None:
        app, login = self.app, self.login

        @app.route("/sign-in", methods=["GET", "POST"])
        def sign_in() -> tuple[str, int] | str:
            form = flask.request.form
            remember = "remember" in form
            if flask.request.method == "GET":
                return "who are you?"
            if login.sign_in(form["email"], form["password"], remember=remember):
                return "welcome"
            return "no", 401

        @app.route("/confirm", methods=["GET", "POST"])
        def confirm() -> str:
            flask_login.confirm_login()
            return "confirmed"

        @app.route("/sign-out", methods=["GET", "POST"])
        def sign_out() -> str:
            login.sign_out()
            return "good bye"

        @app.get("/")
        def who() -> str:
            user = self.current_user()
            assert (user or None) is (
                flask_login.current_user._get_current_object()
                if flask_login.current_user.is_authenticated
                else None
            )
            return user.email if user else "nobody"

        @app.get("/about")
        def about() -> str:
            return "about us"

        @app.get("/private")
        @flask_login.login_required  # type: ignore[untyped-decorator]  # the same
        def private() -> str:
            return "private"

    def close(self) -> None:
        self.scopes.close(self.app)

    def view(self, path: str, function: c.Callable[..., t.Any], **more: t.Any) -> None:
        self.app.add_url_rule(path, path, function, **more)

    def register(self, email: str = "ann@example.org") -> Account:
        with self.app.app_context():
            hashed = self.login.passwords.hash(PASSWORD)
            return self.login.users.add(email, hashed)

    def browser(self, email: str = "", **form: str) -> Browser:
        browser = Browser(self)
        if email:
            assert browser.sign_in(email, **form).status_code == 200
        return browser


class Browser:
    """Somebody's."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.client: Client = site.app.test_client()

    def get(self, path: str, **more: t.Any) -> t.Any:
        return self.client.get(path, **more)

    def post(self, path: str, **more: t.Any) -> t.Any:
        return self.client.post(path, **more)

    def sign_in(self, email: str, password: str = PASSWORD, **form: t.Any) -> t.Any:
        more: dict[str, t.Any] = form.pop("more", {})
        data = {"email": email, "password": password, **form}
        return self.post("/sign-in", data=data, **more)

    @property
    def who(self) -> str:
        return str(self.get("/").text)

    @property
    def remembered(self) -> str | None:
        cookie = self.client.get_cookie("remember_token")
        return cookie.value if cookie else None

    @remembered.setter
    def remembered(self, cookie: str) -> None:
        self.client.set_cookie("remember_token", cookie)

    def restart(self) -> None:
        """Close the browser: the cookie of the session is gone."""
        self.client.delete_cookie("session")


OpenSite: t.TypeAlias = c.Callable[..., Site]


def database_name() -> str:
    return f"login_{secrets.token_hex(4)}"


def new_cookies(response: t.Any) -> dict[str, str]:
    """By name, what a response lets a browser keep."""
    lines = response.headers.getlist("Set-Cookie")
    pairs = [re.match("([^=]+)=([^;]*)", line) for line in lines]
    return {pair[1]: pair[2] for pair in pairs if pair}
