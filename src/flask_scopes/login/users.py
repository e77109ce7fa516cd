"""What signing in has to know of users, and where that comes from."""

from __future__ import annotations

import dataclasses
import typing as t
import unicodedata

from ..errors import ScopesError

# In characters: RFC 5321, 4.5.3.1.3.
_LONGEST: t.Final = 254


class EmailTaken(ScopesError):
    """Raised when an account is added whose address another one has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """Who can sign in, as it was read. What an application knows of a user besides is
    its own; the ``id`` leads there.
    """

    id: str
    """As the session has it, and as the function at ``@login.user`` is given it."""
    email: str
    """As it was typed when they registered. Letters go there, and nowhere else."""
    password: str | None
    """A hash of it; None for who has none, and signs in elsewhere."""
    is_confirmed: bool = False
    """Whether a letter to that address has reached them."""


class Users(t.Protocol):
    """Where accounts are kept; lives as long as the program. What is written is part of
    the transaction of the unit, if that has one in the same database.
    """

    def get(self, user_id: str) -> Account | None:
        """The account by its id, whatever text that is."""
        ...

    def find(self, email: str) -> Account | None:
        """The account by its address, in whichever case."""
        ...

    def add(self, email: str, password: str | None, **fields: t.Any) -> Account:
        """Keep an account, with *fields* of the application's own.

        :param password: a hash of it.
        :raises EmailTaken: another one has this address.
        """
        ...

    def set_password(self, account: Account, password: str) -> bool:
        """Change the hash, if it is still the one that was read; whether it was."""
        ...

    def confirm(self, account: Account) -> bool:
        """Note that the address is theirs, if it is still the one that was read, and
        nobody has noted it before; whether it was done.
        """
        ...


def email_key(email: str) -> str:
    """What addresses are compared by: without case, and without what looks the same."""
    # Of longer ones it could take minutes.
    return unicodedata.normalize("NFKC", email.strip()[:_LONGEST]).casefold()


def is_address(email: str) -> bool:
    """Whether *email* may be one, and any database can look for it. (Whether it is
    one, a letter tells.)
    """
    if len(email) > _LONGEST or "@" not in email:
        return False
    # Of categories, C are control characters and half ones.
    kinds = {unicodedata.category(each)[0] for each in email}
    return "C" not in kinds and len(email_key(email)) <= _LONGEST
