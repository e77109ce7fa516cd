"""Tokens for programs: each is its owner, for some purposes, until it is revoked.

A token begins with a prefix, by which scanners of source code know it, and has an id,
by which its record is found, and 256 random bits, of which the record has a hash. So no
search depends on what is secret. (It needs no key: what is random cannot be guessed.)
"""

from __future__ import annotations

import dataclasses
import datetime
import hmac
import re
import secrets
import typing as t

from .. import clock
from . import messages
from .records import FOR_EVER
from .records import Record
from .records import digest_of

if t.TYPE_CHECKING:
    import collections.abc as c

    from .records import Records

_KIND: t.Final = "token"
# Last use is written down at most this often, in seconds.
_TOUCH_EVERY: t.Final = 60.0
_PREFIX: t.Final = re.compile(r"[A-Za-z][A-Za-z0-9]{1,15}")


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token, besides itself."""

    id: str
    """For ``login.tokens.revoke(user, id)``. It is no secret."""
    user: str
    """The id of whose it is."""
    name: str
    """What its owner calls it."""
    scopes: frozenset[str]
    """What it may be used for, as OAuth calls that: not how long anything lives."""
    created: datetime.datetime
    expires: datetime.datetime | None
    seen: datetime.datetime | None
    """When it was last used, to the minute."""


class Tokens:
    """The tokens of an application's users; lives as long as the program.

    :param prefix: what each begins with, before an underscore.
    """

    def __init__(self, records: Records, prefix: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise messages.bad_prefix(prefix)
        self._records = records
        self._prefix = f"{prefix}_"
        # 16 and 32 bytes, in base64 for addresses.
        self._shape = re.compile(
            rf"{prefix}_([A-Za-z0-9_-]{{22}})([A-Za-z0-9_-]{{43}})", re.ASCII
        )

    def create(
        self,
        user: object,
        name: str,
        *,
        scopes: c.Collection[str] = (),
        expires: datetime.timedelta | None = datetime.timedelta(days=90),
    ) -> str:
        """Make a token, as part of this unit. It is to be shown once: nobody can find
        it out again.

        :param user: the id of whose it is, or what is the same as text.
        :param scopes: what it may be used for; see ``@login.requires``.
        :param expires: after how long it is over; None for never.
        :raises SetupError: this is no time to come.
        """
        if isinstance(scopes, str):
            raise messages.bad_token_scopes(scopes)
        if expires is not None and not datetime.timedelta() < expires <= FOR_EVER:
            raise messages.bad_end(expires)
        found, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        data = {
            "name": name,
            "scopes": sorted(set(scopes)),
            "digest": digest_of(secret),
            "created": clock.now(),
            "ends": expires is not None,
        }
        until = clock.now() + (expires or FOR_EVER).total_seconds()
        self._records.add(Record(f"{_KIND}:{found}", str(user), data, until))
        return f"{self._prefix}{found}{secret}"

    def of(self, user: object) -> list[Token]:
        """The tokens of *user* that are good, last made first."""
        found = self._records.of(_KIND, str(user))
        alive = [each for each in found if each.expires > clock.now()]
        alive.sort(key=lambda each: float(each.data["created"]), reverse=True)
        return [_token(each) for each in alive]

    def revoke(self, user: object, token_id: str) -> bool:
        """End a token of *user*, as part of this unit.

        :return: whether there was such a one of theirs.
        """
        found = self._records.get(f"{_KIND}:{token_id}")
        if found is None or found.owner != str(user):
            return False
        return self._records.remove([found.id]) > 0

    def revoke_all(self, user: object) -> int:
        """End all tokens of *user*, as part of this unit; how many there were."""
        found = [each.id for each in self._records.of(_KIND, str(user))]
        return self._records.remove(found) if found else 0

    def is_one(self, text: str) -> bool:
        """Whether *text* says that it is one of ours, be it good or not."""
        return text.startswith(self._prefix)

    def check(self, text: str) -> Token | None:
        """The token that *text* is; None if it is none that is good. Notes its use."""
        shape = self._shape.fullmatch(text)
        if shape is None:
            return None
        found_by, secret = shape.groups()
        found = self._records.get(f"{_KIND}:{found_by}")
        if found is None or found.expires <= clock.now():
            return None
        if not hmac.compare_digest(digest_of(secret), str(found.data["digest"])):
            return None
        if clock.now() - found.data.get("seen", 0.0) >= _TOUCH_EVERY:
            # Of its own, so that it stays whatever becomes of the request. If another
            # request was quicker, that has noted the same.
            with self._records.apart() as stays:
                data = {**found.data, "seen": clock.now()}
                if stays:
                    self._records.swap(found, data, found.expires)
        return _token(found)


def _token(record: Record) -> Token:
    data = record.data
    seen = data.get("seen")
    return Token(
        id=record.id.partition(":")[2],
        user=str(record.owner),
        name=data["name"],
        scopes=frozenset(data["scopes"]),
        created=clock.date_of(data["created"]),
        expires=clock.date_of(record.expires) if data["ends"] else None,
        seen=None if seen is None else clock.date_of(seen),
    )
