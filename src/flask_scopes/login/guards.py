"""What is let in, and what those are told who are not."""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t

import flask
from werkzeug.datastructures import WWWAuthenticate

from .. import clock
from ..views import View
from ..views import before_view
from . import messages
from . import origin
from .cookies import FRESH_AT
from .cookies import Cookies
from .identity import this_identity
from .upstream import EXEMPT_METHODS
from .upstream import app
from .upstream import config
from .upstream import current_user
from .upstream import user_needs_refresh
from .upstream import user_unauthorized

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from .tokens import Token

_SCOPES: t.Final = "scopes_required"


class Guards(Cookies):
    """See :class:`~flask_scopes.login.Login`: the part that refuses."""

    def fresh(self, max_age: datetime.timedelta) -> c.Callable[[View], View]:
        """Decorate a view, below its route, for which a user has to have given their
        password not longer than *max_age* ago. Others are sent to ``refresh_view``,
        which calls ``flask_login.confirm_login()``.

        With Flask-Login's own ``fresh_login_required`` a login is fresh until the
        session is over. They come back with a GET request.

        :raises SetupError: *max_age* is no time.
        """
        if not isinstance(t.cast("object", max_age), datetime.timedelta):
            raise messages.bad_age()

        def refused() -> t.Any:
            if not current_user.is_authenticated:
                return self.unauthorized()
            return None if self.is_fresh(max_age) else self.needs_refresh()

        return _guard(refused)

    def is_fresh(self, max_age: datetime.timedelta) -> bool:
        """Whether the user has given their password not longer than *max_age* ago."""
        session = flask.session
        since = clock.now() - session.get(FRESH_AT, 0.0)
        return bool(session.get("_fresh")) and 0 <= since <= max_age.total_seconds()

    @property
    def token(self) -> Token | None:
        """The token that this request has come with, if it has."""
        identity = this_identity()
        if identity is not None:
            self._take_token(identity)
        return identity.token if identity else None

    @property
    def _has_session(self) -> bool:
        """Whether there is a session: not outside of requests, nor with a token."""
        return flask.has_request_context() and not self.token

    def requires(self, *scopes: str) -> c.Callable[[View], View]:
        """Decorate a view, below its route, that takes tokens which may be used for all
        of *scopes*. A user who is signed in without one may use it as well.

        A view without this takes no tokens. For a class of views, it belongs into its
        ``decorators``.

        :param scopes: none, if any token will do.
        :raises SetupError: they are no texts.
        """
        if not all(isinstance(t.cast("object", each), str) for each in scopes):
            raise messages.bad_scopes()

        def refused() -> t.Any:
            if not current_user.is_authenticated:
                return self.unauthorized()
            token = self.token
            if token is not None and not token.scopes.issuperset(scopes):
                return _answer(403, "insufficient_scope", scope=" ".join(scopes))
            return None

        def decorate(view: View) -> View:
            guarded = _guard(refused)(view)
            setattr(guarded, _SCOPES, scopes)
            return guarded

        return decorate

    def _begin(self, sender: flask.Flask, **sent: t.Any) -> None:
        """As each request begins, before any function of the app.

        :raises HTTPException: it is refused.
        """
        request = flask.request
        identity = this_identity()
        if identity is not None and self._take_token(identity):
            self._check_token(sender, identity.token is not None)
            # It was not sent by a page without its knowledge: browsers do not add it.
            return
        trusted = config().get("SCOPES_TRUSTED_ORIGINS") or ()
        if isinstance(trusted, str):
            trusted = (trusted,)
        if origin.is_cross_site(request, trusted):
            messages.log_cross_site(request.headers.get("Origin", "which is hidden"))
            flask.abort(403, "This was sent by a page of another site.")

    def _check_token(self, sender: flask.Flask, is_good: bool) -> None:
        request = flask.request
        if not is_good:
            flask.abort(_answer(401, "invalid_token"))
        if request.endpoint is None or request.method in EXEMPT_METHODS:
            return
        view = sender.view_functions.get(request.endpoint)
        if not hasattr(view, _SCOPES):
            flask.abort(_answer(403, "insufficient_scope"))

    def unauthorized(self) -> ResponseReturnValue:
        """What somebody gets who is not signed in: the page to sign in; for a program,
        a 401 and JSON.
        """
        if self.unauthorized_callback is None and origin.is_program(flask.request):
            user_unauthorized.send(app())
            return _answer(401, "unauthorized")
        return super().unauthorized()

    def needs_refresh(self) -> ResponseReturnValue:
        """What somebody gets who has to give their password again, in the same way."""
        if self.needs_refresh_callback is None and origin.is_program(flask.request):
            user_needs_refresh.send(app())
            return _answer(401, "login_not_fresh")
        return super().needs_refresh()

    def next_path(self, default: str) -> str:
        """Where to go after a login: what ``next`` says, in the address, the form or
        the session, if that is a path on this site; otherwise *default*.
        """
        kept = None if self.token else flask.session.pop("next", None)
        said = flask.request.values.get("next", kept)
        return origin.local_path(said) or default

    # ---- When the password was given

    def _logged_in(self, sender: flask.Flask, **sent: t.Any) -> None:
        session = flask.session
        if session.get("_remember") == "set" and self._devices is None:
            raise messages.missing("login_user(remember=True)", "records")
        self._note_freshness()
        self._drop_anothers_device(str(session["_user_id"]))
        self._forget_proof()

    def _forget_proof(self) -> None:
        """What has proved before a login that a form is ours proves it to whoever knew
        the session then: Flask-WTF makes another one.
        """
        name = config().get("WTF_CSRF_FIELD_NAME", "csrf_token")
        flask.session.pop(name, None)
        flask.g.pop(name, None)

    def _note_freshness(self, sender: flask.Flask | None = None, **sent: t.Any) -> None:
        session = flask.session
        if session.get("_fresh"):
            session[FRESH_AT] = clock.now()
        else:
            session.pop(FRESH_AT, None)


def _guard(refused: c.Callable[[], t.Any]) -> c.Callable[[View], View]:
    """A decorator of views that answers with what *refused* says, if that is anything,
    under the same conditions as Flask-Login's.
    """

    def refuse() -> None:
        is_exempt = flask.request.method in EXEMPT_METHODS
        if is_exempt or config().get("LOGIN_DISABLED"):
            return
        answer = refused()
        if answer is not None:
            flask.abort(flask.make_response(answer))

    return before_view(refuse)


def _answer(status: int, error: str, **more: str) -> flask.Response:
    """For a program: RFC 6750, 3."""
    response = flask.jsonify(error=error)
    response.status_code = status
    given: dict[str, str | None] = {"error": error, **more}
    if error == "unauthorized":
        given = {}
    response.headers["WWW-Authenticate"] = str(WWWAuthenticate("bearer", given))
    return response
