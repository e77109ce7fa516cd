"""The shop that the tests buy in."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    left: Mapped[int] = mapped_column(default=3)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[int] = mapped_column(
        sa.ForeignKey(Item.id, deferrable=True, initially="DEFERRED")
    )


@sa.event.listens_for(Engine, "connect")
def _check_references(connection: t.Any, record: object) -> None:
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")


class Shop:
    """An app with all of it."""

    def __init__(
        self, url: str, binds: dict[str, t.Any] | None = None, **options: t.Any
    ) -> None:
        self.scopes = Scopes()
        self.sql = SQL(self.scopes, **options)
        self.app = flask.Flask("shop")
        self.app.secret_key = "of the shop"
        self.app.config["SQLALCHEMY_URL"] = url
        self.app.config["SQLALCHEMY_BINDS"] = binds or {}
        self.scopes.init_app(self.app)
        self.client = self.app.test_client()

    def create(self, *binds: str) -> None:
        with self.app.app_context():
            for bind in binds or ("",):
                Base.metadata.create_all(self.sql.engine(bind))

    def stock(self, *items: Item) -> None:
        """Have *items*, committed, before the test begins."""
        with self.app.app_context():
            self.sql.session().add_all(items)

    def view(self, view: c.Callable[[], t.Any], path: str = "/") -> None:
        self.app.add_url_rule(path, path, view, methods=["GET", "POST"])

    def names(self, bind: str = "") -> list[str]:
        """What is committed, as another connection sees it."""
        with self.app.app_context():
            engine = self.sql.engine(bind)
        with engine.connect() as connection:
            statement = sa.select(Item.name).order_by(Item.name)
            return list(connection.execute(statement).scalars())


def failures(app: flask.Flask) -> list[CommitFailed]:
    """Those that its error handler is called with, from now on."""
    seen: list[CommitFailed] = []

    @app.errorhandler(CommitFailed)
    def answer(error: CommitFailed) -> tuple[str, int]:
        seen.append(error)
        return "not kept", 500

    return seen


OpenShop: t.TypeAlias = c.Callable[..., Shop]


@contextlib.contextmanager
def opened() -> c.Iterator[OpenShop]:
    """Make shops that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_shop(*args: t.Any, **options: t.Any) -> Shop:
            shop = Shop(*args, **options)
            stack.callback(shop.scopes.close, shop.app)
            return shop

        yield open_shop
