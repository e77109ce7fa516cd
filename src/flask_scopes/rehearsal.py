"""What can be known of the saving of a session before anything is committed: after the
commit it is too late to find that it cannot be written.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from flask.sessions import SecureCookieSessionInterface
from werkzeug.wrappers import Response

from . import session_messages

if t.TYPE_CHECKING:
    import flask
    from flask import Flask
    from flask.sessions import SessionInterface
    from flask.sessions import SessionMixin


def rehearse(app: Flask, inner: SessionInterface, session: SessionMixin) -> None:
    """Raise now what *inner* would raise if it wrote *session*. Our own interface
    writes it, if it is to be part of the transaction.
    """
    own: c.Callable[[Flask, SessionMixin], object] | None = getattr(
        inner, "rehearse", None
    )
    if own is not None:
        own(app, session)
        return
    if signs_cookies(inner):
        if session.modified:
            serializer = t.cast(
                "SecureCookieSessionInterface", inner
            ).get_signing_serializer(app)
            if serializer is not None:
                serializer.dumps(dict(session))
        return
    # As Flask-Session has it.
    encode = getattr(getattr(inner, "serializer", None), "encode", None)
    if encode is not None:
        encode(session)


def signs_cookies(inner: SessionInterface) -> bool:
    """Whether *inner* writes what is in the session into Flask's signed cookie, and
    nothing else. (A subclass may.)
    """
    return (
        isinstance(inner, SecureCookieSessionInterface)
        and type(inner).save_session is SecureCookieSessionInterface.save_session
    )


def refuse_too_large(
    app: Flask, inner: SessionInterface, session: SessionMixin
) -> bool:
    """Whether the cookie of *session* would be larger than browsers keep: they drop it
    and say nothing, and the next request comes with the old one. That is logged.

    :raises SessionTooLarge: it would be, and the app is in debug mode.
    """
    # In this order: a session on the server has to be compared to answer the second.
    if not signs_cookies(inner) or not session.modified:
        return False
    draft = Response()
    # It would warn as well.
    draft.max_cookie_size = 0
    inner.save_session(app, session, t.cast("flask.Response", draft))
    size = max(map(len, draft.headers.getlist("Set-Cookie")), default=0)
    config = t.cast("dict[str, t.Any]", app.config)
    limit: int = config.get("MAX_COOKIE_SIZE", 4093)
    if not 0 < limit < size:
        return False
    error = session_messages.too_large(size, limit, _largest(session))
    if app.debug:
        raise error
    app.logger.error("%s", error)
    return True


def _largest(session: SessionMixin) -> list[tuple[str, int]]:
    """What takes the most room in *session*, in characters."""
    sizes = [(str(name), len(str(value))) for name, value in session.items()]
    return sorted(sizes, key=lambda pair: -pair[1])[:3]
