"""How a session is to be saved: found out once, before anything is committed.

**Who it is.** A login, a logout and a change of the user make another session, with an
id and a secret of its own. The one before is gone; if nobody was signed in with it, it
can still be read for a moment, by requests that were on their way. So nothing that was
known of a session before a login is worth anything after it, and what was ended cannot
come back: a session is made under an id that nobody has had.

**What it may do.** A change of privileges gives the session a new secret. With the old
one it is still found for a moment, without what was written since.
"""

from __future__ import annotations

import dataclasses
import logging
import typing as t

from . import messages
from .records import Head
from .session import Plan
from .tokens import new_token

if t.TYPE_CHECKING:
    from .policy import Policy
    from .records import Change
    from .session import Found
    from .session import ServerSession
    from .tokens import Key

_log = logging.getLogger("flask_scopes")


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """Where a request comes from."""

    now: float
    agent: str
    address: str
    key: Key
    """To hash new secrets with."""


def plan_of(session: ServerSession, policy: Policy, visit: Visit) -> Plan:
    """How *session* is to be saved.

    :raises SessionValueError: something in it cannot be kept.
    :raises SessionConflict: it has a new secret since it was asked for.
    """
    if not session.is_loaded or session.is_away:
        return Plan()
    found = session.found
    if found is None:
        plan = _new(session, policy, visit)
        plan.forget = session.is_revoked and plan.add is None
        return plan
    changes = session.changes()
    if not session and not found.head.is_ending:
        return Plan(remove=found.head.id, forget=True)
    before, after = session.before(policy.user_key), session.get(policy.user_key)
    # Whoever signs out and in again is somebody else for a moment.
    again = before is not None and session.was_dropped(policy.user_key)
    if before != after or again:
        plan = _new(session, policy, visit)
        if before is None:
            plan.replace = _replaced(found.head, visit.now + policy.grace)
        else:
            plan.remove = found.head.id
        return plan
    privileged = any(name in changes for name in policy.privileged_keys)
    if session.rotates or privileged:
        return _renewed(found, changes, policy, visit)
    if changes and found.head.is_ending:
        text = "Changes of a session are lost, as its visitor has signed in meanwhile"
        _log.info(text)
        return Plan()
    return Plan(changes=changes, generation=_generation(found))


def _generation(found: Found) -> int:
    """That of what *found* is allowed to see."""
    return found.head.generation - found.is_late


def _new(session: ServerSession, policy: Policy, visit: Visit) -> Plan:
    texts = session.texts()
    if not texts:
        return Plan()
    user = session.get(policy.user_key)
    token, limit = new_token(), visit.now + policy.lifetime
    head = Head(
        id=token.id,
        digest=token.digest(visit.key),
        user=None if user is None else str(user),
        created=visit.now,
        seen=visit.now,
        expires=policy.expires(visit.now, limit),
        limit=limit,
        agent=visit.agent,
        address=visit.address,
    )
    return Plan(add=head, texts=texts, token=token)


def _renewed(
    found: Found, changes: dict[str, Change], policy: Policy, visit: Visit
) -> Plan:
    if found.is_late or found.head.is_ending:
        # The one who has the new secret decides what becomes of it.
        raise messages.conflict([], committed=False)
    token = new_token(found.head.id)
    renew = _with_digest(token.digest(visit.key), found.head, visit.now + policy.grace)
    generation = renew["generation"]
    return Plan(renew=renew, changes=changes, generation=generation, token=token)


def _with_digest(digest: str, head: Head, until: float) -> dict[str, t.Any]:
    """Fields of *head* by which another secret is good, and this one *until* then."""
    return {
        "digest": digest,
        "old_digest": head.digest,
        "old_until": until,
        "generation": head.generation + 1,
    }


def _replaced(head: Head, until: float) -> dict[str, t.Any]:
    """Fields of *head* by which its session is over *until* then: without a digest,
    nobody who is on their way can say that it was used.
    """
    return {**_with_digest("", head, until), "expires": min(head.expires, until)}
