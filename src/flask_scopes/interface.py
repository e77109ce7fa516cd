"""The session interface of the app, with the end of the unit before the saving.

It is the only public point after every ``after_request`` function and before the
session is written. Flask asks ``is_null_session`` first, so that is where an app
without a secret key is kept from skipping it.
"""

from __future__ import annotations

import functools
import sys
import types
import typing as t

from . import body
from . import contexts
from . import ending
from . import replay
from . import unit_messages
from .errors import ScopesError
from .rehearsal import refuse_too_large
from .rehearsal import rehearse

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Request
    from flask import Response
    from flask.sessions import SessionInterface
    from flask.sessions import SessionMixin

    from .application import Application
    from .unit import Unit


# Every request comes by here twice: looked up once.
_frame = t.cast("t.Callable[[int], types.FrameType]", vars(sys)["_getframe"])
_current_request = contexts.innermost_request.get
_SESSION = contexts.SESSION


def watch(app: Flask) -> None:
    """See to it that the interface of *app* finishes the unit: another extension
    may have assigned its own meanwhile.
    """
    if type(t.cast(object, app.session_interface)) is not Interface:
        ours = t.cast("SessionInterface", Interface(app.session_interface))
        try:
            app.session_interface = ours
        except AttributeError:
            raise unit_messages.fixed_interface(app.name, type(app)) from None


class Interface:
    """Stands before the app's own session interface, and passes everything on."""

    __slots__ = ("_inner",)
    _inner: SessionInterface

    def __init__(self, inner: SessionInterface) -> None:
        object.__setattr__(self, "_inner", inner)

    def open_session(self, app: Flask, request: Request) -> SessionMixin | None:
        return self._inner.open_session(app, request)

    def make_null_session(self, app: Flask) -> SessionMixin:
        # By way of `__getattr__` it would take twice as long, in each request.
        return self._inner.make_null_session(app)

    def is_null_session(self, obj: object) -> bool:
        if not self._inner.is_null_session(obj):
            return False
        request = _current_request(None)
        if request is None or getattr(request, _SESSION, self) is not obj:
            return True
        # There is nothing to save; but is there something to finish?
        return not (_is_complete(_frame(1)) and ending.is_due(request.app, request))

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        inner = self._inner
        request = _current_request(None)
        if (
            request is None
            or getattr(request, _SESSION, self) is not session
            or not _is_complete(_frame(1))
        ):
            # By hand, by a test client's `session_transaction`, by another app.
            inner.save_session(app, session, response)
            return
        unit = ending.unit_to_finish(app, request, response)
        is_null = inner.is_null_session(session)
        if unit is not None:
            try:
                replay.refuse_stream(request, response)
                prepare = None
                if not is_null:
                    prepare = functools.partial(_prepare, app, inner, request, unit)
                ending.finish(app, request, unit, response, prepare)
            except BaseException:
                body.drop(app, response)
                raise
        elif not is_null:
            _limit_size(app, inner, request)
        if not is_null:
            _save(app, inner, request, response)

    def __getattr__(self, name: str) -> t.Any:
        if name == "_inner":
            # Not made yet: it is being copied.
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __reduce__(self) -> tuple[object, ...]:
        return Interface, (self._inner,)

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


def _is_complete(frame: types.FrameType | None) -> bool:
    """Whether it is Flask that asks, because the response is complete. Others may
    save a session in the middle of a request; that does not end it.

    :param frame: of whoever asks.
    """
    while frame is not None:
        name = frame.f_code.co_name
        if name == "process_response":
            return True
        if name not in _ASKING:
            break
        # Another interface may stand before this one.
        frame = frame.f_back
    return False


_ASKING = {"is_null_session", "save_session"}


def _save(
    app: Flask, inner: SessionInterface, request: contexts.Context, response: Response
) -> None:
    # Another one, if that was restored.
    session: SessionMixin = getattr(request, _SESSION)
    if inner.is_null_session(session):
        return
    failed = hasattr(request, "scopes_failed")
    if not failed or getattr(session, "modified", True):
        try:
            inner.save_session(app, session, response)
        except ScopesError as error:
            ending.refuse(app, request, error)
            raise
    elif getattr(session, "accessed", True):
        # As Flask does when it saves: the response depends on who asks.
        response.vary.add("Cookie")


def _prepare(
    app: Flask, inner: SessionInterface, request: contexts.Context, unit: Unit
) -> None:
    """Put what *unit* has changed into the session, and fail now if that cannot be
    written.
    """
    session: SessionMixin = getattr(request, _SESSION)
    if unit.held:
        # Not above: it needs msgspec, which is there, as there is such a resource.
        from . import session_objects

        session_objects.keep(unit, session)
    rehearse(app, inner, session)
    _limit_size(app, inner, request)


def _limit_size(app: Flask, inner: SessionInterface, request: contexts.Context) -> None:
    """Leave the session as it was, if it has become too large for a cookie. (An app
    without session objects gets Werkzeug's warning, as before.)
    """
    home: Application | None = app.extensions.get("scopes")
    if home is None or not home.keeps_in_session:
        return
    session: SessionMixin = getattr(request, _SESSION)
    if refuse_too_large(app, inner, session):
        ending.restore_session(app, request)
