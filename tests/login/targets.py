"""Two apps with the same pages, to attack: one with Flask-Login as its documentation
shows it, and one with ours.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import datetime
import pathlib
import time
import typing as t

import argon2
import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
import sqlalchemy as sa
import werkzeug.security
from flask.testing import FlaskClient as Client
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes.login import Login
from flask_scopes.login import Passwords
from flask_scopes.login.sql import AccountColumns
from flask_scopes.login.sql import SQLRecords
from flask_scopes.login.sql import SQLUsers
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

OWNER = "ann@example.org"
PASSWORD = "correct horse"
OWNERS_ADDRESS = "198.51.100.7"
STRANGERS_ADDRESS = "203.0.113.9"

View: t.TypeAlias = c.Callable[..., t.Any]


class Base(DeclarativeBase):
    pass


class Person(AccountColumns, Base):
    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)


@dataclasses.dataclass
class User(flask_login.UserMixin):  # type: ignore[misc]  # the same
    id: str
    email: str
    password: str = ""


class Target:
    """One of them, with an account of OWNER."""

    app: flask.Flask

    def __init__(self) -> None:
        self.closing = contextlib.ExitStack()
        self.work: list[str] = []
        """By which parameters passwords were compared: one for each time."""
        self.letters: list[tuple[str, str]] = []
        """To whom, and with which text for a link."""

    # ---- What the two do in their own ways

    def register(self, email: str, password: str = PASSWORD) -> None:
        raise NotImplementedError

    def sign_in(self, email: str, password: str, remember: bool) -> bool:
        raise NotImplementedError

    def sign_out(self) -> object:
        raise NotImplementedError

    def whose(self) -> User | None:
        raise NotImplementedError

    def set_password(self, password: str) -> object:
        raise NotImplementedError

    def look_around(self) -> None:
        """Ask the database for something, if there is one."""

    def goes_on_to(self) -> str:
        raise NotImplementedError

    def freshly(self, view: View) -> View:
        raise NotImplementedError

    # ---- What is done to them

    def browser(self, **cookies: str) -> Client:
        client = self.app.test_client()
        client.environ_base["REMOTE_ADDR"] = OWNERS_ADDRESS
        for name, value in cookies.items():
            client.set_cookie(name, value)
        return client

    def signed_in(self, email: str = OWNER, **form: str) -> Client:
        """The browser of somebody who is."""
        client = self.browser()
        response = guess(client, PASSWORD, email, form=form)
        assert response.status_code == 302
        return client

    def cookie(self, client: Client, name: str = "session") -> str:
        found = client.get_cookie(name)
        return found.value if found else ""

    def who(self, **cookies: str) -> str:
        """Whom a browser with these cookies is taken for."""
        return self.browser(**cookies).get("/").text

    def at(self, moment: Moment) -> None:
        """Go by *moment* from now on, until this is closed."""
        patch = self.closing.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(time, "time", moment)


class Moment:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += datetime.timedelta(**span).total_seconds()


class Plain(Target):
    """With Flask-Login, Werkzeug's hashes and Flask's cookie."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self.app = flask.Flask("target")
        self.app.secret_key = "a key for tests"
        self.users: dict[str, User] = {}
        manager = flask_login.LoginManager(self.app)
        manager.login_view = manager.refresh_view = "sign_in"
        manager.user_loader(self.users.get)
        self.register(OWNER)
        add_views(self)

    def register(self, email: str, password: str = PASSWORD) -> None:
        user = User(str(len(self.users)), email, self._hash(password))
        self.users[user.id] = user

    def _hash(self, password: str) -> str:
        # Quick: there is nothing to guard here.
        return werkzeug.security.generate_password_hash(password, "pbkdf2:sha256:1")

    def sign_in(self, email: str, password: str, remember: bool) -> bool:
        for user in self.users.values():
            if user.email == email:
                self.work.append(user.password.partition("$")[0])
                if werkzeug.security.check_password_hash(user.password, password):
                    return bool(flask_login.login_user(user, remember=remember))
        return False

    def sign_out(self) -> object:
        return flask_login.logout_user()

    def whose(self) -> User | None:
        user: User = flask_login.current_user
        return user if user.is_authenticated else None

    def set_password(self, password: str) -> object:
        flask_login.current_user.password = self._hash(password)
        return None

    def goes_on_to(self) -> str:
        return flask.request.args.get("next", "/")

    def freshly(self, view: View) -> View:
        return t.cast(View, flask_login.fresh_login_required(view))


class Noting(argon2.PasswordHasher):
    """Makes quick hashes, and notes how it has compared."""

    def __init__(self, work: list[str]) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.work = work

    def verify(self, hash: str | bytes, password: str | bytes) -> t.Literal[True]:  # noqa: A002  # it is named so
        self.work.append(str(argon2.extract_parameters(str(hash))))
        return super().verify(hash, password)


