"""What an app's config says of its databases.

``SQLALCHEMY_URL`` is the address of the default engine, ``SQLALCHEMY_BINDS`` has
further ones by name, and ``SQLALCHEMY_ENGINE_OPTIONS`` are keyword arguments of
``sqlalchemy.create_engine`` for all of them.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from sqlalchemy.engine import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from ..config import bad_config
from ..config import is_by_name
from . import messages


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What one engine is made with."""

    name: str
    """What the config calls it, for messages."""
    url: URL
    options: dict[str, t.Any] = dataclasses.field(repr=False)


def settings_of(config: c.Mapping[str, t.Any], bind: str) -> Settings:
    """What *config* says of the engine *bind*; of the default one, if that is empty.

    :raises SetupError: nothing, or something that makes no sense.
    """
    options: object = config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    if not is_by_name(options):
        raise bad_config("SQLALCHEMY_ENGINE_OPTIONS", messages.OPTIONS)
    if not bind:
        value: object = config.get("SQLALCHEMY_URL")
        if not value:
            raise messages.no_url()
        url = _url(value, "SQLALCHEMY_URL", messages.URL)
        return Settings("SQLALCHEMY_URL", url, dict(options))
    binds: object = config.get("SQLALCHEMY_BINDS") or {}
    if not is_by_name(binds) or "" in binds:
        raise bad_config("SQLALCHEMY_BINDS", messages.BINDS)
    if bind not in binds:
        raise messages.unknown_bind(bind, list(binds))
    name = f"SQLALCHEMY_BINDS[{bind!r}]"
    own = dict(binds[bind]) if is_by_name(binds[bind]) else {"url": binds[bind]}
    url = _url(own.pop("url", None), name, messages.BIND)
    return Settings(name, url, {**options, **own})


def _url(value: object, name: str, what: str) -> URL:
    if not isinstance(value, str | URL):
        raise bad_config(name, what)
    try:
        return make_url(value)
    except (ArgumentError, ValueError):
        # What it says may be part of a password.
        raise bad_config(name, what) from None
