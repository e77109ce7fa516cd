"""How Flask-Login loads the user of a request: once, and for that request alone."""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import hashlib
import secrets
import typing as t

import flask

from .. import clock
from .. import contexts
from .. import lookup
from ..places import declared
from ..places import name_of
from ..places import place_of
from ..recipe import UNSET
from ..resource import check_factory
from ..resource import recipe_of
from ..scope import Scope
from . import messages
from .identity import Identity
from .identity import TokenSession
from .identity import this_identity
from .upstream import LoginManager
from .upstream import app
from .upstream import user_loaded_from_cookie

if t.TYPE_CHECKING:
    from ..extension import Scopes
    from ..resource import Resource
    from ..unit import Unit
    from .remember import Devices
    from .remember import Remembered
    from .tokens import Tokens

# Under which a session has which answer it was begun with, if by a remembered device.
_BEGUN: t.Final = "_begun"
_MOST_NOTED: t.Final = 10_000
UserT = t.TypeVar("UserT")
# What came of remember-me cookies in this request, in all attempts at it: each is good
# once, and what an attempt that is given up was told is for the next.
checked_cookies: contextvars.ContextVar[dict[str, Remembered | None] | None] = (
    contextvars.ContextVar("flask_scopes.login.checked", default=None)
)


class Loader(LoginManager):
    """See :class:`~flask_scopes.login.Login`, of which this is the part that loads."""

    _devices: Devices | None
    _tokens: Tokens | None
    _end_sessions_of: c.Callable[[str, str], None]

    def __init__(self, scopes: Scopes) -> None:
        super().__init__()
        self._scopes = scopes

        @scopes.application
        @declared("login.noted")
        def noted() -> dict[str, None]:
            return {}

        self._noted = noted
        # Not by the address: people change that, and Flask-Login believes a header.
        self._session_identifier_generator = _identifier
        self._resource: Resource[[], t.Any] | None = None

    def user(
        self, loader: c.Callable[[str], UserT | None], /
    ) -> Resource[[], UserT | None]:
        """Decorate the function that loads a user, given their id as text: what comes
        of it is the resource of whoever is signed in, loaded at first use and at most
        once per unit. It is None for nobody, for who is not active, and in a command,
        or wherever else there is a unit and no request.

        ``flask_login.current_user`` is the same object. After a login or a logout in
        the same request it is another one, and so is what was built from it.

        :raises SetupError: there is such a function already, or it is async.
        """
        check_factory(Scope.REQUEST, loader)
        known = self._user_callback
        if known is not None:
            raise messages.two_loaders(name_of(known), place_of(known))
        self._user_callback = loader

        @declared(name_of(loader), place_of(loader))
        def current_user() -> UserT | None:
            return t.cast("UserT | None", self._current())

        for name in ("__doc__", "__module__", "__qualname__"):
            setattr(current_user, name, getattr(loader, name, None))
        self._resource = self._scopes.request(current_user)
        return t.cast("Resource[[], UserT | None]", self._resource)

    def _current(self) -> object:
        """Who is signed in, in this unit."""
        identity = this_identity()
        if identity is None:
            return None
        if identity.user is UNSET:
            self._load_user()
        user = identity.user
        if not identity.is_of_this_unit():
            user_id = getattr(user, self.id_attribute)()
            again = None if user_id is None else self._user_callback(user_id)
            # One who is just being added is not to be found elsewhere.
            user = user if again is None else again
        return user if getattr(user, "is_authenticated", False) else None

    def user_of(self, identity: Identity) -> object:
        """For ``flask_login.current_user``: never None."""
        if self._resource is not None and self._is_to_be_asked():
            found = self._resource()
            if found is not None:
                return found
            if recipe_of(self._resource).replacements:
                return self.anonymous_user()
        if identity.user is UNSET:
            request = contexts.innermost_request.get(None)
            # In a body that is streamed there is no unit to load it in any more.
            is_over = hasattr(request, "scopes_finished")
            with self._scopes.unit() if is_over else contextlib.nullcontext():
                self._load_user()
        return self.anonymous_user() if identity.user is UNSET else identity.user

    def _is_to_be_asked(self) -> bool:
        # In a body that is streamed, what was loaded before is still to be had.
        unit = lookup.unit_in_progress()
        return unit is not None and unit.is_open()

    def forget_user(self, identity: Identity) -> None:
        """Let whose request it is be found out again, and what was built from it be
        built again.
        """
        identity.user, identity.unit = UNSET, None
        request = contexts.innermost_request.get(None)
        if self._resource is None or request is None:
            return
        recipe = recipe_of(self._resource)
        of_request = t.cast("Unit | None", contexts.unit_of(request))
        for unit in {of_request, lookup.open_unit()}:
            if unit is not None:
                # Also if the request fails: then nobody has signed in or out.
                unit.forget_built_from(recipe)

    # ---- What Flask-Login calls

    def _load_user(self) -> None:
        identity = this_identity()
        if identity is None:
            flask.g._login_user = self.anonymous_user()
            return
        identity.is_loading = True
        try:
            if self._take_token(identity):
                token = identity.token
                user = token and self._user_callback(token.user)
                self._update_request_context_with_user(user)
            else:
                # Before a database is asked for the user.
                self._note_that_it_arrived(identity)
                super()._load_user()
        finally:
            identity.is_loading = False

    def _take_token(self, identity: Identity) -> bool:
        """Whether this request has come with a token, be it good or not: then that is
        all that counts, and its session is an empty one.
        """
        if identity.has_no_token:
            return False
        if isinstance(identity.session, TokenSession):
            return True
        given = flask.request.authorization
        text = given.token if given and given.type == "bearer" else None
        if self._tokens is None or not text or not self._tokens.is_one(text):
            identity.has_no_token = True
            return False
        session = TokenSession()
        contexts.swap_session(contexts.innermost_request.get(), session)
        identity.token = self._tokens.check(text)
        return True

    def _update_request_context_with_user(self, user: t.Any = None) -> None:
        identity = this_identity()
        if identity is None:
            return
        if not identity.is_loading:
            # Begun now, if it has not: so that a request that fails signs nobody in.
            lookup.unit_in_progress()
            self.forget_user(identity)
        if user is None:
            user = self.anonymous_user()
        elif not hasattr(user, "is_authenticated"):
            raise messages.no_user(self._user_callback, user)
        identity.set(user)

    def _load_user_from_remember_cookie(self, cookie: str) -> t.Any:
        identity = this_identity()
        found = self._check_once(cookie)
        if identity is None:
            return None
        identity.keeps = None if found is None else found.kept
        user = None if found is None else self._user_callback(found.user)
        if found is None or user is None:
            identity.keeps, identity.forgets = None, True
            return None
        identity.device = found.device
        flask.session["_user_id"] = found.user
        flask.session["_fresh"] = False
        flask.session["_id"] = self._session_identifier_generator()
        flask.session["_remembered"] = found.device
        if found.kept is not None:
            flask.session[_BEGUN] = secrets.token_urlsafe(9)
        flask.session.pop("_fresh_at", None)
        user_loaded_from_cookie.send(app(), user=user)
        return user

    def _note_that_it_arrived(self, identity: Identity) -> None:
        """Once somebody comes with the session that a remembered device has begun: then
        they have got its next cookie with it, and the one before is good for nobody.
        """
        session = identity.session
        begun = None if session is None else session.get(_BEGUN)
        device = None if session is None else session.get("_remembered")
        noted = self._noted() if begun and device else {}
        if not begun or not device or begun in noted or self._devices is None:
            return
        if self._devices.note_that_it_arrived(device):
            # Once in a process: to take it out of the session would be a change, which
            # another request may make as well.
            if len(noted) >= _MOST_NOTED:
                noted.clear()
            noted[begun] = None

    def _check_once(self, cookie: str) -> Remembered | None:
        checked = checked_cookies.get()
        checked = {} if checked is None else checked
        if cookie not in checked:
            devices = self._devices
            identity = this_identity()
            in_time = identity is not None and not identity.is_answered
            came = identity.came if identity else clock.now()
            found = devices.check(cookie, came, renew=in_time) if devices else None
            checked[cookie] = found
        return checked[cookie]


@contextlib.contextmanager
def around_attempts() -> c.Generator[None, None, None]:
    """Around all attempts at a request."""
    token = checked_cookies.set({})
    try:
        yield
    finally:
        checked_cookies.reset(token)


def _identifier() -> str:
    """What a session is bound to, loosely: what the browser calls itself."""
    agent = flask.request.headers.get("User-Agent", "")
    return hashlib.sha256(agent.encode("utf-8", "surrogatepass")).hexdigest()
