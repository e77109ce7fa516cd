"""Flask-Login, which has no types: here is what we use of it, and what others do."""

from __future__ import annotations

import collections.abc as c
import importlib
import typing as t

import flask

from ..extras import brought_by

with brought_by("login", "flask_login", "flask_scopes.login works with Flask-Login"):
    _upstream: t.Any = importlib.import_module("flask_login")

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    Callback: t.TypeAlias = c.Callable[[], t.Any]
    CallbackT = t.TypeVar("CallbackT", bound=c.Callable[..., t.Any])

    class LoginManager:
        """What it has; see the documentation of Flask-Login."""

        anonymous_user: c.Callable[[], t.Any]
        blueprint_login_views: dict[str | None, str]
        id_attribute: str
        localize_callback: c.Callable[[str], str] | None
        login_message: str | None
        login_message_category: str
        login_view: str | None
        needs_refresh_callback: Callback | None
        needs_refresh_message: str | None
        needs_refresh_message_category: str
        refresh_view: str | None
        session_protection: str | None
        unauthorized_callback: Callback | None
        _session_identifier_generator: c.Callable[[], str]
        _user_callback: t.Any

        def __init__(self) -> None: ...
        @property
        def user_callback(self) -> t.Any: ...
        def init_app(
            self, app: flask.Flask, add_context_processor: bool = True
        ) -> None: ...
        def user_loader(self, callback: CallbackT) -> CallbackT: ...
        def request_loader(self, callback: CallbackT) -> CallbackT: ...
        def unauthorized_handler(self, callback: CallbackT) -> CallbackT: ...
        def needs_refresh_handler(self, callback: CallbackT) -> CallbackT: ...
        def unauthorized(self) -> ResponseReturnValue: ...
        def needs_refresh(self) -> ResponseReturnValue: ...
        def _load_user(self) -> None: ...
else:
    LoginManager = _upstream.LoginManager
current_user: t.Any = _upstream.current_user

login_user: c.Callable[..., bool] = _upstream.login_user
logout_user: c.Callable[[], object] = _upstream.logout_user
encode_cookie: c.Callable[[str], str] = _upstream.encode_cookie
decode_cookie: c.Callable[[str, str | bytes], str | None] = _upstream.decode_cookie

COOKIE_NAME: str = _upstream.COOKIE_NAME
COOKIE_DURATION: t.Any = _upstream.COOKIE_DURATION
EXEMPT_METHODS: set[str] = importlib.import_module("flask_login.config").EXEMPT_METHODS

user_loaded_from_cookie: t.Any = _upstream.user_loaded_from_cookie
user_logged_in: t.Any = _upstream.user_logged_in
user_logged_out: t.Any = _upstream.user_logged_out
user_login_confirmed: t.Any = _upstream.user_login_confirmed
user_needs_refresh: t.Any = _upstream.user_needs_refresh
user_unauthorized: t.Any = _upstream.user_unauthorized


def config() -> dict[str, t.Any]:
    """That of the current app."""
    return t.cast("dict[str, t.Any]", flask.current_app.config)


def app() -> flask.Flask:
    """The current app itself, as signals want it."""
    proxy: t.Any = flask.current_app
    return t.cast("flask.Flask", proxy._get_current_object())


def secret_keys() -> list[t.Any]:
    """Those of the current app that are good, the one to sign with first."""
    settings = config()
    return [settings["SECRET_KEY"], *(settings.get("SECRET_KEY_FALLBACKS") or ())]
