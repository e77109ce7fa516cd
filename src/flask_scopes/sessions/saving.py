"""Doing what is planned, in two parts: what can be part of the transaction of the unit,
and the end of other sessions, which comes after it.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from ..errors import ScopesError
from ..lookup import is_spoiled
from ..lookup import may_fail_to_commit
from ..scope import Scope
from ..unit_messages import refused
from . import messages

if t.TYPE_CHECKING:
    from .policy import Policy
    from .records import Fields
    from .records import Head
    from .records import Store
    from .session import Found
    from .session import Plan
    from .session import ServerSession


@contextlib.contextmanager
def reaching(store: Store, committed: bool = False) -> c.Generator[None, None, None]:
    """Around whatever *store* is asked.

    :param committed: whether the work of the request is.
    :raises SessionStoreError: it is away.
    """
    try:
        yield
    except store.failures as error:
        say = messages.saved_too_late if committed else messages.store_down
        raise say(store, error) from error


def before_commit(store: Store, session: ServerSession, policy: Policy) -> None:
    """Do what can be done, and find out what cannot, while all can be rolled back.

    :raises SessionConflict: somebody else has changed the same.
    :raises SessionStoreError: the store is away.
    """
    plan, found = session.plan, session.found
    # (Most requests only read, and need not know which transaction there is.)
    if plan is None or not plan.changes_anything or is_spoiled():
        return
    refuse_read_only(store, session)
    with reaching(store):
        if store.joins():
            with _committing():
                _write(store, plan, found, policy, committed=False)
            plan.is_written = True
        elif not may_fail_to_commit():
            _write(store, plan, found, policy, committed=False)
            plan.is_written = True
        elif policy.refuses_conflicts and found and plan.changes:
            _compare(store, plan, found)


@contextlib.contextmanager
def _committing() -> c.Generator[None, None, None]:
    """Around what is part of the transaction of the unit: if the database refuses that,
    there is nothing to commit.

    :raises CommitFailed: it does.
    """
    try:
        yield
    except ScopesError:
        raise
    except Exception as error:
        raise refused(_SESSION, error, ()) from error


class _Session:
    """What a message says of it."""

    name = "flask.session"
    place = "flask_scopes.sessions"
    scope = Scope.SESSION
    signature = None


_SESSION: t.Final = _Session()


def after_commit(
    store: Store, session: ServerSession, policy: Policy, committed: bool
) -> None:
    """Do the rest.

    :param committed: whether there was anything to commit.
    :raises SessionConflict: somebody else has changed the same.
    :raises SessionStoreError: the store is away.
    """
    plan, found = session.plan, session.found
    if plan is None:
        return
    refuse_read_only(store, session)
    with reaching(store, committed):
        if not plan.is_written:
            _write(store, plan, found, policy, committed)
            plan.is_written = True
        if plan.remove:
            store.remove([plan.remove])
        if plan.replace and found:
            head = found.head
            if not store.update(head.id, head.digest, plan.replace):
                # Whoever has given it another secret meanwhile is not to keep it.
                store.remove([head.id])


def refuse_read_only(store: Store, session: ServerSession) -> None:
    found, plan = session.found, session.plan
    writes = plan is not None and plan.changes_anything
    if found is not None and found.is_read_only and writes:
        raise messages.store_down(store, None)


def _write(
    store: Store, plan: Plan, found: Found | None, policy: Policy, committed: bool
) -> None:
    if plan.add is not None:
        store.add(plan.add, plan.texts)
        return
    if found is None:
        return
    # First what may be refused: after a new secret, its cookie has to arrive.
    if plan.changes:
        check = policy.refuses_conflicts
        done = store.write(found.head, plan.generation, plan.changes, check=check)
        if not done:
            raise messages.conflict(sorted(plan.changes), committed)
    if plan.renew and not _renew(store, found.head, plan.renew):
        if plan.insists:
            raise messages.conflict([], committed)
        # Somebody else has just done it.
        plan.token = None


def _renew(store: Store, head: Head, fields: Fields) -> bool:
    """Give the session another secret, if nobody else has."""
    if store.update(head.id, head.digest, fields):
        return True
    stored = store.load(head.id)
    if stored is None or stored.head.generation != head.generation:
        return False
    # Its secret is the same, and only hashed with another key.
    digest = stored.head.digest
    return store.update(head.id, digest, {**fields, "old_digest": digest})


def _compare(store: Store, plan: Plan, found: Found) -> None:
    """
    :raises SessionConflict: what is there is no longer what was found.
    """
    stored = store.load(found.head.id)
    rows = stored.rows if stored else {}
    texts = {name: row.text for name, row in rows.items()}
    changed = [
        name for name, change in plan.changes.items() if texts.get(name) != change.old
    ]
    if changed:
        raise messages.conflict(sorted(changed), committed=False)
