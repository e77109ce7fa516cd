"""One transaction for all that a test does with a client, aborted when it ends.

MongoDB's transactions do not nest, and any error ends one. So what was written is kept
in a journal; when a part is to be taken back, or an error has ended all of it, another
transaction begins, and what is still to be there is written again. To a view nothing of
this is visible: its session commits and aborts as ever.

PyMongo has no public way to do so. What it does not document is used in this module
alone, which only tests import.

For one thread. What MongoDB cannot do in a transaction cannot be done in such a test.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import typing as t
import uuid

from pymongo import monitoring
from pymongo.client_session import ClientSession
from pymongo.errors import ConfigurationError

from .monitor import monitor_of

if t.TYPE_CHECKING:
    from pymongo import MongoClient

    from .clients import Document

_WRITES: t.Final = frozenset(
    (
        "bulkWrite",
        "create",
        "createIndexes",
        "delete",
        "findAndModify",
        "insert",
        "update",
    )
)
# Of one transaction, and not of what was written.
_PASSING: t.Final = frozenset(
    (
        *("lsid", "txnNumber", "autocommit", "startTransaction", "readConcern"),
        *("writeConcern", "$db", "$clusterTime", "$readPreference", "maxTimeMS"),
    )
)


@contextlib.contextmanager
def rolled_back(client: MongoClient[Document]) -> c.Generator[None, None, None]:
    """Take back at the end whatever is written by *client* in the block.

    :raises ConfigurationError: its server knows no transactions.
    """
    hello = client.admin.command("hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        reason = "this MongoDB is no replica set, and only these know transactions"
        raise ConfigurationError(reason)
    inside: t.Any = client
    bound = inside._get_bound_session
    with client.start_session() as session, _Whole(session).heard() as whole:
        plain = _Part(whole)
        inside.start_session = functools.partial(_start_session, whole)
        # What has no session= of its own: that of `bind`, or else this one.
        inside._get_bound_session = lambda: bound() or plain
        try:
            yield
        finally:
            del inside.start_session, inside._get_bound_session


def _start_session(whole: _Whole, *args: object, **kwargs: object) -> _Part:
    return _Part(whole)


class _Written(t.NamedTuple):
    """One command that was carried out."""

    part: _Part
    database: str
    command: dict[str, t.Any]


class _Whole(monitoring.CommandListener):
    """The one transaction; lives as long as the test."""

    def __init__(self, session: ClientSession) -> None:
        self.session = session
        self.part: _Part | None = None
        """Which of its parts has sent the last command."""
        self._written: list[_Written] = []
        self._under_way: dict[int, _Written] = {}
        self._is_over = False
        """Whether an error has ended it."""

    @contextlib.contextmanager
    def heard(self) -> c.Generator[_Whole, None, None]:
        """Hear the commands of the client, late: it was made with its listeners."""
        listeners: t.Any = t.cast("t.Any", self.session.client)._event_listeners
        told: list[object] = listeners._EventListeners__command_listeners
        enabled: bool = listeners.enabled_for_commands
        told.append(self)
        listeners._EventListeners__enabled_for_commands = True
        self.session.start_transaction()
        try:
            yield self
        finally:
            told.remove(self)
            listeners._EventListeners__enabled_for_commands = enabled

    def mend(self) -> None:
        """Begin it again, if an error has ended it."""
        if self._is_over:
            self._begin_again()

    def take_back(self, part: _Part) -> None:
        """Let nothing of what *part* has written be there any more."""
        rest = [each for each in self._written if each.part is not part]
        if self._is_over or len(rest) < len(self._written):
            self._written = rest
            self._begin_again()

    def _begin_again(self) -> None:
        self._is_over = False
        if self.session.in_transaction:
            self.session.abort_transaction()
        self.session.start_transaction()
        written, self._written = self._written, []
        for part, database, command in written:
            self.part = part
            self.session.client[database].command(command, session=self.session)

    # ---- What is heard -------------------------------------------------------

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        own: t.Any = self.session.session_id
        sent = event.command
        if self.part is None or sent.get("autocommit") is not False:
            return
        if sent["lsid"] == own and event.command_name != "abortTransaction":
            command = {key: sent[key] for key in sent if key not in _PASSING}
            written = _Written(self.part, event.database_name, command)
            self._under_way[event.request_id] = written

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        written = self._under_way.pop(event.request_id, None)
        if written is None:
            return
        # What a write could not do is part of an answer that says "ok".
        if event.reply.get("writeErrors"):
            self._fail(written, event.reply)
        elif event.command_name in _WRITES:
            self._written.append(written)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        written = self._under_way.pop(event.request_id, None)
        if written is not None:
            self._fail(written, event.failure)

    def _fail(self, written: _Written, reply: c.Mapping[str, t.Any]) -> None:
        self._is_over = True
        monitor = monitor_of(self.session.client)
        key: bytes = written.part.session_id["id"]
        watching = monitor.transactions.get(key) if monitor is not None else None
        if watching is not None and "code" in (reply.get("writeErrors") or [reply])[0]:
            watching.note(reply)


class _Part(ClientSession):
    """What stands in for a session: lives as long as that would."""

    # Of its own; all else it has in common with the session of the whole.
    __slots__ = ("_id", "_is_begun", "_whole")

    def __init__(self, whole: _Whole) -> None:
        self.__dict__ = vars(whole.session)
        self._whole = whole
        self._is_begun = False
        self._id = {"id": uuid.uuid4().bytes}

    @property
    def session_id(self) -> c.Mapping[str, t.Any]:
        # What is known of a transaction is known by this.
        return self._id

    def start_transaction(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self._is_begun = True
        return self._transaction_block()

    @contextlib.contextmanager
    def _transaction_block(self) -> c.Generator[_Part, None, None]:
        try:
            yield self
        except BaseException:
            self.abort_transaction()
            raise
        self.commit_transaction()

    def commit_transaction(self) -> None:
        self._is_begun = False

    def abort_transaction(self) -> None:
        if self._is_begun:
            self._is_begun = False
            self._whole.take_back(self)

    def _end_session(self, lock: bool) -> None:
        self.abort_transaction()

    def _apply_to(self, *args: t.Any, **kwargs: t.Any) -> None:
        self._whole.mend()
        self._whole.part = self
        super()._apply_to(*args, **kwargs)
