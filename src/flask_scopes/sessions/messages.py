"""What is said of sessions that cannot be had, or saved.

Each text has the four parts that ``flask_scopes.messages`` tells of.
"""

from __future__ import annotations

import flask
from werkzeug.exceptions import Conflict
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import ServiceUnavailable

from ..errors import OutsideScopeError
from ..errors import ScopesError
from ..errors import SessionValueError
from ..errors import SetupError
from ..messages import in_short
from ..places import caller

# Of seconds.
_RETRY_AFTER = 10


class SessionStoreError(ScopesError):
    """Raised where a session is first looked at, or saved: its store is away. If nobody
    handles it, the answer is a 503.
    """


class SessionConflict(ScopesError):
    """Raised when a session is saved: another request has changed the same of it
    meanwhile. ``@scopes.retry`` takes it for a conflict that may pass. If nobody
    handles it, the answer is a 409.
    """

    # For `transient.py`.
    is_transient = True


def page_for(error: Exception) -> HTTPException | None:
    """What to answer with for *error*; None if it is of another kind."""
    if isinstance(error, SessionStoreError):
        return ServiceUnavailable(retry_after=_RETRY_AFTER)
    if isinstance(error, SessionConflict):
        return Conflict()
    return None


def store_down(store: object, reason: Exception | None) -> SessionStoreError:
    return SessionStoreError(
        f"{_is_away(store, reason)}\n\n"
        f"Asked for at {caller()}.\n\n"
        "Nobody was taken for a stranger, and nothing was changed in the session.\n"
        "To fix it, see that the database is there. If it is SQL, its tables are made"
        " by store.create_tables()\nor your migrations. To let visitors read on while"
        ' it is away: ServerSessions(..., when_down="read-only").'
    )


def saved_too_late(store: object, reason: Exception) -> SessionStoreError:
    return SessionStoreError(
        f"{_is_away(store, reason)}\n\n"
        f"Found at the end of {_request()}, after its work was committed, which stays"
        " so.\n\n"
        "The changes of the session are lost. To fix it, see that the database is"
        " there; or keep sessions\nwhere the work is kept, and both are in one"
        " transaction."
    )


def _is_away(store: object, reason: Exception | None) -> str:
    why = f":\n{in_short(reason)}" if reason else "."
    return f"The store of the sessions ({type(store).__name__}) is away{why}"


def conflict(names: list[str], committed: bool) -> SessionConflict:
    what = ", ".join(map(repr, names)) or "its id"
    found = f"Found at the end of {_request()}"
    if committed:
        found += ", after its work was committed, which stays so"
        cure = "keep sessions where the work is kept, and both are in one transaction."
    else:
        cure = (
            "put @scopes.retry(3) on the view, and it begins anew with what is there"
            " now."
        )
    return SessionConflict(
        f"Another request of this visitor has changed {what} in their session"
        f" meanwhile.\n\n{found}.\n\nTo fix it, {cure}"
    )


def not_json(name: str, value: object, reason: Exception) -> SessionValueError:
    return SessionValueError(
        f"session[{name!r}] cannot be kept: in this {type(value).__name__},"
        f" {in_short(reason)}\n\n"
        f"Found at the end of {_request()}.\n\n"
        "To fix it, keep plain data: what Flask's session takes; or see"
        " @scopes.session, for dataclasses and the like."
    )


def bad_name(name: object, longest: int) -> SessionValueError:
    return SessionValueError(
        f"session[{_shortened(repr(name))}] cannot be set: a name is text of at most"
        f" {longest} characters.\n\n"
        f"Set at {caller()}.\n\n"
        "To fix it, keep a dictionary under a short name. (The arguments of a session"
        " object are in its name.)"
    )


def not_secure() -> str:
    return (
        "The cookie of the session is for HTTPS only, and a request has come over HTTP:"
        " a browser drops it,\nand its next request is a stranger's.\n\n"
        f"Found at the end of {_request()}. This is said once.\n\n"
        "To fix it, behind a proxy that speaks HTTPS, let Flask know: ProxyFix of"
        " Werkzeug. To serve plain HTTP,\nset SCOPES_SESSION_SECURE = False."
    )


def not_here(what: str) -> OutsideScopeError:
    return OutsideScopeError(
        f"sessions.{what} is about the session of a visitor, and there is none of these"
        " sessions here.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call it in a view of an app that is set up with their Scopes."
    )


def unknown_dialect(name: str) -> SetupError:
    return SetupError(
        f"SQLStore does not know how to write to {name!r}: it knows SQLite,"
        " PostgreSQL and MariaDB.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, keep the sessions in one of these: SQLStore(sql, bind=...)"
    )


def no_redis_url() -> SetupError:
    return SetupError(
        "The app's config does not say where Redis is: there is no REDIS_URL.\n\n"
        f"Asked for at {caller()}.\n\n"
        "To fix it, set it before the first request, as in:\n\n"
        '    app.config["REDIS_URL"] = "redis://localhost:6379/0"'
    )


def bad_client() -> SetupError:
    return SetupError(
        "RedisStore was given a client that answers in bytes.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, make it with decode_responses=True."
    )


def bad_option(what: str) -> SetupError:
    return SetupError(
        f"ServerSessions cannot be made so: {what}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, see its parameters:  help(ServerSessions)"
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:36]} ..."


def _request() -> str:
    """There is no line of the user's where a session is saved."""
    if not flask.has_request_context():
        return "a request"
    return f"{flask.request.method} {flask.request.path}"
