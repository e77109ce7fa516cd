"""How Flask calls us for the session of a request, and the cookie.

The rules of its name and flags: RFC 6265bis, 4.1.2 and 4.1.3.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t

import flask
from flask.sessions import SessionInterface

from .. import clock
from .. import contexts
from . import messages
from . import saving
from .finding import find
from .plan import Visit
from .plan import plan_of
from .session import Found
from .session import Plan
from .session import ServerSession
from .tokens import Key
from .tokens import read_token

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Request
    from flask import Response
    from flask.sessions import SessionMixin

    from .in_hand import InHand
    from .policy import Policy
    from .records import Store
    from .records import Stored
    from .tokens import Token

# Of characters; more is cut off.
_LONGEST: t.Final = 300


class ServerInterface(SessionInterface):
    """The session interface of an app; lives as long.

    :param in_hand: what this process has seen lately, if that is to be used.
    """

    def __init__(self, store: Store, policy: Policy, in_hand: t.Any) -> None:
        self.store = store
        self.policy = policy
        self._in_hand = in_hand
        self._has_warned = False

    def _hand(self) -> InHand | None:
        hand: InHand | None = self._in_hand() if self.policy.reads_on else None
        return hand

    # ---- The cookie

    def get_cookie_name(self, app: Flask) -> str:
        """With ``__Host-`` before it, where browsers allow that: then no other host,
        and nobody on a connection without TLS, can set it.
        """
        name = super().get_cookie_name(app)
        bound = self.get_cookie_path(app) == "/" and not self.get_cookie_domain(app)
        if self.get_cookie_secure(app) and bound and not name.startswith("__"):
            return f"__Host-{name}"
        return name

    def get_cookie_secure(self, app: Flask) -> bool:
        config = t.cast("dict[str, t.Any]", app.config)
        return bool(config.get("SCOPES_SESSION_SECURE", not app.debug))

    def get_cookie_samesite(self, app: Flask) -> str:
        return super().get_cookie_samesite(app) or "Lax"

    def _flags(self, app: Flask) -> dict[str, t.Any]:
        return {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": True,
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }

    # ---- What Flask calls

    def open_session(self, app: Flask, request: Request) -> ServerSession | None:
        if not app.secret_key:
            # Flask then says that there is none.
            return None
        token = read_token(request.cookies.get(self.get_cookie_name(app)))
        return ServerSession(functools.partial(self._find, app, token))

    def _find(self, app: Flask, token: Token | None) -> Found | None:
        if token is None:
            return None
        # A test client's `session_transaction` looks into it outside of any context.
        has_context = contexts.app_context.get(None) is not None
        with contextlib.nullcontext() if has_context else app.app_context():
            return find(self.store, token, _keys(app), self._hand())

    def rehearse(self, app: Flask, session: SessionMixin) -> None:
        """Called when the work of a request is about to be committed."""
        if isinstance(session, ServerSession):
            session.plan = self._plan(app, session)
            saving.before_commit(self.store, session, self.policy)

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        if not isinstance(session, ServerSession):
            return
        if session.accessed:
            response.vary.add("Cookie")
        if not session.is_loaded:
            return
        committed = session.plan is not None
        if session.plan is None:
            session.plan = self._plan(app, session)
        saving.after_commit(self.store, session, self.policy, committed)
        self._touch(app, session)
        self._forget(session)
        self._send_cookie(app, session, response)

    def _plan(self, app: Flask, session: ServerSession) -> Plan:
        def latest() -> Stored | None:
            found = session.found
            with saving.reaching(self.store):
                return self.store.load(found.head.id) if found else None

        return plan_of(session, self.policy, functools.partial(_visit, app), latest)

    def _touch(self, app: Flask, session: ServerSession) -> None:
        """Write down that the session was used, and from where, if it is time to."""
        found, plan = session.found, session.plan
        if found is None or found.is_late or found.is_read_only:
            return
        if plan is None or plan.token or plan.forget:
            return
        head, now = found.head, clock.now()
        if now >= head.expires:
            # It is over since this request began.
            return
        late = now - head.seen >= self.policy.touch_every
        if not (late or found.has_old_key):
            return
        visit = _visit(app)
        expires = self.policy.expires(visit.now, head.limit)
        fields: dict[str, t.Any] = {"seen": visit.now, "expires": expires}
        fields |= {"agent": visit.agent, "address": visit.address}
        if found.has_old_key:
            fields["digest"] = found.token.digest(visit.key)
        try:
            self.store.update(head.id, head.digest, fields)
        except self.store.failures as error:
            # The next request will do it; nothing is lost but a minute.
            app.logger.warning("Could not note that a session was used: %s", error)

    def _forget(self, session: ServerSession) -> None:
        """What has changed is no longer in hand."""
        hand, plan = self._hand(), session.plan
        if not (hand and plan and session.found and plan.changes_anything):
            return
        if plan.remove:
            hand.end(plan.remove, clock.now())
        else:
            hand.drop(session.found.head.id)

    def _send_cookie(
        self, app: Flask, session: ServerSession, response: Response
    ) -> None:
        plan, found, name = session.plan, session.found, self.get_cookie_name(app)
        if plan is None:
            return
        if plan.forget:
            if found is not None or session.is_revoked:
                response.vary.add("Cookie")
                response.delete_cookie(name, **self._flags(app))
            return
        token = plan.token
        if token is None and "_permanent" in plan.changes:
            token = self._token_again(app, found)
        if token is None:
            return
        head = plan.add or (found.head if found else None)
        expires = None
        if session.permanent and head is not None:
            expires = clock.date_of(head.limit)
        self._warn_of_http(app)
        response.vary.add("Cookie")
        response.set_cookie(name, str(token), expires=expires, **self._flags(app))

    def _token_again(self, app: Flask, found: Found | None) -> Token | None:
        """That which the browser has, unless it has been given another meanwhile."""
        if found is None or found.is_late:
            return None
        digest = found.token.digest(_keys(app)[0])
        known = digest if found.has_old_key else found.head.digest
        with saving.reaching(self.store, committed=True):
            here = self.store.update(found.head.id, known, {"seen": clock.now()})
        return found.token if here else None

    def _warn_of_http(self, app: Flask) -> None:
        """Say so, once, if a browser will not take a cookie."""
        # As far as Flask knows. (A test client takes it.)
        plain = flask.has_request_context() and not flask.request.is_secure
        if self._has_warned or app.testing or not plain:
            return
        if self.get_cookie_secure(app):
            self._has_warned = True
            app.logger.warning("%s", messages.not_secure())


def _keys(app: Flask) -> list[Key]:
    """The current one first. Those that are no longer used come from
    SECRET_KEY_FALLBACKS, as for Flask's own cookies.
    """
    config = t.cast("dict[str, t.Any]", app.config)
    secret_key = t.cast("Key", app.secret_key)
    return [secret_key, *(config.get("SECRET_KEY_FALLBACKS") or [])]


def _visit(app: Flask) -> Visit:
    """Where this request comes from. Most have no need to know it."""
    agent = address = ""
    if flask.has_request_context():
        agent = _printable(flask.request.headers.get("User-Agent", ""))
        address = _printable(flask.request.remote_addr or "")
    return Visit(clock.now(), agent, address, _keys(app)[0])


def _printable(text: str) -> str:
    """As much of *text* as a store takes: it comes from whoever asks."""
    text = text[:_LONGEST]
    return text if text.isprintable() else "".join(filter(str.isprintable, text))
