"""The sessions that this process has seen lately, for when their store is away.

They are only read then: who is signed in stays so, and nobody else comes in.
"""

from __future__ import annotations

import threading
import typing as t

if t.TYPE_CHECKING:
    from .records import Stored

_SECONDS: t.Final = 300.0
_COUNT: t.Final = 1000


class InHand:
    """The last thousand sessions of five minutes; lives as long as the application."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, Stored | None]] = {}
        self._lock = threading.Lock()

    def keep(self, stored: Stored, now: float) -> None:
        with self._lock:
            ended, before = self._seen.get(stored.head.id, (0.0, stored))
            if before is not None or now - ended >= _SECONDS:
                self._put(stored.head.id, now, stored)

    def end(self, session_id: str, now: float) -> None:
        """Whoever has asked for it before may have it in hand, and not yet put here."""
        with self._lock:
            self._put(session_id, now, None)

    def _put(self, session_id: str, now: float, stored: Stored | None) -> None:
        # At the end, as the youngest.
        self._seen.pop(session_id, None)
        self._seen[session_id] = now, stored
        if len(self._seen) > _COUNT:
            del self._seen[next(iter(self._seen))]

    def drop(self, session_id: str) -> None:
        """It has changed."""
        with self._lock:
            if self._seen.get(session_id, (0.0, None))[1] is not None:
                del self._seen[session_id]

    def find(self, session_id: str, now: float) -> Stored | None:
        with self._lock:
            seen, stored = self._seen.get(session_id, (0.0, None))
        return stored if now - seen < _SECONDS else None
