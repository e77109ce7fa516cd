"""Clients by name: one for each app, process, and distinct address and options."""

from __future__ import annotations

import collections.abc as c
import importlib.metadata
import typing as t
import weakref

import flask
import pymongo
from pymongo import MongoClient
from pymongo.driver_info import DriverInfo
from pymongo.errors import PyMongoError

from ..places import declared
from ..resource import ByBind
from . import messages
from .monitor import Monitor
from .settings import SERVERS
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


class Holders:
    """Which bind has the client of which; lives as long as its ``Mongo``.

    It is asked in each request that writes, so what is found out is kept, with the app,
    as long as its config says the same.

    :param given: clients that somebody else has made, and closes.
    """

    def __init__(self, given: c.Mapping[str, Existing]) -> None:
        self.given = given

    def of(self, bind: str) -> str:
        """The first bind with the same client, or the same address and options: it has
        the client for all of them.

        :raises SetupError: the app's config does not say where *bind* is.
        """
        given = self.given
        if bind in given:
            return next(name for name, each in given.items() if each is given[bind])
        known = self._known_of_app()
        found = known.holders.get(bind)
        if found is None:
            found = known.holders[bind] = self._find(bind, known.said)
        return found

    def _known_of_app(self) -> _Known:
        proxy: t.Any = flask.current_app
        app: flask.Flask = proxy._get_current_object()
        config = t.cast("dict[str, t.Any]", app.config)
        said = {name: config.get(name) for name in SERVERS}
        # Not here: an option may be an object that refers to its app.
        extensions: dict[str, t.Any] = app.extensions
        if _KEPT not in extensions:
            extensions.setdefault(_KEPT, weakref.WeakKeyDictionary())
        kept: weakref.WeakKeyDictionary[Holders, _Known] = extensions[_KEPT]
        known = kept.get(self)
        if known is None or known.said != said:
            # Copied: an address may be changed in its place.
            known = kept[self] = _Known(_copied(said), {})
        return known

    def _find(self, bind: str, said: c.Mapping[str, t.Any]) -> str:
        settings = settings_of(said, bind)
        return next(
            name
            for name, each in all_settings(said).items()
            if name not in self.given and each == settings
        )


class _Known(t.NamedTuple):
    """What has been found out of an app."""

    said: dict[str, t.Any]
    """By its config, then."""
    holders: dict[str, str]


_KEPT: t.Final = "flask_scopes.mongo"


def _copied(value: object) -> t.Any:
    if isinstance(value, c.Mapping):
        named = t.cast("c.Mapping[object, object]", value)
        return {name: _copied(each) for name, each in named.items()}
    if isinstance(value, list):
        return [_copied(each) for each in t.cast("list[object]", value)]
    return value


def client_resource(scopes: Scopes, holders: Holders) -> ByBind[MongoClient[Document]]:
    """The resource of all clients, by the name of their bind."""
    given = holders.given

    @scopes.application(ping=_ping)
    @declared("mongo.client")
    def client(bind: str = "") -> c.Iterator[MongoClient[Document]]:
        first = holders.of(bind)
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
