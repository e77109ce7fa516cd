"""Engines by name: one for each app, process and bind."""

from __future__ import annotations

import collections.abc as c
import contextlib
import itertools
import os
import sqlite3
import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from ..places import declared
from . import messages
from .parts import watch_engine
from .settings import Settings
from .settings import settings_of

if t.TYPE_CHECKING:
    from ..extension import Scopes
    from ..resource import ByBind

_numbers = itertools.count(1)


def engine_resource(scopes: Scopes, given: c.Mapping[str, Engine]) -> ByBind[Engine]:
    """The resource of all engines, by the name of their bind.

    :param given: engines that somebody else has made, and disposes of.
    """
    made_in = os.getpid()

    @scopes.application(ping=_ping)
    @declared("sql.engine")
    def engine(bind: str = "") -> c.Iterator[Engine]:
        if bind in given:
            if os.getpid() != made_in:
                # What is in its pool belongs to the process that forked this one.
                given[bind].dispose(close=False)
            watch_engine(given[bind])
            yield given[bind]
            return
        with contextlib.ExitStack() as keep:
            made = _make(settings_of(flask.current_app.config, bind), keep)
            keep.callback(made.dispose)
            watch_engine(made)
            yield made

    return t.cast("ByBind[Engine]", engine)


def _ping(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.select(sa.literal(1)))


def _make(settings: Settings, keep: contextlib.ExitStack) -> Engine:
    """
    :param keep: what is needed as long as the engine.
    :raises SetupError: the address or the options are wrong.
    """
    url = settings.url
    if url.get_backend_name() == "sqlite" and "poolclass" not in settings.options:
        url = _in_memory(url, keep) or _in_instance_folder(url)
    try:
        return sa.create_engine(url, **settings.options)
    except (SQLAlchemyError, ImportError, TypeError, ValueError) as error:
        raise messages.no_engine(settings.name, error) from None


def _in_memory(url: URL, keep: contextlib.ExitStack) -> URL | None:
    """For a database in memory, one that all connections of the engine share.

    By itself each thread has another, and what is nested shares a transaction. This
    one is like a file (https://www.sqlite.org/src/file/src/memdb.c), and is gone
    with its last connection.
    """
    named = url.database not in (None, "", ":memory:")
    if named or url.query or sqlite3.sqlite_version_info < (3, 36):
        return None
    name = f"file:/flask-scopes-{os.getpid()}-{next(_numbers)}"
    first = sqlite3.connect(f"{name}?vfs=memdb", uri=True, check_same_thread=False)
    keep.enter_context(contextlib.closing(first))
    return url.set(database=name, query={"vfs": "memdb", "uri": "true"})


def _in_instance_folder(url: URL) -> URL:
    """A relative path is one in the instance folder, as Flask-SQLAlchemy has it: the
    working directory is another under each server.
    """
    path = url.database
    if not path or path == ":memory:" or path.startswith("file:"):
        return url
    if os.path.isabs(path):
        return url
    folder = flask.current_app.instance_path
    os.makedirs(folder, exist_ok=True)
    return url.set(database=os.path.join(folder, path))
