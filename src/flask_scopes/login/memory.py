"""What a process keeps of attempts by itself, where its database has no room for it."""

from __future__ import annotations

import dataclasses
import threading
import typing as t

from .. import clock

if t.TYPE_CHECKING:
    import collections.abc as c

    from .records import Data
    from .records import Record

# Of records; then what is over goes, and if that is not enough, all of it.
_MOST: t.Final = 10_000


class Kept(t.Protocol):
    """The part of ``Records`` that attempts need."""

    def get(self, record_id: str) -> Record | None: ...
    def add(self, record: Record) -> bool: ...
    def swap(self, record: Record, data: Data, expires: float) -> bool: ...
    def remove(self, record_ids: c.Collection[str]) -> int: ...


class Memory:
    """Records in memory; lives as long as the process, and has a limit."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()

    def get(self, record_id: str) -> Record | None:
        return self._records.get(record_id)

    def add(self, record: Record) -> bool:
        with self._lock:
            if len(self._records) >= _MOST:
                now = clock.now()
                alive = {k: v for k, v in self._records.items() if v.expires > now}
                self._records = alive if len(alive) < _MOST else {}
            return self._records.setdefault(record.id, record) is record

    def swap(self, record: Record, data: Data, expires: float) -> bool:
        with self._lock:
            if self._records.get(record.id) is not record:
                return False
            version = record.version + 1
            self._records[record.id] = dataclasses.replace(
                record, data=data, expires=expires, version=version
            )
            return True

    def remove(self, record_ids: c.Collection[str]) -> int:
        with self._lock:
            return sum(self._records.pop(each, None) is not None for each in record_ids)
