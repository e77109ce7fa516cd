"""What is said of users that cannot be known, or let in.

Each text has the four parts that ``flask_scopes.messages`` tells of. None has a
password, a token, or the name that somebody has typed.
"""

from __future__ import annotations

import logging
import math
import typing as t

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.exceptions import TooManyRequests

from ..errors import ScopesError
from ..errors import SetupError
from ..places import caller
from ..places import name_of
from ..places import pass_through
from ..places import place_of
from .users import EmailTaken

if t.TYPE_CHECKING:
    import collections.abc as c

_log = logging.getLogger("flask_scopes")

# By these a view comes here.
pass_through("flask_login")
pass_through("blinker")


class TooManyAttempts(ScopesError):
    """Raised when a password is tried too often. If nobody handles it, the answer is a
    429.
    """

    # For `hooks.py`: who guesses shall not fill the log.
    is_expected = True

    def __init__(self, text: str, wait: float) -> None:
        super().__init__(text)
        self.wait = wait
        """After how many seconds the next attempt is free."""


class TooBusy(ScopesError):
    """Raised when too many passwords are being hashed. If nobody handles it, the answer
    is a 503.
    """


class TokenError(ScopesError):
    """Raised where a request that has come with a token is to change a session."""


def page_for(error: Exception) -> HTTPException | None:
    """What to answer with for *error*; None if it is of another kind."""
    if isinstance(error, TooManyAttempts):
        return TooManyRequests(retry_after=math.ceil(error.wait))
    if isinstance(error, TooBusy):
        return ServiceUnavailable(retry_after=1)
    return None


def too_many_attempts(wait: float) -> TooManyAttempts:
    return TooManyAttempts(
        f"A password was tried too often: the next attempt is free in"
        f" {math.ceil(wait)} s.\n\n"
        f"Tried at {caller()}.\n\n"
        "To fix it, wait. To answer with a page of your own, handle TooManyAttempts"
        " with\n@app.errorhandler. To allow more, see its throttle=Throttle(free=...).",
        wait,
    )


def too_busy(patience: float) -> TooBusy:
    return TooBusy(
        f"A password waited {patience:g} s to be hashed, and others still are.\n\n"
        f"Asked for at {caller()}.\n\n"
        "To fix it, if this is no attack: each takes 64 MiB, so with more memory let"
        "\nPasswords(..., at_once=...) hash more of them side by side."
    )


def log_unknown_hash() -> None:
    _log.warning(
        "A password is kept in a form that is neither Argon2's nor Werkzeug's: nobody"
        " can sign in with it before it is reset"
    )


def log_theft(user: str) -> None:
    _log.warning(
        "The remember-me cookie of a device of user %r was used twice: one of the two"
        " is a thief's, and both are signed out",
        user,
    )


def log_cross_site(origin: str) -> None:
    _log.info("A request that changes something was sent by another site: %s", origin)


def bad_option(what: str) -> SetupError:
    return SetupError(
        f"Users cannot sign in so: {what}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, see its parameters:  help(flask_scopes.login)"
    )


def bad_passwords() -> SetupError:
    return bad_option("at_once and patience are more than nothing")


def bad_times() -> SetupError:
    return bad_option("reset_within and confirm_within are a second or more")


def bad_prefix(prefix: object) -> SetupError:
    return bad_option(f"token_prefix is some letters and digits, not {prefix!r}")


def bad_token_scopes(scopes: object) -> SetupError:
    return bad_option(f"the scopes of a token are several texts, not {scopes!r}")


def bad_age() -> SetupError:
    return bad_option("@login.fresh(...) takes a timedelta, and then the view")


def bad_scopes() -> SetupError:
    return bad_option("@login.requires(...) takes texts, and then the view")


def bad_end(expires: object) -> SetupError:
    return bad_option(f"a token is good for up to a century, or None, not {expires!r}")


def bad_model(name: str, needed: c.Iterable[str]) -> SetupError:
    return bad_option(f"{name} has to have {', '.join(needed)}, see AccountColumns")


def bad_throttle() -> SetupError:
    return bad_option("the numbers of a Throttle are one or more, and longest a time")


def missing(what: str, option: str) -> SetupError:
    return SetupError(
        f"{what} is not possible: this Login was made without {option}=.\n\n"
        f"Called from {caller()}.\n\n"
        f"To fix it, hand it over where it is made:  Login(scopes, {option}=...)\n"
        "They are in flask_scopes.login.mongo and flask_scopes.login.sql."
    )


def two_loaders(name: str, place: str) -> SetupError:
    return SetupError(
        f"Users are loaded by {name} ({place}) already, and by one function only.\n\n"
        f"Decorated at {caller()}.\n\n"
        "To fix it, remove one of them; or make a second Login, for other apps."
    )


def no_user(loader: c.Callable[..., object], found: object) -> ScopesError:
    return ScopesError(
        f"{name_of(loader)} ({place_of(loader)}) has returned a {type(found).__name__},"
        f" which is no user to Flask-Login.\n\n"
        f"Loaded for {caller()}.\n\n"
        "To fix it, let its class be a flask_login.UserMixin; or let the function"
        " return None for nobody."
    )


def loader_failed(reason: AttributeError) -> ScopesError:
    return ScopesError(
        f"The user of this request could not be loaded: AttributeError: {reason}.\n\n"
        f"Asked for at {caller()}.\n\n"
        "To fix it, see the function at @login.user, in the traceback above. (To pass"
        " the error on\nwould look as if flask.g had no user.)"
    )


def email_taken() -> EmailTaken:
    return EmailTaken(
        "Another account has this address.\n\n"
        f"Added at {caller()}.\n\n"
        "To fix it, tell whoever registers to sign in. (Whether somebody is known here"
        " is\nthen no secret: to keep it, send a letter to that address instead.)"
    )


def token_has_no_session() -> TokenError:
    return TokenError(
        "This request has come with a token, and has no session to change.\n\n"
        f"Changed at {caller()}.\n\n"
        "To fix it, keep in a database what is to be there with the next request; or do"
        " not put\n@login.requires on this view, so that it takes no tokens."
    )
