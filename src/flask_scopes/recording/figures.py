"""What is counted of one resource, for as long as a recorder listens."""

from __future__ import annotations

import collections
import statistics
import time
import typing as t
import weakref

if t.TYPE_CHECKING:
    from ..recipe import Recipe

LATEST: t.Final = 200
"""How many of the last times a median is of."""


class Figures:
    """Counts and times of one resource in one app and process."""

    __slots__ = (
        "build_times",
        "built",
        "close_times",
        "closed",
        "failed",
        "failed_to_close",
        "last_failure",
        "last_failure_at",
        "type",
        "used",
        "uses",
    )

    def __init__(self) -> None:
        self.built = 0
        self.failed = 0
        """How often its factory raised."""
        self.closed = 0
        """How many objects were let go."""
        self.failed_to_close = 0
        """How often a teardown raised."""
        self.used = 0
        """How often what was there was asked for."""
        self.build_times: collections.deque[float] = collections.deque(maxlen=LATEST)
        """In seconds."""
        self.close_times: collections.deque[float] = collections.deque(maxlen=LATEST)
        self.last_failure = ""
        self.last_failure_at: float | None = None
        """In seconds since 1970."""
        self.type = ""
        """Of the last object, with its module."""
        self.uses: weakref.WeakKeyDictionary[Recipe, None] = weakref.WeakKeyDictionary()
        """What its factory was seen to ask for."""

    @property
    def alive(self) -> int:
        """How many objects there are now."""
        return max(self.built - self.closed, 0)

    def note_built(self, kind: str, seconds: float) -> None:
        self.built += 1
        self.type = kind
        self.build_times.append(seconds)

    def note_failed(self, failure: str) -> None:
        self.failed += 1
        self._note(failure)

    def note_closed(self, failure: str, seconds: float, *, has_teardown: bool) -> None:
        self.closed += 1
        if has_teardown:
            self.close_times.append(seconds)
        if failure:
            self.failed_to_close += 1
            self._note(failure)

    def _note(self, failure: str) -> None:
        self.last_failure, self.last_failure_at = failure, time.time()


def median(times: collections.deque[float]) -> float | None:
    """The median of *times*; None if there are none."""
    known = list(times)
    return statistics.median(known) if known else None
