"""Every way to be refused, for the texts of the errors. A case is given a site, and
ends in an error.
"""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t

import argon2
import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes.login import Login
from flask_scopes.login import Passwords
from flask_scopes.login import Throttle
from flask_scopes.login.sql import SQLUsers
from flask_scopes.sqlalchemy import SQL

from .site import QUICK
from .site import OpenSite
from .site import Site
from .site import User

Case: t.TypeAlias = c.Callable[[OpenSite], object]
CASES: dict[str, Case] = {}


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def asked(site: Site, view: c.Callable[[], t.Any], **headers: str) -> object:
    """Ask for *view*, and raise what is raised."""
    site.app.testing = True
    site.app.add_url_rule("/view", view_func=view, methods=["POST"])
    return site.app.test_client().post("/view", headers=headers)


@case
def too_many_attempts(open_site: OpenSite) -> object:
    site = open_site(throttle=Throttle(free=1))
    with site.app.app_context():
        site.login.check("ann@example.org", "a guess")
    with site.app.app_context():
        return site.login.check("ann@example.org", "a guess")


@case
def too_busy(open_site: OpenSite) -> object:
    site = open_site()
    moment = datetime.timedelta(milliseconds=1)

    class Again(argon2.PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            return passwords.hash(str(password))

    passwords = Passwords(
        site.scopes,
        hasher=Again(time_cost=1, memory_cost=8, parallelism=1),
        at_once=1,
        patience=moment,
    )
    with site.app.app_context():
        return passwords.hash("x")


@case
def no_records(open_site: OpenSite) -> object:
    site = open_site(records=None)
    with site.app.app_context():
        return site.login.tokens


@case
def no_users(open_site: OpenSite) -> object:
    site = open_site(users=None)
    with site.app.app_context():
        return site.login.check("ann@example.org", "a guess")


@case
def remembered_without_records(open_site: OpenSite) -> object:
    site = open_site(records=None)

    def view() -> str:
        flask_login.login_user(User("1", "ann@example.org"), remember=True)
        return "in"

    return asked(site, view)


@case
def two_loaders(open_site: OpenSite) -> object:
    def another(user_id: str) -> User | None:
        return None

    return open_site().login.user(another)


@case
def no_user(open_site: OpenSite) -> object:
    scopes = Scopes()
    login = Login(scopes)

    @login.user
    def current_user(user_id: str) -> dict[str, str]:
        return {"id": user_id}

    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    scopes.init_app(app)
    with app.test_request_context():
        flask.session["_user_id"] = "1"
        return current_user()


@case
def loader_failed(open_site: OpenSite) -> object:
    scopes = Scopes()
    login = Login(scopes)

    @login.user_loader
    def current_user(user_id: str) -> object:
        missing: t.Any = None
        return missing.name

    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    scopes.init_app(app)
    with app.test_request_context():
        flask.session["_user_id"] = "1"
        return flask_login.current_user.is_active


@case
def email_taken(open_site: OpenSite) -> object:
    site = open_site()
    site.register()
    with site.app.app_context():
        return site.login.users.add("ANN@example.org", None)


@case
def token_has_no_session(open_site: OpenSite) -> object:
    site = open_site()
    account = site.register()
    with site.app.app_context():
        token = site.login.tokens.create(account.id, "a script")

    @site.login.requires()
    def view() -> str:
        flask.session["a"] = 1
        return "changed"

    return asked(site, view, Authorization=f"Bearer {token}")


@case
def bad_throttle(open_site: OpenSite) -> object:
    return open_site(throttle=Throttle(free=0))


@case
def bad_passwords(open_site: OpenSite) -> object:
    return Passwords(Scopes(), hasher=QUICK, at_once=0)


@case
def bad_times(open_site: OpenSite) -> object:
    return open_site(reset_within=datetime.timedelta())


@case
def bad_prefix(open_site: OpenSite) -> object:
    return open_site(token_prefix="a b")


@case
def bad_scopes(open_site: OpenSite) -> object:
    site = open_site()
    with site.app.app_context():
        return site.login.tokens.create("1", "a script", scopes="orders")


@case
def bad_end(open_site: OpenSite) -> object:
    site = open_site()
    with site.app.app_context():
        past = -datetime.timedelta(days=1)
        return site.login.tokens.create("1", "a script", expires=past)


@case
def no_age(open_site: OpenSite) -> object:
    fresh: t.Any = open_site().login.fresh
    return fresh(lambda: "paid")


@case
def no_scopes(open_site: OpenSite) -> object:
    requires: t.Any = open_site().login.requires
    return requires(lambda: "orders")


@case
def bad_model(open_site: OpenSite) -> object:
    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)

    return SQLUsers(SQL(Scopes()), Person)