class Ours(Target):
    """With flask_scopes.login, and all on SQLite."""

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__()
        self.scopes = scopes = Scopes()
        self.app = flask.Flask("target")
        self.app.secret_key = "a key for tests"
        self.app.config["SQLALCHEMY_URL"] = f"sqlite:///{folder}/target.db?timeout=10"
        # The client of the tests speaks plain HTTP.
        self.app.config["SCOPES_SESSION_SECURE"] = False
        self.sql = sql = SQL(scopes)
        records, store = SQLRecords(scopes, sql), SQLStore(sql)
        self.login = Login(
            scopes,
            users=SQLUsers(sql, Person),
            records=records,
            sessions=ServerSessions(scopes, store),
            passwords=Passwords(scopes, hasher=Noting(self.work)),
        )
        self.login.login_view = self.login.refresh_view = "sign_in"
        self.current_user = self.login.user(self._load)
        scopes.init_app(self.app)
        self.closing.callback(scopes.close, self.app)
        with self.app.app_context():
            Base.metadata.create_all(sql.engine())
            records.create_tables()
            store.create_tables()
        self.register(OWNER)
        add_views(self)
        add_more_views(self)

    def _load(self, user_id: str) -> User | None:
        account = self.login.users.get(user_id)
        return None if account is None else User(account.id, account.email)

    def register(self, email: str, password: str | None = PASSWORD) -> None:
        with self.app.app_context():
            hashed = self.login.passwords.hash(password) if password else None
            self.login.users.add(email, hashed)

    def sign_in(self, email: str, password: str, remember: bool) -> bool:
        return self.login.sign_in(email, password, remember=remember)

    def sign_out(self) -> object:
        self.login.sign_out()
        return None

    def whose(self) -> User | None:
        return self.current_user()

    def set_password(self, password: str) -> object:
        user = self.current_user()
        account = user and self.login.users.get(user.id)
        assert account
        return self.login.set_password(account, password)

    def look_around(self) -> None:
        self.sql.session().execute(sa.select(1))

    def goes_on_to(self) -> str:
        return self.login.next_path("/")

    def freshly(self, view: View) -> View:
        return self.login.fresh(datetime.timedelta(hours=1))(view)

    def all_that_is_kept(self) -> str:
        """The contents of the database."""
        with self.app.app_context(), self.sql.engine().connect() as connection:
            tables = sa.inspect(connection).get_table_names()
            rows = [connection.execute(sa.text(f"select * from {n}")) for n in tables]
            return "\n".join(str(each) for found in rows for each in found)


def add_views(target: Target) -> None:
    app, session = target.app, flask.session

    @app.route("/sign-in", methods=["GET", "POST"])
    def sign_in() -> t.Any:
        form = flask.request.form
        if flask.request.method == "GET":
            return "who are you?"
        if "looks" in form:
            target.look_around()
        if target.sign_in(form["email"], form["password"], "remember" in form):
            return flask.redirect(target.goes_on_to())
        return "no", 401

    @app.route("/sign-out", methods=["GET", "POST"])
    def sign_out() -> str:
        target.sign_out()
        return "good bye"

    @app.get("/")
    def who() -> str:
        if "looks" in flask.request.args:
            target.look_around()
        user = target.whose()
        return user.email if user else "nobody"

    @app.get("/about")
    def about() -> str:
        return "about us"

    @app.get("/stream")
    def stream() -> flask.Response:
        found = who()

        def body() -> c.Iterator[str]:
            yield found
            yield str(flask_login.current_user.email)

        return flask.Response(flask.stream_with_context(body()))

    @app.route("/basket", methods=["GET", "POST"])
    def basket() -> str:
        if flask.request.method == "POST":
            session["basket"] = "a present"
        return str(session.get("basket", "empty"))

    @app.post("/password")
    @flask_login.login_required  # type: ignore[untyped-decorator]  # the same
    def password() -> str:
        target.set_password(flask.request.form["password"])
        return "changed"

    @app.get("/account")
    @target.freshly
    def account() -> str:
        return "yours"


def add_more_views(target: Ours) -> None:
    """For what Flask-Login has nothing for."""
    app, login = target.app, target.login

    @app.post("/forgot")
    def forgot() -> str:
        def send(account: t.Any, text: str) -> None:
            target.letters.append((account.email, text))

        login.send_reset(flask.request.form["email"], send)
        return "a letter is on its way, if we know you"

    @app.post("/reset/<text>")
    def reset(text: str) -> t.Any:
        done = login.reset_password(text, flask.request.form["password"])
        return "done" if done else ("no", 404)

    @app.post("/token")
    @flask_login.login_required  # type: ignore[untyped-decorator]  # the same
    def token() -> str:
        return login.tokens.create(flask_login.current_user.id, "ci", scopes=["read"])

    @app.get("/api")
    @login.requires("read")
    def read() -> str:
        return str(flask_login.current_user.email)

    @app.post("/api")
    @login.requires("write")
    def write() -> str:
        return "written"


def guess(
    client: Client,
    password: str,
    email: str = OWNER,
    *,
    address: str = OWNERS_ADDRESS,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    form: c.Mapping[str, str] | None = None,
) -> t.Any:
    """Try to sign in."""
    return client.post(
        "/sign-in",
        data={"email": email, "password": password, **(form or {})},
        environ_base={"REMOTE_ADDR": address},
        query_string=query,
        headers=headers,
    )


TARGETS: dict[str, c.Callable[[pathlib.Path], Target]] = {
    "Flask-Login 0.6.3": Plain,
    "flask_scopes.login": Ours,
}
