"""Who is signed in, for the life of a request; on Flask-Login.

::

    login = Login(scopes)

    @login.user
    def current_user(user_id: str) -> User | None:
        return users.get(user_id)

Where accounts and records are kept is in a module of its own for each database:
``flask_scopes.login.mongo`` and ``.sql``.
"""

from __future__ import annotations

from .extension import Login
from .messages import TokenError
from .messages import TooBusy
from .messages import TooManyAttempts
from .origin import local_path
from .passwords import Passwords
from .records import Record
from .records import Records
from .throttle import Throttle
from .tokens import Token
from .users import Account
from .users import EmailTaken
from .users import Users
from .users import email_key
from .users import is_address

__all__ = [
    "Account",
    "EmailTaken",
    "Login",
    "Passwords",
    "Record",
    "Records",
    "Throttle",
    "Token",
    "TokenError",
    "TooBusy",
    "TooManyAttempts",
    "Users",
    "email_key",
    "is_address",
    "local_path",
]
