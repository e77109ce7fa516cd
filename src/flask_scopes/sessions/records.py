"""What a store keeps of a session, and what it has to be able to do.

A session is a head, and a row for each value: two requests that change different values
touch different rows. Values are JSON text, as Flask's own serializer writes it. Times
are seconds since 1970, in UTC.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import typing as t


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """All of a session but its values."""

    id: str
    digest: str
    """Of its secret; see ``tokens.py``."""
    user: str | None
    created: float
    seen: float
    expires: float
    """When it is over if it is not used any more."""
    limit: float
    """When it is over in any case."""
    agent: str = ""
    address: str = ""
    generation: int = 0
    """How often it was given a new secret."""
    old_digest: str = ""
    """Of the secret before that."""
    old_until: float = 0.0

    @property
    def is_ending(self) -> bool:
        """Whether somebody has signed in since, and has another session now. Then no
        secret is good any more but that before.
        """
        return not self.digest


Fields: t.TypeAlias = c.Mapping[str, t.Any]
"""Of a head, by name."""


class Row(t.NamedTuple):
    """A value of a session."""

    text: str
    generation: int
    """Of the session, when it was written."""


class Stored(t.NamedTuple):
    """A session as it is in the store."""

    head: Head
    rows: dict[str, Row]


class Change(t.NamedTuple):
    """Of a value; None where there is none."""

    old: str | None
    new: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """A browser that somebody is signed in with."""

    id: str
    """Of its session, for ``sessions.revoke(id)``. It is no secret."""
    created: datetime.datetime
    """When they signed in, in UTC."""
    seen: datetime.datetime
    """When it was last used, to the minute."""
    agent: str
    """What the browser says that it is: whatever it likes. At most 300 characters."""
    address: str
    """Where it was last used from: ``request.remote_addr``."""
    current: bool
    """Whether this request comes from it."""


class Store(t.Protocol):
    """Where sessions are kept; lives as long as the program."""

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its driver raises when the database is away."""
        ...

    def load(self, session_id: str) -> Stored | None:
        """A session, in one question."""
        ...

    def add(self, head: Head, texts: c.Mapping[str, str]) -> None:
        """Keep a new session."""
        ...

    def write(
        self,
        head: Head,
        generation: int,
        changes: c.Mapping[str, Change],
        *,
        check: bool,
    ) -> bool:
        """Change values. What is written for a session that is gone is never read.

        :param check: whether to leave all of it, if a value is not what it was.
        :return: whether it was done.
        """
        ...

    def update(self, session_id: str, digest: str, fields: Fields) -> bool:
        """Change fields of a head, if it is there, and has that *digest* still.

        :return: whether it was done.
        """
        ...

    def remove(self, session_ids: c.Collection[str]) -> int:
        """Remove sessions with all their values; how many there were."""
        ...

    def of(self, user: str) -> list[Head]:
        """The sessions of a user, also such as are over."""
        ...

    def joins(self) -> bool:
        """Whether what is added, written and updated now is part of the transaction of
        this unit.
        """
        ...

    def purge(self, now: float) -> int:
        """Remove what is over by *now*, where the database does not by itself; how
        many sessions there were.
        """
        ...
