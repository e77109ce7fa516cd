"""The pieces of work that are remembered: the latest, and those that were looked at."""

from __future__ import annotations

import collections
import secrets
import time
import typing as t

from .record import Work

if t.TYPE_CHECKING:
    import collections.abc as c

LATEST: t.Final = 50
"""How many pieces of work are kept."""
PINNED: t.Final = 10
"""How many that were looked at are kept for longer."""


def begin(kind: str, title: str, keys: c.Sequence[str] = ()) -> Work:
    """A piece of work that begins now, and is not listed yet."""
    return Work(secrets.token_hex(6), kind, title, tuple(keys))


class Works:
    """Lives as long as the recorder that fills it."""

    def __init__(self) -> None:
        self.since = time.time()
        """In seconds since 1970."""
        self.total = 0
        """How many there were so far."""
        self.running: dict[str, Work] = {}
        """Requests that have not ended, by id."""
        self.past: collections.deque[Work] = collections.deque(maxlen=LATEST)
        """The others, the oldest first."""
        self.pinned: collections.deque[Work] = collections.deque(maxlen=PINNED)

    def follow(self, work: Work) -> None:
        """List *work* among those that are under way."""
        self.running[work.id] = work
        # Their end will not come any more: a server has dropped them.
        for name in list(self.running)[:-LATEST]:
            self.running.pop(name, None)

    def keep(self, work: Work) -> None:
        """*work* is over, or nobody will say when it is."""
        self.running.pop(work.id, None)
        self.total += 1
        self.past.append(work)

    def all(self) -> list[Work]:
        """All that are known, the newest first."""
        known = [*list(self.running.values()), *list(self.past), *list(self.pinned)]
        unique = {work.id: work for work in known}
        return sorted(unique.values(), key=lambda work: work.since, reverse=True)

    def find(self, name: str) -> Work | None:
        """The one with the id *name*, which is kept for longer from now on."""
        work = next((each for each in self.all() if each.id == name), None)
        if work is not None and work not in self.pinned:
            self.pinned.append(work)
        return work
