"""Passwords: hashed with Argon2id, a few at a time.

The parameters are those of RFC 9106, 4, for where memory is scarce: 64 MiB, three
passes, four lanes. So each hash needs 64 MiB while it is made, and a burst of logins
would need all that there is; here they wait for one another.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import secrets
import threading
import typing as t

from ..extras import brought_by

with brought_by("login", "argon2", "flask_scopes.login works with argon2-cffi"):
    import argon2

from argon2.exceptions import InvalidHashError
from argon2.exceptions import VerificationError
from argon2.exceptions import VerifyMismatchError
from werkzeug.security import check_password_hash

from ..places import declared
from . import messages

if t.TYPE_CHECKING:
    import collections.abc as c

    from ..extension import Scopes

# As `werkzeug.security` writes them: of apps that had these before.
_WERKZEUG: t.Final = ("scrypt:", "pbkdf2:")


class Passwords:
    """Makes hashes of passwords, and compares. One per project; lives as long as the
    program.

    :param scopes: which the apps are set up with.
    :param hasher: with other parameters than those of RFC 9106.
    :param at_once: how many are hashed at the same time in a process.
    :param patience: how long one waits for its turn.
    :raises SetupError: these are no numbers from one on.
    """

    def __init__(
        self,
        scopes: Scopes,
        *,
        hasher: argon2.PasswordHasher | None = None,
        at_once: int = 2,
        patience: datetime.timedelta = datetime.timedelta(seconds=10),
    ) -> None:
        if at_once < 1 or patience.total_seconds() <= 0:
            raise messages.bad_passwords()
        self._hasher = hasher or argon2.PasswordHasher()
        self._patience = patience.total_seconds()

        # Made where it is needed: a fork could hand it down taken.
        @scopes.application
        @declared("passwords.turn")
        def turn() -> threading.BoundedSemaphore:
            return threading.BoundedSemaphore(at_once)

        self._turn = turn

    def hash(self, password: str) -> str:
        """What to keep of *password*.

        :raises TooBusy: too many others are being hashed.
        """
        with self._in_turn():
            return self._hasher.hash(_bytes(password))

    def verify(self, hashed: str | None, password: str) -> bool:
        """Whether *hashed* was made of *password*, here or by ``werkzeug.security``.

        :param hashed: None for somebody who is not there, or has no password: that
            takes as long, and is never so.
        :raises TooBusy: too many others are being hashed.
        """
        with self._in_turn():
            try:
                if hashed and hashed.startswith(_WERKZEUG):
                    return check_password_hash(hashed, password)
                return self._hasher.verify(hashed or self._nobodys(), _bytes(password))
            except VerifyMismatchError:
                return False
            except (VerificationError, ValueError):
                # It is no hash; or no password that Werkzeug has made one of.
                messages.log_unknown_hash()
        return self.verify(None, password)

    def needs_rehash(self, hashed: str) -> bool:
        """Whether a new hash of the same password would be a better one."""
        try:
            return self._hasher.check_needs_rehash(hashed)
        except InvalidHashError:
            return True

    def _nobodys(self) -> str:
        """A hash of nothing, by the same parameters."""
        of = self._hasher
        salt, made = secrets.token_bytes(of.salt_len), secrets.token_bytes(of.hash_len)
        numbers = f"m={of.memory_cost},t={of.time_cost},p={of.parallelism}"
        kind = f"argon2{of.type.name.lower()}"
        return f"${kind}$v=19${numbers}${_base64(salt)}${_base64(made)}"

    @contextlib.contextmanager
    def _in_turn(self) -> c.Generator[None, None, None]:
        turn = self._turn()
        if not turn.acquire(timeout=self._patience):
            raise messages.too_busy(self._patience)
        try:
            yield
        finally:
            turn.release()


def _bytes(password: str) -> bytes:
    # Half a character, which JSON may have, is no reason to fail.
    return password.encode("utf-8", "surrogatepass")


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode().rstrip("=")
