"""The session interface of the app, with the end of the unit before the saving.

It is the only public point after every ``after_request`` function and before the
session is written. Flask asks ``is_null_session`` first, so that is where an app
without a secret key is kept from skipping it.
"""

from __future__ import annotations

import typing as t

from flask.sessions import SecureCookieSessionInterface

from . import contexts
from . import ending
from . import replay

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Request
    from flask import Response
    from flask.sessions import SessionInterface
    from flask.sessions import SessionMixin


def watch(app: Flask) -> None:
    """See to it that the interface of *app* finishes the unit: another extension
    may have assigned its own meanwhile.
    """
    if type(t.cast(object, app.session_interface)) is not Interface:
        app.session_interface = t.cast(
            "SessionInterface", Interface(app.session_interface)
        )


class Interface:
    """Stands before the app's own session interface, and passes everything on."""

    __slots__ = ("_inner",)
    _inner: SessionInterface

    def __init__(self, inner: SessionInterface) -> None:
        object.__setattr__(self, "_inner", inner)

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        return self._inner.open_session(app, request)

    def is_null_session(self, obj: object) -> bool:
        return not _is_current(obj) and self._inner.is_null_session(obj)

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        inner = self._inner
        request = contexts.innermost_request.get(None)
        if request is None or not _is_current(session):
            # By hand, or by a test client's `session_transaction`.
            inner.save_session(app, session, response)
            return
        if contexts.unit_of(request) is not None:
            replay.refuse_stream(request, response)
            _rehearse(app, inner, session)
        ending.finish(app, request, response)
        # Another one, if that was restored.
        session = t.cast("SessionMixin", contexts.session_of(request))
        if inner.is_null_session(session):
            return
        if not hasattr(request, "scopes_failed") or session.modified:
            inner.save_session(app, session, response)
        elif session.accessed:
            # As Flask does when it saves: the response depends on who asks.
            response.vary.add("Cookie")

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._inner, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._inner, name)

    @property  # type: ignore[misc]  # nobody gives it another class
    def __class__(self) -> t.Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # the same
        # `isinstance` believes it.
        return type(self._inner)

    def __repr__(self) -> str:
        return repr(self._inner)


def _is_current(session: object) -> bool:
    """Whether *session* is that of the request that is handled now."""
    request = contexts.innermost_request.get(None)
    return request is not None and contexts.session_of(request) is session


def _rehearse(app: Flask, inner: SessionInterface, session: SessionMixin) -> None:
    """Fail now if the session cannot be written: after the commit it is too late."""
    if isinstance(inner, SecureCookieSessionInterface) and session and session.modified:
        serializer = inner.get_signing_serializer(app)
        if serializer is not None:
            serializer.dumps(dict(session))
