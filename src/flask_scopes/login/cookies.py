"""The cookie of a remembered device: when a browser gets it, and when it is gone."""

from __future__ import annotations

import datetime
import typing as t

import flask

from .. import clock
from .identity import Identity
from .identity import TokenSession
from .identity import this_identity
from .loader import Loader
from .loader import checked_cookies
from .upstream import COOKIE_DURATION
from .upstream import COOKIE_NAME
from .upstream import app
from .upstream import config

if t.TYPE_CHECKING:
    from .remember import Kept

FRESH_AT: t.Final = "_fresh_at"
"""Under which a session has when the password was given."""


class Cookies(Loader):
    """See :class:`~flask_scopes.login.Login`: the part that remembers devices."""

    def _update_remember_cookie(self, response: flask.Response) -> flask.Response:
        """After each request, as Flask-Login has it; without a look into a session that
        nobody else has looked into.
        """
        identity, asked = this_identity(), ""
        session = identity.session if identity else None
        if identity is None or session is None or isinstance(session, TokenSession):
            return response
        identity.is_answered = True
        if getattr(session, "accessed", True) and "_remember" in session:
            asked = session.pop("_remember")
        self._see_that_it_is_remembered(identity)
        if asked == "set" and "_user_id" in session:
            self._remember(response)
        elif asked == "clear" or (identity.forgets and identity.keeps is None):
            self._forget(response)
        else:
            # Perhaps of an attempt that was given up.
            checked = checked_cookies.get()
            found = checked.get(self._cookie() or "") if checked else None
            kept = identity.keeps or (found.kept if found else None)
            if kept is not None:
                self._send_cookie(response, kept)
        return response

    def _see_that_it_is_remembered(self, identity: Identity) -> None:
        """Whoever was signed out everywhere while this request was on its way is not to
        get a session by it.
        """
        device, devices = identity.device, self._devices
        if device is None or devices is None or devices.found(device):
            return
        if flask.session.get("_remembered") == device:
            flask.session.clear()
            identity.keeps, identity.forgets = None, True

    def _cookie(self) -> str | None:
        return flask.request.cookies.get(self._cookie_name())

    def _remember(self, response: flask.Response) -> None:
        session, devices = flask.session, self._devices
        if devices is None:
            return
        lasts = config().get("REMEMBER_COOKIE_DURATION", COOKIE_DURATION)
        lasts = session.pop("_remember_seconds", lasts)
        if not isinstance(lasts, datetime.timedelta):
            lasts = datetime.timedelta(seconds=lasts)
        devices.forget(self._devices_here())
        session["_remembered"], kept = devices.add(str(session["_user_id"]), lasts)
        self._send_cookie(response, kept)

    def _forget(self, response: flask.Response) -> None:
        if self._devices:
            self._devices.forget(self._devices_here())
        response.delete_cookie(self._cookie_name(), **self._cookie_flags())

    def _send_cookie(self, response: flask.Response, kept: Kept) -> None:
        response.set_cookie(
            self._cookie_name(),
            kept.cookie,
            expires=clock.date_of(kept.expires),
            **self._cookie_flags(),
        )

    def _cookie_name(self) -> str:
        return str(config().get("REMEMBER_COOKIE_NAME", COOKIE_NAME))

    def _cookie_flags(self) -> dict[str, t.Any]:
        settings = config()
        # As the one of the session, unless it is said.
        session = app().session_interface
        secure = session.get_cookie_secure(app())
        same_site = session.get_cookie_samesite(app()) or "Lax"
        return {
            "domain": settings.get("REMEMBER_COOKIE_DOMAIN"),
            "path": settings.get("REMEMBER_COOKIE_PATH", "/"),
            "secure": settings.get("REMEMBER_COOKIE_SECURE", secure),
            "httponly": settings.get("REMEMBER_COOKIE_HTTPONLY", True),
            "samesite": settings.get("REMEMBER_COOKIE_SAMESITE") or same_site,
        }

    # ---- When somebody signs in or out

    def _drop_anothers_device(self, user: str) -> None:
        """Who signs in where another one is remembered is not to become that one when
        the session is over.
        """
        session, devices = flask.session, self._devices
        for device in self._devices_here():
            record = devices.found(device) if devices else None
            if devices and record is not None and record.owner != user:
                session.setdefault("_remember", "clear")
                if session.get("_remembered") == device:
                    del session["_remembered"]
                    devices.forget([device])

    def _logged_out(self, sender: flask.Flask, **sent: t.Any) -> None:
        session, devices = flask.session, self._devices
        for device in self._devices_here():
            record = devices.found(device) if devices else None
            if devices and record is not None and record.owner is not None:
                # Also where somebody else has signed in by a copy of it.
                self._end_sessions_of(record.owner, device)
                devices.forget([device])
        session.pop(FRESH_AT, None)
        session.pop("_remembered", None)

    def _devices_here(self) -> set[str]:
        """The ids of those that this browser is, by its session and by its cookie."""
        devices, cookie = self._devices, self._cookie() or ""
        by_cookie = devices.device_of(cookie) if devices else None
        found = {flask.session.get("_remembered"), by_cookie}
        return {each for each in found if each}
