"""Finding the session that a cookie is for, and seeing that the cookie is its own."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .. import clock
from . import messages
from .session import Found

if t.TYPE_CHECKING:
    from .in_hand import InHand
    from .records import Store
    from .records import Stored
    from .tokens import Key
    from .tokens import Token


def find(
    store: Store, token: Token, keys: c.Sequence[Key], in_hand: InHand | None
) -> Found | None:
    """What there is for *token*; None if there is nothing (any more).

    :param keys: that secrets may be hashed with, the current one first.
    :param in_hand: what is to be read if the store is away.
    :raises SessionStoreError: it is away, and this session is not in hand.
    """
    now = clock.now()
    try:
        stored = store.load(token.id)
    except store.failures as error:
        known = in_hand.find(token.id, now) if in_hand else None
        seen = _seen_by(known, token, keys, now)
        if seen is None:
            # Also if it is in hand, and not with this secret: it may have a new one.
            raise messages.store_down(store, error) from error
        return seen._replace(is_read_only=True)
    found = _seen_by(stored, token, keys, now)
    if in_hand and stored and found and not found.is_late:
        in_hand.keep(stored, now)
    return found


def _seen_by(
    stored: Stored | None, token: Token, keys: c.Sequence[Key], now: float
) -> Found | None:
    """What the one with *token* may see of *stored*."""
    if stored is None or stored.head.expires <= now:
        return None
    head, rows = stored
    key = token.matches(head.digest, keys)
    if key is not None:
        texts = {name: row.text for name, row in rows.items()}
        return Found(token, head, texts, has_old_key=key != keys[0])
    if now >= head.old_until or token.matches(head.old_digest, keys) is None:
        return None
    before = head.generation
    texts = {name: row.text for name, row in rows.items() if row.generation < before}
    return Found(
        token, head, texts, is_late=True, hidden=frozenset(rows) - texts.keys()
    )
