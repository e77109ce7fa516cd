"""Links in letters: to choose another password, and to confirm an address.

A link is signed and dated by itsdangerous, and has a hash of what it is to change. So
it is good once: after that it says what is no longer so. Nothing need be kept, and when
the password or the address has changed meanwhile, older links are worth nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import typing as t

from itsdangerous import BadData
from itsdangerous import URLSafeTimedSerializer

from .upstream import secret_keys
from .users import email_key

if t.TYPE_CHECKING:
    from .users import Account
    from .users import Users

_RESET: t.Final = "reset"
_CONFIRM: t.Final = "confirm"


@dataclasses.dataclass(frozen=True, slots=True)
class Links:
    """Makes what is behind the slash of such a link, and reads it. Lives as long as the
    program.
    """

    users: Users
    reset_within: datetime.timedelta
    confirm_within: datetime.timedelta

    def for_reset(self, account: Account) -> str:
        """Text for a link by which the owner of *account* chooses another password."""
        return self._make(_RESET, account)

    def for_confirmation(self, account: Account) -> str:
        """Text for a link by which they confirm that the address is theirs."""
        return self._make(_CONFIRM, account)

    def to_reset(self, text: str) -> Account | None:
        """The account whose password *text* may change; None if it is not good, or no
        longer. It is for a page that asks for the new one.
        """
        return self._read(_RESET, text, self.reset_within)

    def to_confirm(self, text: str) -> Account | None:
        """The account that *text* may confirm; None if it is not good, or no longer."""
        return self._read(_CONFIRM, text, self.confirm_within)

    def _make(self, purpose: str, account: Account) -> str:
        said = {"id": account.id, "mark": _mark(purpose, account)}
        return str(_serializer(purpose).dumps(said))

    def _read(
        self, purpose: str, text: str, within: datetime.timedelta
    ) -> Account | None:
        try:
            said = _serializer(purpose).loads(text, max_age=int(within.total_seconds()))
        except (BadData, ValueError):
            # The latter of text that is none: half a character.
            return None
        account = self.users.get(said["id"])
        if account is None or said["mark"] != _mark(purpose, account):
            return None
        return account


def _mark(purpose: str, account: Account) -> str:
    """What changes with what a link is for."""
    said = [purpose, account.id, email_key(account.email)]
    said += (
        [str(account.is_confirmed)] if purpose == _CONFIRM else [str(account.password)]
    )
    # Half a character in an address is no reason to fail.
    text = "\0".join(said).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    # The newest last: that one signs.
    keys = secret_keys()[::-1]
    return URLSafeTimedSerializer(keys, salt=f"flask-scopes.{purpose}")
