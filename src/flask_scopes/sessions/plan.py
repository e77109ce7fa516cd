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

import collections.abc as c
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
    from .records import Stored
    from .session import Found
    from .session import ServerSession
    from .tokens import Key

# What a value that tells of a right may become without giving any: otherwise whoever
# makes Flask-Login doubt a session would be the one who gets its new secret.
_NO_MORE: t.Final = "false"

_log = logging.getLogger("flask_scopes")


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """Where a request comes from."""

    now: float
    agent: str
    address: str
    key: Key
    """To hash new secrets with."""


def plan_of(
    session: ServerSession,
    policy: Policy,
    visit: c.Callable[[], Visit],
    latest: c.Callable[[], Stored | None],
) -> Plan:
    """How *session* is to be saved.

    :param visit: where this request comes from.
    :param latest: what the store has of it now.
    :raises SessionValueError: something in it cannot be kept.
    :raises SessionConflict: it has a new secret since it was asked for.
    """
    if not session.is_loaded or session.is_away:
        return Plan()
    found = session.found
    if found is None:
        plan = _new(session.texts(), session, policy, visit)
        plan.forget = session.is_revoked and plan.add is None
        return plan
    before, after = session.before(policy.user_key), session.get(policy.user_key)
    # Whoever signs out and in again is somebody else for a moment.
    again = before is not None and session.was_dropped(policy.user_key)
    if before != after or again:
        return _another(session, found, policy, visit, latest())
    # Whoever has the new secret has changed these, or has put them there.
    changes = {
        name: change
        for name, change in session.changes().items()
        if name not in found.hidden
    }
    # Without a user, there are no rights: a login makes another session.
    if session.rotates or (after is not None and _gives_rights(changes, policy)):
        return _renewed(session, found, changes, policy, visit)
    if changes and found.head.is_ending:
        text = "Changes of a session are lost, as its visitor has signed in meanwhile"
        _log.info(text)
        return Plan()
    return Plan(changes=changes, generation=found.head.generation - found.is_late)


def _gives_rights(changes: dict[str, Change], policy: Policy) -> bool:
    found = [changes[key] for key in policy.privileged_keys if key in changes]
    return any(change.new != _NO_MORE for change in found)


def _another(
    session: ServerSession,
    found: Found,
    policy: Policy,
    visit: c.Callable[[], Visit],
    stored: Stored | None,
) -> Plan:
    """Another session, of another user or of none."""
    plan = _new(_texts_now(session, found, policy, stored), session, policy, visit)
    plan.forget = plan.add is None
    if session.before(policy.user_key) is None:
        plan.replace = _replaced(found.head, visit().now + policy.grace)
    else:
        plan.remove = found.head.id
    return plan


def _texts_now(
    session: ServerSession, found: Found, policy: Policy, stored: Stored | None
) -> dict[str, str]:
    """What is in *session*, and what others have put there meanwhile. If somebody has
    ended it, only what this request has.
    """
    own = session.texts()
    if found.texts and all(map(session.was_dropped, found.texts)):
        # By `session.clear()`: all of it.
        return own
    texts: dict[str, str] = {}
    if stored:
        there = {name: row.text for name, row in stored.rows.items()}
        texts = dict(found.texts) if found.is_late else there
    for name, change in session.changes().items():
        if change.new is None:
            texts.pop(name, None)
        else:
            texts[name] = change.new
    if policy.user_key in own:
        texts[policy.user_key] = own[policy.user_key]
    return texts


def _new(
    texts: dict[str, str],
    session: ServerSession,
    policy: Policy,
    visit: c.Callable[[], Visit],
) -> Plan:
    if not texts:
        return Plan()
    user, here = session.get(policy.user_key), visit()
    token, limit = new_token(), here.now + policy.lifetime
    head = Head(
        id=token.id,
        digest=token.digest(here.key),
        user=None if user is None else str(user),
        created=here.now,
        seen=here.now,
        expires=policy.expires(here.now, limit),
        limit=limit,
        agent=here.agent,
        address=here.address,
    )
    return Plan(add=head, texts=texts, token=token)


def _renewed(
    session: ServerSession,
    found: Found,
    changes: dict[str, Change],
    policy: Policy,
    visit: c.Callable[[], Visit],
) -> Plan:
    insists = session.rotates
    if found.is_late or found.head.is_ending:
        # The one who has the new secret decides what becomes of it.
        if insists:
            raise messages.conflict([], committed=False)
        return Plan(changes=changes, generation=found.head.generation)
    token, here = new_token(found.head.id), visit()
    renew = _with_digest(token.digest(here.key), found.head, here.now + policy.grace)
    generation = renew["generation"]
    return Plan(
        renew=renew,
        insists=insists,
        changes=changes,
        generation=generation,
        token=token,
    )


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
