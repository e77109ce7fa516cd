"""Whose request it is: found out once, and kept with the request itself.

Flask-Login keeps its user on ``flask.g``, which belongs to the app context: in Flask
3.1 a request shares the one that it finds, and where a context was left behind, by a
body that was closed on another thread or by one pushed by hand, it finds the user of an
earlier request. Here ``g._login_user`` is a window to what belongs to the request, and
to nobody else.
"""

from __future__ import annotations

import typing as t
import weakref

import flask
from flask.sessions import NullSession

from .. import clock
from .. import contexts
from ..lookup import open_unit
from ..recipe import UNSET
from . import messages

if t.TYPE_CHECKING:
    from flask.sessions import SessionMixin

    from ..unit import Unit
    from .remember import Kept
    from .tokens import Token

_NAME: t.Final = "_login_user"


class Identity:
    """Of one request; lives as long as that."""

    __slots__ = (
        "__weakref__",
        "came",
        "device",
        "forgets",
        "has_no_token",
        "is_answered",
        "is_loading",
        "keeps",
        "session",
        "token",
        "unit",
        "user",
    )

    def __init__(self, session: SessionMixin | None) -> None:
        self.session = session
        """What it was found in. If the request has another one by now, it has failed,
        and whoever has signed in during it has not.
        """
        self.user: t.Any = UNSET
        """As Flask-Login has it: anonymous, if nobody is signed in."""
        self.unit: weakref.ref[Unit] | None = None
        """In which that was loaded."""
        self.token: Token | None = None
        """By which, if it was by one."""
        self.has_no_token = False
        """Whether it is known that the request has come without one."""
        self.device: str | None = None
        """Which was remembered, if it has signed in by that."""
        self.came = clock.now()
        """When the request came, or asked first."""
        self.is_answered = False
        """Whether it is too late for a cookie."""
        self.is_loading = False
        """Whether it is just being found out."""
        self.keeps: Kept | None = None
        """What the browser is to remember from now on."""
        self.forgets = False
        """Whether it is to forget that."""

    def set(self, user: object) -> None:
        """Let *user* be whose request it is."""
        unit = open_unit()
        self.user = user
        self.unit = None if unit is None else weakref.ref(unit)

    def is_of_this_unit(self) -> bool:
        """Whether it was loaded where code runs now: a database may have let go of what
        was loaded elsewhere.
        """
        unit = open_unit()
        return unit is None or self.unit is None or self.unit() is unit


def identity_of(request: contexts.Context) -> Identity:
    """Whose request *request* is, as far as that is known."""
    session = contexts.session_of(request)
    found: Identity | None = getattr(request, "scopes_identity", None)
    if found is None:
        found = request.scopes_identity = Identity(session)
    elif found.session is not session:
        found.session, found.user, found.unit = session, UNSET, None
    return found


class TokenSession(NullSession):
    """The session of a request that has come with a token: empty, and not to be
    changed. A cookie that came with it is not looked at.
    """

    def restored(self) -> TokenSession:
        """What it is when the request has failed."""
        return TokenSession()

    def _fail(self, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        raise messages.token_has_no_session()

    __setitem__ = __delitem__ = clear = pop = popitem = _fail
    update = setdefault = _fail


class Source(t.Protocol):
    """What knows whose a request is."""

    def user_of(self, identity: Identity) -> object: ...
    def forget_user(self, identity: Identity) -> None: ...


def let_requests_have_it(app: flask.Flask, source: Source) -> None:
    """Let ``g._login_user`` of *app* be what *source* says of the current request."""
    base: type[t.Any] = app.app_ctx_globals_class
    members = {"_scopes_source": source}
    made: type[t.Any] = type(base.__name__, (_Globals, base), members)
    app.app_ctx_globals_class = made


def this_identity() -> Identity | None:
    """Whose request this is, as far as that is known; None if there is no request."""
    request = _request()
    return None if request is None else identity_of(request)


def _request() -> contexts.Context | None:
    request = contexts.innermost_request.get(None)
    if request is None or not contexts.has_request(request):
        return None
    context = contexts.app_context.get(None)
    # (A context of another app, inside of a request.)
    return request if context is not None and context.app is request.app else None


class _Globals:
    """Stands before the class of ``flask.g``, for one name."""

    _scopes_source: Source

    @property
    def _login_user(self) -> object:
        identity = this_identity()
        if identity is None:
            # In a context of another app, inside of a request.
            base: t.Any = super()
            return base.__getattr__(_NAME)
        try:
            return self._scopes_source.user_of(identity)
        except AttributeError as error:
            # Of a property, Python would take it for "there is none".
            raise messages.loader_failed(error) from error

    def __contains__(self, name: str) -> bool:
        if name == _NAME and _request() is not None:
            # Flask-Login asks, and then it is loaded.
            return True
        base: t.Any = super()
        return bool(base.__contains__(name))

    def __setattr__(self, name: str, value: object) -> None:
        identity = this_identity() if name == _NAME else None
        if identity is None:
            super().__setattr__(name, value)
            return
        self._scopes_source.forget_user(identity)
        identity.set(value)

    def __delattr__(self, name: str) -> None:
        if name == _NAME:
            self.pop(name)
        else:
            super().__delattr__(name)

    def get(self, name: str, default: object = None) -> object:
        if name == _NAME:
            return self._login_user if name in self else default
        base: t.Any = super()
        return base.get(name, default)

    def pop(self, name: str, *default: object) -> object:
        """For those who let Flask-Login load its user again."""
        base: t.Any = super()
        if name != _NAME:
            return base.pop(name, *default)
        identity = this_identity()
        if identity is None:
            return base.pop(name, *default)
        found = identity.user
        self._scopes_source.forget_user(identity)
        return found if found is not UNSET else (*default, None)[0]
