"""Remember-me: a cookie that signs a device in again when its session is over.

It names a record, and has a secret of which the record has a hash. The secret is good
once: whoever signs in with it gets another one. If an older one comes, two have the
same cookie, and nobody can tell which of them is the thief: then the device is not
remembered any more, and what was signed in by it is signed out. (Barry Jaspan described
it in 2006.) Requests that were on their way as it changed still sign in for a moment.

What a cookie says is signed as Flask-Login does it, so a made up one changes nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
import secrets
import typing as t

import flask

from .. import clock
from . import messages
from .records import Record
from .upstream import decode_cookie
from .upstream import encode_cookie
from .upstream import secret_keys

if t.TYPE_CHECKING:
    import collections.abc as c
    import datetime

    from .records import Data
    from .records import Records

_KIND: t.Final = "device"
_SHAPE: t.Final = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})", re.ASCII)
# How long the secret before is still good, in seconds.
_GRACE: t.Final = 10.0
# Of characters; more is cut off.
_LONGEST: t.Final = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """What a browser is to have."""

    cookie: str
    expires: float


@dataclasses.dataclass(frozen=True, slots=True)
class Remembered:
    """Who a cookie is of."""

    user: str
    device: str
    """The id of the record, without its kind."""
    kept: Kept | None
    """The cookie from now on, if it is another one."""


class Devices:
    """The devices that are remembered; lives as long as the program.

    :param on_theft: called with the user and the id of a device whose cookie somebody
        else has as well, before it is forgotten.
    """

    def __init__(
        self,
        records: Records,
        on_theft: c.Callable[[str, str], object],
    ) -> None:
        self._records = records
        self._on_theft = on_theft

    def add(self, user: str, lasts: datetime.timedelta) -> tuple[str, Kept]:
        """Remember the device that this request comes from, as part of this unit: its
        id, and what it is to keep.
        """
        device, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        now = clock.now()
        data = {"digest": _digest(secret), "created": now, "seen": now, **_visit()}
        expires = now + lasts.total_seconds()
        self._records.add(Record(f"{_KIND}:{device}", user, data, expires))
        return device, Kept(_cookie(device, secret), expires)

    def check(self, cookie: str) -> Remembered | None:
        """Who *cookie* is of, if it is good; it is not good again. What is written
        stays, whatever becomes of the request.
        """
        shape = _SHAPE.fullmatch(_signed(cookie) or "")
        if shape is None:
            return None
        device, secret = shape.groups()
        # (On Flask 3.2 there is no request in a unit of its own.)
        visit = _visit()
        with self._records.apart() as stays:
            found = self._found(device)
            if found is None or found.owner is None:
                return None
            if not stays and _is_good(found, secret):
                # It could be taken back when the cookie has changed already.
                return Remembered(found.owner, device, None)
            kept = self._renewed(found, device, secret, visit)
            if kept is None:
                # Another request may just have been quicker with the same one.
                found = self._found(device)
            if found is None or found.owner is None:
                return None
            if kept is None and not _was_good(found, secret):
                messages.log_theft(found.owner)
                self._on_theft(found.owner, device)
                self._records.remove([found.id])
                return None
            return Remembered(found.owner, device, kept)

    def _found(self, device: str) -> Record | None:
        found = self._records.get(f"{_KIND}:{device}")
        return found if found is not None and found.expires > clock.now() else None

    def _renewed(
        self, found: Record, device: str, secret: str, visit: Data
    ) -> Kept | None:
        """The next cookie, if *secret* is good, and nobody was quicker."""
        if not _is_good(found, secret):
            return None
        now, another = clock.now(), secrets.token_urlsafe(32)
        data = {
            **found.data,
            **visit,
            "seen": now,
            "digest": _digest(another),
            "old_digest": found.data["digest"],
            "old_until": now + _GRACE,
        }
        if not self._records.swap(found, data, found.expires):
            return None
        return Kept(_cookie(device, another), found.expires)

    def of(self, user: str) -> list[Record]:
        """The records of those of *user*, as far as they are not over."""
        found = self._records.of(_KIND, user)
        return [each for each in found if each.expires > clock.now()]

    def forget_all(self, user: str, *, but: str | None = None) -> int:
        """Forget the devices of *user*, but for one; how many there were."""
        found = self._records.of(_KIND, user)
        ids = [each.id for each in found if each.id != f"{_KIND}:{but}"]
        return self._records.remove(ids) if ids else 0

    def forget(self, devices: c.Collection[str]) -> int:
        """Forget devices; how many there were."""
        ids = [f"{_KIND}:{each}" for each in devices]
        return self._records.remove(ids) if ids else 0

    def device_of(self, cookie: str) -> str | None:
        """The id of the device that *cookie* is of, whether it is good or not."""
        shape = _SHAPE.fullmatch(_signed(cookie) or "")
        return shape[1] if shape else None


def _is_good(found: Record, secret: str) -> bool:
    return hmac.compare_digest(_digest(secret), str(found.data["digest"]))


def _was_good(found: Record, secret: str) -> bool:
    old = str(found.data.get("old_digest", ""))
    until: float = found.data.get("old_until", 0.0)
    return hmac.compare_digest(_digest(secret), old) and clock.now() < until


def _visit() -> dict[str, str]:
    request = flask.request
    agent = request.headers.get("User-Agent", "")[:_LONGEST]
    return {"agent": agent, "address": (request.remote_addr or "")[:_LONGEST]}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _cookie(device: str, secret: str) -> str:
    return encode_cookie(f"{device}.{secret}")


def _signed(cookie: str) -> str | None:
    """What *cookie* says, if it is signed with one of the app's keys."""
    if not cookie.isascii():
        return None
    found = (decode_cookie(cookie, key) for key in secret_keys())
    return next((each for each in found if each is not None), None)
