"""One transaction for all that a test does with an engine, rolled back when it ends.

SQLAlchemy's recipe is to bind the test's session to a connection in a transaction.
Here the *pool* of the engine is replaced, as views open sessions and connections of
their own: all get parts of the one connection, each with a savepoint where it believes
to have a transaction. "commit" lets that savepoint go, and "rollback" goes back to it.

For one thread. What commits by itself cannot be rolled back: DDL in MySQL, say.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import itertools
import sqlite3
import typing as t

from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from . import dialects


@contextlib.contextmanager
def rolled_back(engine: Engine) -> c.Generator[None, None, None]:
    """Roll back at the end whatever is done with *engine* in the block."""
    pool = engine.pool
    with contextlib.closing(engine.raw_connection()) as taken:
        whole = _Whole(taken.dbapi_connection)
        with whole.rolled_back():
            parts = NullPool(
                lambda: t.cast("t.Any", _Part(whole)), dialect=engine.dialect
            )
            engine.pool = parts
            dialects.watch(engine)
            try:
                yield
            finally:
                is_disposed, engine.pool = engine.pool is not parts, pool
    if is_disposed:
        # In the block, when that was the pool of the parts.
        pool.dispose()


class _Whole:
    """The one connection, and the savepoints in it; lives as long as the test."""

    def __init__(self, own: t.Any) -> None:
        self.own = own
        self._numbers = itertools.count(1)
        self._savepoints: list[str] = []

    @contextlib.contextmanager
    def rolled_back(self) -> c.Generator[None, None, None]:
        own = self.own
        is_sqlite = isinstance(own, sqlite3.Connection)
        # Others begin one with the first statement, unless they commit each.
        begins = not own.in_transaction if is_sqlite else _commits_each(own)
        if begins:
            self.execute("BEGIN")
        try:
            yield
        finally:
            if not is_sqlite:
                own.rollback()
            elif own.in_transaction:
                # Its own `rollback` may not feel responsible for what we began.
                self.execute("ROLLBACK")

    def execute(self, statement: str) -> None:
        cursor = self.own.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()

    def begin(self) -> str:
        name = f"flask_scopes_{next(self._numbers)}"
        self.execute(f"SAVEPOINT {name}")
        self._savepoints.append(name)
        return name

    def commit(self, name: str) -> None:
        if name not in self._savepoints:
            # Taken back by one that began before it.
            return
        if self._savepoints[-1] == name:
            self.execute(f"RELEASE SAVEPOINT {name}")
        # Or else the later ones would be let go too, which may still be taken back.
        self._savepoints.remove(name)

    def roll_back(self, name: str) -> None:
        if name in self._savepoints:
            del self._savepoints[self._savepoints.index(name) :]
            self.execute(f"ROLLBACK TO SAVEPOINT {name}")
            self.execute(f"RELEASE SAVEPOINT {name}")


def _commits_each(own: t.Any) -> bool:
    return getattr(own, "autocommit", None) is True


class _Part:
    """What the pool hands out for a connection of a driver: lives until it is returned.

    It is the one connection, but for where a transaction begins and ends.
    """

    def __init__(self, whole: _Whole) -> None:
        vars(self).update(_whole=whole, _savepoint=None)

    def cursor(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        if self._savepoint is None:
            vars(self)["_savepoint"] = self._whole.begin()
        return self._whole.own.cursor(*args, **kwargs)

    def commit(self) -> None:
        self._end(self._whole.commit)

    def rollback(self) -> None:
        self._end(self._whole.roll_back)

    def close(self) -> None:
        self.rollback()

    def _end(self, step: c.Callable[[str], None]) -> None:
        name: str | None = vars(self)["_savepoint"]
        vars(self)["_savepoint"] = None
        if name is not None:
            step(name)

    def __getattr__(self, name: str) -> t.Any:
        return getattr(vars(self)["_whole"].own, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._whole.own, name, value)
