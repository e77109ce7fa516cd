"""Clients by name: one for each app, process, and distinct address and options."""

from __future__ import annotations

import collections.abc as c
import importlib.metadata
import typing as t

import flask
import pymongo
from pymongo import MongoClient
from pymongo.driver_info import DriverInfo
from pymongo.errors import PyMongoError

from ..places import declared
from ..resource import ByBind
from . import messages
from .monitor import Monitor
from .settings import Settings
from .settings import all_settings
from .settings import settings_of
from .settings import slow_seconds

if t.TYPE_CHECKING:
    from ..extension import Scopes

Document: t.TypeAlias = dict[str, t.Any]

_CLOSE_SECONDS: t.Final = 2.0


class HasClient(t.Protocol):
    """An extension with a client, such as ``flask_pymongo.PyMongo``."""

    @property
    def cx(self) -> t.Any: ...


Existing: t.TypeAlias = MongoClient[t.Any] | HasClient


def client_resource(
    scopes: Scopes, given: c.Mapping[str, Existing]
) -> ByBind[MongoClient[Document]]:
    """The resource of all clients, by the name of their bind.

    :param given: clients that somebody else has made, and closes.
    """

    @scopes.application(ping=_ping)
    @declared("mongo.client")
    def client(bind: str = "") -> c.Iterator[MongoClient[Document]]:
        first = holder_of(given, bind)
        if first != bind:
            yield client(first)
            return
        if bind in given:
            yield _client_of(given[bind])
            return
        config: c.Mapping[str, t.Any] = flask.current_app.config
        connected = _connect(settings_of(config, bind), bind, slow_seconds(config))
        try:
            yield connected
        finally:
            # It says goodbye to the server, for half a minute if that is gone.
            with pymongo.timeout(_CLOSE_SECONDS):
                connected.close()

    return t.cast("ByBind[MongoClient[Document]]", client)


def _ping(client: MongoClient[Document]) -> None:
    client.admin.command("ping")


def holder_of(given: c.Mapping[str, Existing], bind: str) -> str:
    """The first bind with the same client, or the same address and options: it has the
    client for all of them.

    :raises SetupError: the app's config does not say where *bind* is.
    """
    if bind in given:
        return next(name for name, each in given.items() if each is given[bind])
    config: c.Mapping[str, t.Any] = flask.current_app.config
    settings = settings_of(config, bind)
    return next(
        name
        for name, each in all_settings(config).items()
        if name not in given and each == settings
    )


def _connect(
    settings: Settings, bind: str, slow: float | None
) -> MongoClient[Document]:
    """
    :raises SetupError: the address or the options are wrong.
    """
    options = {**settings.defaults(), **settings.options}
    listeners = [*options.pop("event_listeners", ()), Monitor(bind or "default", slow)]
    version = importlib.metadata.version("Flask-Scopes")
    options.setdefault("driver", DriverInfo("Flask-Scopes", version))
    try:
        return MongoClient(settings.uri, event_listeners=listeners, **options)
    except (PyMongoError, TypeError, ValueError) as error:
        # With a password in it, its parts may be in the text as well.
        detail = "" if "@" in settings.uri else f": {error}"
        raise messages.not_connected(bind, error, detail) from None


def _client_of(existing: Existing) -> MongoClient[Document]:
    client: object = getattr(existing, "cx", existing)
    # (Every attribute of a MongoClient is a database, `cx` too.)
    if isinstance(existing, MongoClient):
        client = t.cast("object", existing)
    if not isinstance(client, MongoClient):
        raise messages.not_a_client(existing)
    return t.cast("MongoClient[Document]", client)
