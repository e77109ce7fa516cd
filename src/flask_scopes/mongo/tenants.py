"""The database of the tenant of a unit: each has its own, named after its id."""

from __future__ import annotations

import collections.abc as c
import re
import typing as t
import uuid

import flask
from bson import ObjectId

from ..places import place_of
from . import messages
from .settings import name_prefix

if t.TYPE_CHECKING:
    from pymongo import MongoClient

    from .clients import Document

_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")
_FORBIDDEN = re.compile(r'[/\\. "$*<>:|?\0]')
_LONGEST: t.Final = 63
# What ids become: an ObjectId, a UUID, a number.
_ID = re.compile(r"[0-9a-f]{24}|[0-9a-f]{32}|[0-9]+")


def checked_name(name: object) -> str:
    """*name*, if a database can have it.

    :raises SetupError: it cannot.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name.encode()) <= _LONGEST
        or _FORBIDDEN.search(name)
    ):
        raise messages.bad_database_name(name)
    return name


def full_name(name: str) -> str:
    """What the database *name* is called for the current app.

    :raises SetupError: with the app's prefix it is none.
    """
    return checked_name(name_prefix(flask.current_app.config) + name)


class Tenants:
    """How databases are named after tenants; lives as long as its resource.

    :param resolve: finds out whose unit it is.
    :param prefix: what all the names begin with, and no other database's does.
    :param allow: the text that may name a tenant.
    :raises SetupError: the *prefix*, or what is allowed, cannot be part of a name.
    """

    def __init__(
        self, resolve: c.Callable[[], object], prefix: str, allow: c.Collection[str]
    ) -> None:
        if not isinstance(t.cast("object", prefix), str) or not _PREFIX.fullmatch(
            prefix
        ):
            raise messages.bad_prefix(prefix)
        self.resolve = resolve
        self.prefix = prefix
        self.allow = frozenset(allow)
        for text in self.allow:
            checked_name(prefix + text)

    def name(self, resource: c.Callable[..., object]) -> str:
        """The name of the current one's database.

        :raises Unauthorized: there is none.
        :raises TenantError: what was found out about it is no id.
        """
        tenant = self.resolve()
        if tenant is None:
            flask.abort(401)
        key = tenant
        if not isinstance(tenant, ObjectId | uuid.UUID | int | str):
            key = getattr(tenant, "id", tenant)
        suffix = self._suffix(key)
        if suffix is None:
            raise messages.bad_tenant(resource.__name__, place_of(resource), key)
        return full_name(self.prefix + suffix)

    def _suffix(self, key: object) -> str | None:
        if isinstance(key, ObjectId):
            return str(key)
        if isinstance(key, uuid.UUID):
            return key.hex
        if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < 10**32:
            return str(key)
        if isinstance(key, str) and key in self.allow:
            return key
        return None

    def existing(self, client: MongoClient[Document]) -> list[str]:
        """The names of all that there are."""
        prefix = full_name(self.prefix)
        return sorted(
            name
            for name in client.list_database_names()
            if name.startswith(prefix) and self._is_suffix(name.removeprefix(prefix))
        )

    def _is_suffix(self, text: str) -> bool:
        return text in self.allow or _ID.fullmatch(text) is not None
