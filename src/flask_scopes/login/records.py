"""What is kept about signing in besides the users: attempts, devices, tokens.

All are records of one shape, so that one table or collection has them: an id that says
its kind, an owner, plain data, and a time when it is over. A record is changed by
whoever has seen it last, and by nobody else: two requests at once cannot both use what
is good once.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import datetime
import hashlib
import typing as t

FOR_EVER: t.Final = datetime.timedelta(days=36_525)
"""How long a record is kept at most: there is a last date that can be written."""

Data: t.TypeAlias = c.Mapping[str, t.Any]
"""Plain data, as JSON has it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One of them, as it was read. Times are seconds since 1970, in UTC."""

    id: str
    """Its kind, a colon, and what it is found by: ``"token:7f3a..."``."""
    owner: str | None
    """The id of the user whose it is."""
    data: Data
    expires: float
    """When it is over. Then it counts as gone, whether it was removed or not."""
    version: int = 0
    """How often it was changed."""


def digest_of(secret: str) -> str:
    """What a record has of *secret*. (That is random: nobody can guess what it was.)"""
    return hashlib.sha256(secret.encode()).hexdigest()


class Records(t.Protocol):
    """Where they are kept; lives as long as the program. What is written is part of the
    transaction of the unit, if that has one in the same database.
    """

    def get(self, record_id: str) -> Record | None:
        """The record by this id, also if it is over."""
        ...

    def add(self, record: Record) -> bool:
        """Keep a record; whether it was done: not if there is one by this id."""
        ...

    def swap(self, record: Record, data: Data, expires: float) -> bool:
        """Change a record, if it is still as it was read; whether it was done."""
        ...

    def remove(self, record_ids: c.Collection[str]) -> int:
        """Remove records; how many there were."""
        ...

    def of(self, kind: str, owner: str) -> list[Record]:
        """The records of one kind that somebody owns, also such as are over."""
        ...

    def apart(self) -> contextlib.AbstractContextManager[bool]:
        """Around what is to stay whatever becomes of the unit around it: a unit of its
        own. If that cannot be, it says so, and nothing is to be written.
        """
        ...

    def purge(self, now: float) -> int:
        """Remove what is over by *now*, where the database does not by itself; how
        many records there were.
        """
        ...
