"""What an app's config says of its MongoDB servers, and what it does not say.

``MONGO_URI`` is the address of the default client, ``MONGO_BINDS`` has further ones by
name, and ``MONGO_OPTIONS`` are keyword arguments of ``MongoClient`` for all of them.

**Time limits.** By itself PyMongo waits 30 seconds for a server, and for an answer as
long as it takes: one server that hangs then holds every thread of an application. So
where neither address nor options say anything of time, there is one limit for each
operation (``timeoutMS``), and the same one for all operations of a request:

* 15 seconds for a replica set, which takes some 12 to elect another primary: an
  application that waits for that long sees no error at all. And it is well below the
  30 seconds after which gunicorn kills a worker.
* 5 seconds for a single server. Nobody takes its place, so waiting helps nobody.

Whoever says anything of time is believed. The limit for a request would replace each
of their limits (PyMongo looks at one or the other), so then there is none.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t
import urllib.parse

from ..config import bad_config
from ..config import is_by_name
from . import messages

SET_SECONDS: t.Final = 15.0
SINGLE_SECONDS: t.Final = 5.0
SLOW_MS: t.Final = 100.0

SERVERS: t.Final = ("MONGO_URI", "MONGO_BINDS", "MONGO_OPTIONS")
"""All that the settings of a client are made of."""

# What PyMongo looks at instead of `timeoutMS`, in lower case, as options are compared.
_LIMITS = {
    "connecttimeoutms",
    "serverselectiontimeoutms",
    "sockettimeoutms",
    "waitqueuetimeoutms",
    "wtimeoutms",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What one client is made with."""

    uri: str = dataclasses.field(repr=False)  # it may hold a password
    options: dict[str, t.Any] = dataclasses.field(repr=False)

    def said(self) -> set[str]:
        """The names of the options that are given, in the address or beside it."""
        query = self.uri.partition("?")[2]
        # The separator may be a semicolon.
        pairs = urllib.parse.parse_qsl(query.replace(";", "&"), keep_blank_values=True)
        return {name.lower() for name in [*dict(pairs), *self.options]}

    def is_single(self) -> bool:
        """Whether it is one server that nobody takes the place of, as far as that can
        be told without asking it.
        """
        hosts = self.uri.split("://", 1)[-1].partition("/")[0].rpartition("@")[2]
        said = self.said()
        return not (
            "," in hosts
            or self.uri.startswith("mongodb+srv:")
            or said & {"replicaset", "loadbalanced"}
        )

    def limits_time(self) -> bool:
        """Whether anything is said of how long to wait."""
        return bool(self.said() & {*_LIMITS, "timeoutms"})

    def seconds(self) -> float:
        """How long to wait, if nobody says anything else."""
        return SINGLE_SECONDS if self.is_single() else SET_SECONDS

    def defaults(self) -> dict[str, t.Any]:
        """Options for what is not said."""
        said, limit = self.said(), int(self.seconds() * 1000)
        if "timeoutms" in said:
            return {}
        if not said & _LIMITS:
            return {"timeoutMS": limit}
        names = ("serverSelectionTimeoutMS", "socketTimeoutMS")
        return {name: limit for name in names if name.lower() not in said}


def settings_of(config: c.Mapping[str, t.Any], bind: str) -> Settings:
    """What *config* says of the client *bind*; of the default one, if that is empty.

    :raises SetupError: nothing, or something that makes no sense.
    """
    options: object = config.get("MONGO_OPTIONS") or {}
    if not is_by_name(options):
        raise bad_config("MONGO_OPTIONS", messages.OPTIONS)
    if not bind:
        uri: object = config.get("MONGO_URI")
        if not uri:
            raise messages.no_uri()
        if not isinstance(uri, str):
            raise bad_config("MONGO_URI", messages.URI)
        return Settings(uri, dict(options))
    named = bind_names(config)
    if bind not in named:
        raise messages.unknown_bind(bind, named)
    value: object = config["MONGO_BINDS"][bind]
    own: dict[str, t.Any] = dict(value) if is_by_name(value) else {"uri": value}
    uri = own.pop("uri", None)
    if not isinstance(uri, str) or not uri:
        raise bad_config(f"MONGO_BINDS[{bind!r}]", messages.BIND)
    return Settings(uri, {**options, **own})


def bind_names(config: c.Mapping[str, t.Any]) -> list[str]:
    """The names of the further clients.

    :raises SetupError: ``MONGO_BINDS`` is no dictionary of names.
    """
    binds: object = config.get("MONGO_BINDS") or {}
    if not is_by_name(binds) or "" in binds:
        raise bad_config("MONGO_BINDS", messages.BINDS)
    return list(binds)


def all_settings(config: c.Mapping[str, t.Any]) -> dict[str, Settings]:
    """What there is, by the name of the bind; the default one, "", comes first."""
    names = ([""] if config.get("MONGO_URI") else []) + bind_names(config)
    return {name: settings_of(config, name) for name in names}


def request_seconds(config: c.Mapping[str, t.Any], *, debug: bool) -> float | None:
    """How long all operations of one request may take together; None: no limit.

    :param debug: whether the app is debugged: a breakpoint must not use up the time.
    :raises SetupError: ``MONGO_REQUEST_TIMEOUT`` is not a number of seconds, or the
        addresses are not what they should be.
    """
    if "MONGO_REQUEST_TIMEOUT" in config:
        value: object = config["MONGO_REQUEST_TIMEOUT"]
        return _number(value, "MONGO_REQUEST_TIMEOUT", messages.SECONDS)
    everything = all_settings(config).values()
    if debug or any(each.limits_time() for each in everything):
        return None
    return max((each.seconds() for each in everything), default=SET_SECONDS)


def name_prefix(config: c.Mapping[str, t.Any]) -> str:
    """What the names of all databases begin with in this app: those of a test, say, or
    of another stage on the same server.

    :raises SetupError: ``MONGO_DATABASE_PREFIX`` is no text.
    """
    value: object = config.get("MONGO_DATABASE_PREFIX", "")
    if not isinstance(value, str):
        raise bad_config("MONGO_DATABASE_PREFIX", messages.PREFIX)
    return value


def slow_seconds(config: c.Mapping[str, t.Any]) -> float | None:
    """From when on a command is called slow; None: never.

    :raises SetupError: ``MONGO_SLOW_MS`` is not a number of milliseconds.
    """
    value: object = config.get("MONGO_SLOW_MS", SLOW_MS)
    limit = _number(value, "MONGO_SLOW_MS", messages.MILLISECONDS, zero=True)
    return None if limit is None else limit / 1000


def _number(value: object, name: str, what: str, *, zero: bool = False) -> float | None:
    if value is None:
        return None
    number = value if isinstance(value, int | float) else -1
    if isinstance(value, bool) or not (number > 0 or (zero and number == 0)):
        raise bad_config(name, what)
    return float(number)
