"""What type checkers make of ``flask_scopes.sqlalchemy``. Checked by mypy and pyright,
never run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL
from flask_scopes.sqlalchemy import Page
from flask_scopes.sqlalchemy import first_or_404
from flask_scopes.sqlalchemy import get_or_404
from flask_scopes.sqlalchemy import one_or_404
from flask_scopes.sqlalchemy import paginate


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]


scopes = Scopes()
sql = SQL(scopes)
engine = sa.create_engine("sqlite://")
SQL(scopes, engine=engine, binds={"reports": engine})
SQL(scopes, sessionmaker=sessionmaker(expire_on_commit=False))
SQL(scopes, engine="sqlite://")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

t.assert_type(sql.engine(), Engine)
t.assert_type(sql.engine("reports"), Engine)
t.assert_type(sql.session(), Session)
t.assert_type(sql.session(bind="reports"), Session)
sql.session(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
sql.session.override(Session())


class Extension:
    session = scoped_session(sessionmaker())


sql.join(Extension())
sql.join(Extension.session)
sql.join(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

session = sql.session()
t.assert_type(get_or_404(session, Post, 1), Post)
t.assert_type(get_or_404(Extension.session, Post, (1, 2), with_for_update=True), Post)
t.assert_type(one_or_404(session, sa.select(Post)), Post)
t.assert_type(one_or_404(session, sa.select(Post.title)), str)
t.assert_type(first_or_404(session, sa.select(Post)), Post)
one_or_404(session, Post)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]

page = paginate(session, sa.select(Post).order_by(Post.id), page=1, size=5)
t.assert_type(page, Page[Post])
t.assert_type(page.items, c.Sequence[Post])
t.assert_type(page.total, int)
t.assert_type(list(page.numbers()), list[int | None])
for each in page:
    t.assert_type(each, Post)


@scopes.read_only
def view(number: int) -> str:
    return str(number)


t.assert_type(view(1), str)
