"""Remember-me: a cookie that signs a device in again when its session is over.

It names a record, and has a secret of which the record has a hash. The secret is good
once: whoever signs in with it gets another one. If the one before comes after that was
used, two have the same cookie, and nobody can tell which of them is the thief: then the
device is not remembered any more, and what was signed in by it is signed out. (Barry
Jaspan described it in 2006.)

An answer may be lost, or come too late for a cookie; so the one before is good until
the next has come. And requests that are on their way together have the same one: for a
moment after it was exchanged it is good, and no other is made.

What a cookie says is signed as Flask-Login does it, so a made up one changes nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hmac
import typing as t

import flask

from .. import clock
from ..lookup import open_unit
from ..sessions.tokens import Token
from ..sessions.tokens import new_token
from ..sessions.tokens import read_token
from . import messages
from .records import FOR_EVER
from .records import Record
from .records import digest_of
from .upstream import decode_cookie
from .upstream import encode_cookie
from .upstream import secret_keys

if t.TYPE_CHECKING:
    import collections.abc as c

    from .records import Records

_KIND: t.Final = "device"
# How long the secret before is good without another, in seconds.
_GRACE: t.Final = 10.0
# So many answers are not lost one after the other.
_MOST_LOST: t.Final = 5
# If others are as quick as this each time, they have what there is.
_TRIES: t.Final = 5
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

    :param end_sessions: called with the user and the id of a device whose cookie
        somebody else has as well, or may have.
    """

    def __init__(
        self,
        records: Records,
        end_sessions: c.Callable[[str, str], object],
    ) -> None:
        self._records = records
        self._end_sessions = end_sessions

    def add(self, user: str, lasts: datetime.timedelta) -> tuple[str, Kept]:
        """Remember the device that this request comes from, as part of this unit: its
        id, and what it is to keep.
        """
        token, now = new_token(), clock.now()
        data: dict[str, t.Any] = {
            "digest": digest_of(token.secret),
            "old_digest": "",
            "is_used": True,
        }
        data |= {"created": now, "seen": now, "old_until": 0.0, **_visit()}
        expires = now + min(lasts, FOR_EVER).total_seconds()
        made = Record(f"{_KIND}:{token.id}", user, data, expires)
        self._records.add(made)
        unit = open_unit()
        if unit is not None:
            # Of a database without a transaction: nobody gets its cookie then.
            unit.undo.append(lambda error: self._records.remove([made.id]))
        return token.id, Kept(_cookie(token), expires)

    def check(
        self, cookie: str, came: float, *, renew: bool = True
    ) -> Remembered | None:
        """Who *cookie* is of, if it is good; it is not good again. What is written
        stays, whatever becomes of the request.

        :param came: when the request with it came.
        :param renew: whether there can be another cookie with the answer.
        """
        token = read_token(_signed(cookie))
        if token is None:
            return None
        device = token.id
        # (On Flask 3.2 there is no request in a unit of its own.)
        visit = _visit()
        with self._records.apart() as stays:
            for _ in range(_TRIES):
                found = self.found(device)
                if found is None or found.owner is None:
                    return None
                step = _step(found, token, came)
                if step is None:
                    self._end_as_stolen(found, device, at_once=stays)
                    return None
                data, kept = step
                if not stays or (kept is not None and not renew):
                    return Remembered(found.owner, device, None)
                if data is None or self._records.swap(
                    found, {**found.data, **data, **visit}, found.expires
                ):
                    if kept is not None:
                        # Those before are nobody's: this browser has come without
                        # one. Or they are a thief's.
                        self._end_sessions(found.owner, device)
                    return Remembered(found.owner, device, kept)
                # Another request was quicker: it depends on what that has done.
            return None

    def note_that_it_arrived(self, device: str) -> bool:
        """The next cookie of *device* has arrived with whoever has it.

        :return: whether that could be noted.
        """
        with self._records.apart() as stays:
            found = self.found(device)
            if stays and found is not None and not found.data["is_used"]:
                data = {**found.data, "is_used": True}
                return self._records.swap(found, data, found.expires)
            return stays

    def _end_as_stolen(self, found: Record, device: str, *, at_once: bool) -> None:
        messages.log_theft(str(found.owner))

        def end(error: BaseException | None = None) -> None:
            self._end_sessions(str(found.owner), device)
            self._records.remove([found.id])

        unit = open_unit()
        if at_once or unit is None:
            end()
        else:
            # As soon as there is room, however the request ends.
            unit.callbacks.append(end)
            unit.undo.append(end)

    def found(self, device: str) -> Record | None:
        """The record of *device*, if it is remembered."""
        found = self._records.get(f"{_KIND}:{device}")
        return found if found is not None and found.expires > clock.now() else None

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
        token = read_token(_signed(cookie))
        return token.id if token else None


def _step(
    found: Record, token: Token, came_at: float
) -> tuple[dict[str, t.Any] | None, Kept | None] | None:
    """What is to be written, and the next cookie, for whoever comes with *token*; None
    if its secret is neither the one that is good, nor was so until that was used.
    """
    data, now, came = found.data, clock.now(), digest_of(token.secret)
    in_a_moment, lost = came_at < data["old_until"], 0
    if hmac.compare_digest(came, str(data["digest"])):
        if in_a_moment:
            return (None if data["is_used"] else {"is_used": True, "seen": now}), None
        old = came
    elif hmac.compare_digest(came, str(data["old_digest"])):
        if in_a_moment:
            return None, None
        lost = data.get("lost", 0) + 1
        if data["is_used"] or lost > _MOST_LOST:
            return None
        # The answer with the next one was lost.
        old = came
    else:
        return None
    another = new_token(token.id)
    written = {"digest": digest_of(another.secret), "old_digest": old, "is_used": False}
    written |= {"seen": now, "old_until": now + _GRACE, "lost": lost}
    return written, Kept(_cookie(another), found.expires)


def _visit() -> dict[str, str]:
    request = flask.request
    agent = request.headers.get("User-Agent", "")[:_LONGEST]
    return {"agent": agent, "address": (request.remote_addr or "")[:_LONGEST]}


def _cookie(token: Token) -> str:
    return encode_cookie(str(token))


def _signed(cookie: str) -> str | None:
    """What *cookie* says, if it is signed with one of the app's keys."""
    if not cookie.isascii():
        return None
    found = (decode_cookie(cookie, key) for key in secret_keys())
    return next((each for each in found if each is not None), None)
