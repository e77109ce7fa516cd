"""Slowing down those who guess, by whom they want to be and by where they come from.

An attempt is counted before the password is looked at, in a unit of its own: a burst
does not get in before the first of it has failed, and what was counted stays, whatever
the request is answered with. Nobody is locked out: the longest wait is a minute. And
who has signed in from an address before is counted there by themselves, so that no
stranger elsewhere can make them wait.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import ipaddress
import random
import time
import typing as t

from .. import clock
from ..places import declared
from . import messages
from .memory import Memory
from .records import Record

if t.TYPE_CHECKING:
    from ..extension import Scopes
    from .memory import Kept
    from .records import Records

# If others are quicker each time, there are many of them.
_TRIES: t.Final = 10
# Of each try, in seconds.
_LONGEST_PAUSE: t.Final = 0.02
# How long an address is known to be somebody's, in seconds.
_KNOWN_FOR: t.Final = 30 * 24 * 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Throttle:
    """How much guessing is too much. After some free attempts each has to wait: for a
    second, then twice as long each time.
    """

    free: int = 5
    """Attempts for one account that need not wait."""
    free_by_address: int = 20
    """The same for one address, which many people may share: of IPv6, for a /64."""
    longest: datetime.timedelta = datetime.timedelta(minutes=1)
    """What anybody has to wait at most."""
    forget: datetime.timedelta = datetime.timedelta(hours=1)
    """After how long without an attempt all is forgotten."""


class Attempts:
    """What is counted; lives as long as the program."""

    def __init__(self, scopes: Scopes, records: Records, throttle: Throttle) -> None:
        if min(throttle.free, throttle.free_by_address) < 1 or not (
            datetime.timedelta() < throttle.longest <= throttle.forget
        ):
            raise messages.bad_throttle()
        self._scopes = scopes
        self._records = records
        self._throttle = throttle

        @scopes.application
        @declared("login.attempts")
        def memory() -> Memory:
            return Memory()

        self._memory = memory

    def begin(self, what: str, name: str, address: str | None) -> Kept:
        """Count an attempt to do *what* as *name*, from *address*.

        :return: where it was counted.
        :raises TooManyAttempts: it has to wait, and is not to be made.
        """
        place = _place(address)
        bucket = self._bucket(what, name, place)
        with self._records.apart() as stays:
            # Or in this process at least.
            kept: Kept = self._records if stays else self._memory()
            if place:
                self._take(kept, _by_address(place), self._throttle.free_by_address)
            self._take(kept, bucket, self._throttle.free)
        return kept

    def succeeded(
        self, what: str, name: str, address: str | None, counted: Kept
    ) -> None:
        """Forget the attempts for *name*, and this one from *address*, if the unit
        succeeds.

        :param counted: where this one was, as :meth:`begin` said.
        """
        place = _place(address)

        def forget() -> None:
            bucket = self._bucket(what, name, place)
            for kept in (self._records, self._memory()):
                kept.remove([bucket])
            if place:
                self._give_back(counted, _by_address(place))
            known = Record(_pair(name, place), None, {}, clock.now() + _KNOWN_FOR)
            if not self._records.add(known):
                found = self._records.get(known.id)
                # Once a day is enough.
                if found and known.expires - found.expires > _KNOWN_FOR / 30:
                    self._records.swap(found, {}, known.expires)

        self._scopes.after_commit(forget)

    def _bucket(self, what: str, name: str, place: str) -> str:
        known = self._records.get(_pair(name, place))
        is_known = known is not None and known.expires > clock.now()
        return f"attempts:{what}:{_hash(name, place if is_known else '')}"

    def _take(self, kept: Kept, bucket: str, free: int) -> None:
        for _ in range(_TRIES):
            now = clock.now()
            found = kept.get(bucket)
            is_over = found is None or found.expires <= now
            count = 0 if is_over or found is None else int(found.data["count"])
            wait = 0.0 if is_over or found is None else found.data["free_at"] - now
            if wait > 0:
                raise messages.too_many_attempts(wait)
            data = {"count": count + 1, "free_at": now + self._wait(count + 1 - free)}
            expires = now + self._throttle.forget.total_seconds()
            if found is None:
                done = kept.add(Record(bucket, None, data, expires))
            else:
                done = kept.swap(found, data, expires)
            if done:
                return
            time.sleep(random.uniform(0, _LONGEST_PAUSE))
        raise messages.too_many_attempts(1.0)

    def _wait(self, more: int) -> float:
        """How long the next one has to wait, after so many *more* than are free."""
        longest = self._throttle.longest.total_seconds()
        return 0.0 if more < 0 else min(2.0 ** min(more, 30), longest)

    def _give_back(self, kept: Kept, bucket: str) -> None:
        # (Whoever guesses and signs in as themselves in turn has no gain by it: what
        # they guess is counted.)
        for _ in range(_TRIES):
            found = kept.get(bucket)
            if found is None:
                return
            count = max(0, int(found.data["count"]) - 1)
            data = {"count": count, "free_at": clock.now()}
            if kept.swap(found, data, found.expires):
                return
            time.sleep(random.uniform(0, _LONGEST_PAUSE))


def _place(address: str | None) -> str:
    """*address*, as far as it is somebody's: the host part of IPv6 changes at will. It
    is nothing, if a server says none: then all would share one.
    """
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _by_address(place: str) -> str:
    return f"attempts:address:{_hash('', place)}"


def _pair(name: str, place: str) -> str:
    return f"known:{_hash(name, place)}"


def _hash(name: str, place: str) -> str:
    """Of what was typed, which may be a password, in the wrong field."""
    text = f"{name}\0{place}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()
