"""What the cookie of a session says: its id, and a secret that proves it. (That of a
remembered device says the like; see login/remember.py.)

The id is what the store finds the session by, and what a page may show. It is of no use
without the secret, 256 random bits, of which the store has a keyed hash. So neither a
copy of the store nor writing to it makes anybody a visitor, and no search in the store
depends on the secret: there is nothing about it that could be measured.
"""

from __future__ import annotations

import collections.abc as c
import hashlib
import hmac
import re
import secrets
import typing as t

# 16 and 32 bytes, in base64 for addresses.
_SHAPE: t.Final = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})", re.ASCII)

Key: t.TypeAlias = str | bytes


class Token(t.NamedTuple):
    """The content of the cookie."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"

    def __repr__(self) -> str:
        # It may come into a log.
        return f"<Token {self.id}>"

    def digest(self, key: Key) -> str:
        """What the store has of it."""
        key = key.encode() if isinstance(key, str) else key
        return hmac.new(key, str(self).encode(), hashlib.sha256).hexdigest()

    def matches(self, digest: str, keys: c.Iterable[Key]) -> Key | None:
        """The one of *keys* that *digest* was made with; None if it is not of this
        token at all. All are tried, in constant time each.
        """
        made_with = [
            key for key in keys if hmac.compare_digest(self.digest(key), digest)
        ]
        return made_with[0] if made_with else None


def new_token(session_id: str = "") -> Token:
    """A token that nobody has yet, of a new session if not of *session_id*."""
    return Token(session_id or secrets.token_urlsafe(16), secrets.token_urlsafe(32))


def read_token(text: str | None) -> Token | None:
    """The token in a cookie; None if it is not of its shape."""
    found = _SHAPE.fullmatch(text or "")
    return Token(*found.groups()) if found else None
