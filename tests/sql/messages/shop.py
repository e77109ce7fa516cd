"""One small app, and every way to use its database wrongly."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


scopes = Scopes()
sql = SQL(scopes)
SET_UP: dict[str, t.Any] = {"SQLALCHEMY_URL": "sqlite://"}
CASES: dict[str, c.Callable[[], object]] = {}


def using(name: str, use: c.Callable[[], t.Any], **config: t.Any) -> None:
    def run() -> object:
        app = flask.Flask("shop")
        app.config.from_mapping({**SET_UP, **config})
        scopes.init_app(app)
        app.add_url_rule("/", "use", scopes.read_only(use), methods=["POST"])
        try:
            if name.startswith("read_only"):
                with app.app_context():
                    Base.metadata.create_all(sql.engine())
                app.testing = True
                return app.test_client().post("/")
            with app.app_context():
                Base.metadata.create_all(sql.engine())
                return use()
        finally:
            scopes.close(app)

    CASES[name] = run


def _commit() -> None:
    sql.session().commit()


def _add() -> str:
    sql.session().add(Item(name="secret"))
    return "added"


def _add_and_flush() -> None:
    _add()
    sql.session().flush()


def _insert() -> None:
    sql.session().execute(sa.insert(Item).values(name="secret"))


def _join_nothing() -> None:
    nothing: t.Any = Base
    sql.join(nothing)


def _hand_in_text() -> None:
    text: t.Any = "sqlite://"
    SQL(scopes, engine=text)


def _write_late() -> None:
    engine = sa.create_engine("sqlite://")
    sessions = scoped_session(sessionmaker(engine))
    own = Scopes()
    SQL(own).join(sessions)
    app = flask.Flask("shop")
    own.init_app(app)
    with app.test_request_context():
        app.process_response(flask.Response())
        sessions.add(Item(name="secret"))


using("no_url", sql.engine, SQLALCHEMY_URL=None)
using("bad_url", sql.engine, SQLALCHEMY_URL="user:secret")
using("bad_options", sql.engine, SQLALCHEMY_ENGINE_OPTIONS=["echo"])
using("bad_binds", lambda: sql.engine("a"), SQLALCHEMY_BINDS="sqlite://")
using("bad_bind", lambda: sql.engine("a"), SQLALCHEMY_BINDS={"a": {"echo": True}})
using("unknown_bind", lambda: sql.session("archive"))
using("no_engine", sql.engine, SQLALCHEMY_URL="postgres://ann:secret@localhost/shop")
using("bad_option", sql.engine, SQLALCHEMY_ENGINE_OPTIONS={"no_such": 1})
using("not_an_engine", _hand_in_text)
using("nothing_to_join", _join_nothing)
using("commit_by_hand", _commit)
using("read_only_flush", _add_and_flush)
using("read_only_at_the_end", _add)
using("read_only_statement", _insert)
using("written_late", _write_late)
