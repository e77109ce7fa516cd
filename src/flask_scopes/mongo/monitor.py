"""What a client does, as it tells its listeners: how much, how long, what failed.

Each event comes in the thread of the operation that it is about, and in its context.
"""

from __future__ import annotations

import collections.abc as c
import contextvars
import dataclasses
import logging
import threading
import typing as t

from pymongo import monitoring

if t.TYPE_CHECKING:
    from pymongo import MongoClient

_log = logging.getLogger("flask_scopes.mongo")


@dataclasses.dataclass(frozen=True, slots=True)
class Stats:
    """What one client has done so far in this process."""

    commands: int
    """How many were answered, or failed."""
    failed: int
    """How many of these failed."""
    slow: int
    """How many took longer than ``MONGO_SLOW_MS``."""
    seconds: float
    """How long they took together."""
    connections: int
    """How many are open (without those that watch the servers)."""
    in_use: int
    """How many of these are in use."""
    opened: int
    """How many were opened so far."""


@dataclasses.dataclass(slots=True)
class RequestStats:
    """What one request has asked of all clients so far."""

    commands: int = 0
    failed: int = 0
    seconds: float = 0.0


this_request: contextvars.ContextVar[RequestStats | None] = contextvars.ContextVar(
    "flask_scopes.mongo.this_request", default=None
)


class Watched(t.Protocol):
    """A transaction that wants to hear what failed in it."""

    def note(self, reply: c.Mapping[str, t.Any]) -> None: ...


class _Command(t.NamedTuple):
    target: str
    transaction: Watched | None


class Monitor(monitoring.CommandListener, monitoring.ConnectionPoolListener):
    """Hears what one client does; lives as long as the client.

    :param name: of the client, for the log.
    :param slow: from how many seconds on a command is logged; None: never.
    """

    def __init__(self, name: str, slow: float | None) -> None:
        self.name = name
        self.slow_after = slow
        self.transactions: dict[bytes, Watched] = {}
        """Those in progress, by the id of their session."""
        self._under_way: dict[int, _Command] = {}
        # All threads add to the numbers, and `+=` is not one step.
        self._lock = threading.Lock()
        self._commands = self._failed = self._slow = 0
        self._seconds = 0.0
        self._connections = self._in_use = self._opened = 0

    def stats(self) -> Stats:
        with self._lock:
            return Stats(
                self._commands,
                self._failed,
                self._slow,
                self._seconds,
                self._connections,
                self._in_use,
                self._opened,
            )

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        command = event.command
        transaction = None
        if command.get("autocommit") is False:
            transaction = self.transactions.get(command["lsid"]["id"])
        # Of a `getMore` the number of its cursor; empty for what is secret.
        name = command.get("collection", command.get(event.command_name))
        dotted = isinstance(name, str)
        target = f"{event.database_name}.{name}" if dotted else event.database_name
        self._under_way[event.request_id] = _Command(target, transaction)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        command = self._end(event)
        # What a write could not do is part of an answer that says "ok".
        if command and command.transaction and event.reply.get("writeErrors"):
            command.transaction.note(event.reply)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        command = self._end(event, failed=1)
        if command and command.transaction and "code" in event.failure:
            command.transaction.note(event.failure)

    def _end(
        self,
        event: monitoring.CommandSucceededEvent | monitoring.CommandFailedEvent,
        failed: int = 0,
    ) -> _Command | None:
        command = self._under_way.pop(event.request_id, None)
        seconds = event.duration_micros / 1e6
        slow = self.slow_after is not None and seconds >= self.slow_after
        with self._lock:
            self._commands += 1
            self._failed += failed
            self._slow += slow
            self._seconds += seconds
            request = this_request.get()
            if request is not None:
                request.commands += 1
                request.failed += failed
                request.seconds += seconds
        if slow:
            target = command.target if command else event.database_name
            text = "slow: %s %s took %.0f ms (%s)"
            _log.warning(text, event.command_name, target, seconds * 1e3, self.name)
        return command

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        with self._lock:
            self._opened += 1
            self._connections += 1

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        with self._lock:
            self._connections -= 1

    def connection_checked_out(
        self, event: monitoring.ConnectionCheckedOutEvent
    ) -> None:
        with self._lock:
            self._in_use += 1

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        with self._lock:
            self._in_use -= 1

    # Not counted, but a listener of pools has to have them.
    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None: ...
    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None: ...
    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None: ...
    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None: ...
    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None: ...
    def connection_check_out_started(
        self, event: monitoring.ConnectionCheckOutStartedEvent
    ) -> None: ...
    def connection_check_out_failed(
        self, event: monitoring.ConnectionCheckOutFailedEvent
    ) -> None: ...


def monitor_of(client: MongoClient[t.Any]) -> Monitor | None:
    """Who hears what *client* does; None if we did not make it."""
    for listener in t.cast("list[object]", client.options.event_listeners):
        if isinstance(listener, Monitor):
            return listener
    return None
