"""Transactions that are committed in the finish of a unit, and tell the truth.

**An error that nobody lets out.** After any error of a command MongoDB has ended the
transaction, also if the view caught it and went on. The commit would then fail with
"no such transaction", which is labelled as worth another attempt: a request that is
retried would fail in the same way each time, and never say why. So what fails is noted
as it happens (``monitor.py``), and is what the unit fails with.

**Without session=.** ``ClientSession.bind`` lets operations join by a ContextVar of
PyMongo, which knows nothing of units. So where a unit begins inside of a view, and for
files, which cannot be part of a transaction, a plain session is bound instead.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import functools
import time
import typing as t

import pymongo
from pymongo import ReadPreference
from pymongo.errors import DuplicateKeyError
from pymongo.errors import InvalidOperation
from pymongo.errors import OperationFailure
from pymongo.errors import PyMongoError
from pymongo.errors import WriteError
from pymongo.errors import WTimeoutError
from pymongo.write_concern import WriteConcern

from ..lookup import unit_in_progress
from ..places import declared
from ..places import place_of
from . import messages
from .monitor import monitor_of

if t.TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.client_session import ClientSession

    from ..extension import Scopes
    from ..resource import ByBind
    from ..unit import Unit
    from .clients import Document

UNKNOWN: t.Final = "UnknownTransactionCommitResult"

_COMMIT_SECONDS: t.Final = 15.0
_PAUSE: t.Final = 0.05
# The request may have no time left, and nobody waits for it any more.
_CLEANING_SECONDS: t.Final = 2.0

_DUPLICATE: t.Final = (11000, 11001, 12582)
_NOT_IN_A_TRANSACTION: t.Final = 263
_ILLEGAL_OPERATION: t.Final = 20

_bound: contextvars.ContextVar[ClientSession | None] = contextvars.ContextVar(
    "flask_scopes.mongo.bound", default=None
)
# It keeps nothing, so one will do.
_NOTHING: t.Final = contextlib.nullcontext()


class Transaction:
    """What became of the commands of one transaction; lives as long as that."""

    def __init__(self, unit: Unit | None) -> None:
        self.unit = unit
        self.failure: OperationFailure | None = None
        """The first error of a command."""

    def note(self, reply: c.Mapping[str, t.Any]) -> None:
        if self.failure is not None:
            return
        self.failure = _error_of(reply)
        if self.unit is not None and self.unit.spoiled is None:
            self.unit.spoiled = self.failure


def _error_of(reply: c.Mapping[str, t.Any]) -> OperationFailure:
    """The error that PyMongo raises, or has raised, for *reply*."""
    writes: c.Sequence[c.Mapping[str, t.Any]] = reply.get("writeErrors", ())
    details = {"errorLabels": reply.get("errorLabels", []), **(writes or [reply])[0]}
    code: int | None = details.get("code")
    kind = WriteError if writes else OperationFailure
    if code in _DUPLICATE:
        kind = DuplicateKeyError
    return kind(details.get("errmsg", ""), code, details)


def session_resource(
    scopes: Scopes,
    client: ByBind[MongoClient[Document]],
    holder: c.Callable[[str], str],
) -> ByBind[ClientSession]:
    """The resource of the transaction of a unit, with each client.

    :param holder: the bind which has the client, of those that share it.
    """

    @scopes.request
    @declared("mongo.session")
    def session_of(bind: str) -> c.Iterator[ClientSession]:
        with client(bind).start_session(causal_consistency=True) as opened:
            transaction = Transaction(unit_in_progress())
            opened.start_transaction(
                write_concern=_write_concern(opened.client),
                # MongoDB reads from no other in a transaction, whatever the address
                # says for all else, and PyMongo would refuse to.
                read_preference=ReadPreference.PRIMARY,
            )
            with _noted(opened, transaction):
                try:
                    yield opened
                except Exception as error:
                    explain(error, place_of(session_of))
                    _abort(opened)
                    raise
                if transaction.failure is not None:
                    _abort(opened)
                    transaction.failure.add_note(messages.swallowed())
                    explain(transaction.failure, place_of(session_of))
                    raise transaction.failure
                _commit(opened)

    # It has nothing to commit, or the second name of a session would have.
    @scopes.request
    @declared("mongo.session")
    def session(bind: str = "") -> ClientSession:
        return session_of(holder(bind))

    return t.cast("ByBind[ClientSession]", session)


def _write_concern(client: MongoClient[t.Any]) -> WriteConcern | None:
    """What is confirmed is to outlive the server that confirmed it; unless the client
    was told otherwise.
    """
    own = client.write_concern
    return WriteConcern("majority") if own.is_server_default else None


@contextlib.contextmanager
def _noted(
    session: ClientSession, transaction: Transaction
) -> c.Generator[None, None, None]:
    monitor = monitor_of(session.client)
    key: bytes = session.session_id["id"]
    if monitor is not None:
        monitor.transactions[key] = transaction
    try:
        yield
    finally:
        if monitor is not None:
            monitor.transactions.pop(key, None)


def _commit(session: ClientSession) -> None:
    """Commit, and ask again as long as nobody knows what came of it: to commit once
    more changes nothing, so that the second answer is true for both.

    :raises PyMongoError: it was not confirmed in time, or is refused.
    """
    if not session.in_transaction:
        # The view has done so, or has begun none: that is its own affair.
        return
    try:
        _insist_on_commit(session)
    except PyMongoError:
        _forget(session)
        raise


def _insist_on_commit(session: ClientSession) -> None:
    until = time.monotonic() + (session.client.options.timeout or _COMMIT_SECONDS)
    while True:
        try:
            session.commit_transaction()
        except PyMongoError as error:
            out_of_time = error.timeout and not isinstance(error, WTimeoutError)
            if not error.has_error_label(UNKNOWN) or out_of_time:
                raise
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _abort(session: ClientSession) -> None:
    """Let MongoDB forget the transaction now, as others may wait for its locks."""
    if session.in_transaction:
        whatever_the_time(session.abort_transaction)


def _forget(session: ClientSession) -> None:
    """The same after a commit that did not come through. It may never have left, and
    PyMongo does not abort what was to be committed.
    """
    sessions = [session.session_id]
    kill = functools.partial(session.client.admin.command, "killSessions", sessions)
    # If it cannot be told either, MongoDB waits for a minute.
    with contextlib.suppress(PyMongoError):
        whatever_the_time(kill)


def whatever_the_time(step: c.Callable[[], object]) -> None:
    """Do *step* within two seconds, in a context of its own: the request may have
    failed as its time was up, and what is bound in it is not for this.
    """

    def in_time() -> None:
        with pymongo.timeout(_CLEANING_SECONDS):
            step()

    contextvars.Context().run(in_time)


@contextlib.contextmanager
def bound(session: ClientSession) -> c.Generator[None, None, None]:
    """Let operations without ``session=`` be part of *session* for a while."""
    token = _bound.set(session)
    try:
        with session.bind(end_session=False):
            yield
    finally:
        _bound.reset(token)


def apart() -> contextlib.AbstractContextManager[None]:
    """Let operations without ``session=`` be part of no transaction for a while."""
    session = _bound.get()
    return _NOTHING if session is None else plain(session.client)


def plain(client: MongoClient[t.Any]) -> contextlib.AbstractContextManager[None]:
    """The same, with *client*."""
    session = _bound.get()
    if session is None or (session.client is client and not session.in_transaction):
        return _NOTHING
    return _other(client)


@contextlib.contextmanager
def _other(client: MongoClient[t.Any]) -> c.Generator[None, None, None]:
    with client.start_session() as other, bound(other):
        yield


def explain(error: BaseException, place: str) -> None:
    """Add to an *error* of PyMongo what follows from it, unless that is done.

    :param place: where ``mongo.session`` stands.
    """
    note = None
    if isinstance(error, InvalidOperation):
        text = str(error)
        if text.startswith("Only the client that created"):
            note = messages.other_client(place)
        elif "multi-document transactions" in text:
            note = messages.not_in_a_transaction(place)
    elif isinstance(error, OperationFailure):
        if error.code == _NOT_IN_A_TRANSACTION:
            note = messages.not_in_a_transaction(place)
        elif error.code == _ILLEGAL_OPERATION and "Transaction numbers" in str(error):
            note = messages.needs_replica_set(place)
    if note is not None and note not in getattr(error, "__notes__", ()):
        error.add_note(note)
