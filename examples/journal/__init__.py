"""A small journal for several people, to show what lives how long.

Look into `resources.py` first: all that the application holds on to is there.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from tempfile import NamedTemporaryFile
from typing import Any

from flask import Flask
from flask import Response
from flask import abort
from flask import current_app
from flask import render_template
from flask import request
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]  # it has none
from flask_wtf.csrf import CSRFError  # type: ignore[import-untyped]  # the same
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from flask_scopes import CommitFailed
from flask_scopes.health import health
from flask_scopes.mongo import ObjectIdConverter

from . import admin
from . import auth
from . import devices
from . import entries
from . import letters
from . import tokens
from .resources import current_user
from .resources import house
from .resources import login
from .resources import looked_for
from .resources import mongo
from .resources import page
from .resources import scopes

csrf = CSRFProtect()


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the application. It talks to no database until the first request."""
    here = Path(__file__).parent / "instance"
    folder = Path(os.environ.get("JOURNAL_INSTANCE") or here).resolve()
    app = Flask(__name__, instance_path=str(folder))
    app.config.from_mapping(
        MONGO_URI=os.environ.get("MONGO_URI"),
        MONGO_OPTIONS={"tz_aware": True, "appname": "journal"},
        SEED=True,
        MAX_CONTENT_LENGTH=256 * 1024,
        MAX_PICTURE_LENGTH=8 * 1024 * 1024,
        SESSION_COOKIE_NAME="journal",
        WTF_CSRF_CHECK_DEFAULT=False,  # see check_csrf()
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        SCOPES_SESSION_SECURE=False,  # for http on this machine: leave it out elsewhere
    )
    app.config.from_mapping(config or {})
    app.config.setdefault("SCOPES_INSPECTOR", app.debug)  # at /_scopes/
    elsewhere = os.environ.get("EVENTS_MONGO_URI") or app.config["MONGO_URI"]
    if elsewhere:
        app.config.setdefault("MONGO_BINDS", {"events": elsewhere})
    app.secret_key = app.secret_key or secret_key(folder)
    app.url_map.converters["objectid"] = ObjectIdConverter

    scopes.init_app(app)
    for module in (auth, letters, entries, devices, tokens, admin):
        app.register_blueprint(module.bp)
    app.register_blueprint(tokens.api)
    app.register_blueprint(health(scopes))  # /healthz and /readyz
    app.before_request(entries.allow_pictures)
    csrf.init_app(app)
    app.before_request(check_csrf)
    app.after_request(be_careful)
    app.register_error_handler(HTTPException, error_page)
    app.register_error_handler(CommitFailed, not_kept)
    app.jinja_env.globals.update(current_user=current_user, house=house, page=page)
    app.jinja_env.globals.update(
        asked_so_far=mongo.request_stats, looked_for=looked_for
    )
    return app


def secret_key(folder: Path) -> str:
    """The key of the sessions: made once and kept, for nobody else to read, so that
    people are still signed in after a restart."""
    path = folder / "secret_key"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        with NamedTemporaryFile("w", dir=folder) as draft:  # its mode is 600
            draft.write(token_hex(32))
            draft.flush()
            with suppress(FileExistsError):  # Two at once agree on the first link.
                os.link(draft.name, path)
    return path.read_text()


def check_csrf() -> None:
    """A `before_request`: no change without the secret of this session, which each form
    sends along. A program with a token has no session, and no browser to be misled."""
    if login.token or request.routing_exception:
        return
    try:
        csrf.protect()
    except CSRFError:
        abort(400, "This form is from an earlier visit. Go back, reload, try again.")


def be_careful(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":  # Pages are private: no copy after signing out.
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def error_page(error: HTTPException) -> Response:
    """One page for all errors, which asks the database nothing."""
    body = render_template("error.html", error=error)
    return Response(body, error.code, error.get_headers())


def not_kept(error: CommitFailed) -> Response:
    """Everything went well but the commit: what was written can be sent again."""
    current_app.logger.error("A commit failed", exc_info=error)
    lost, cause = "UnknownTransactionCommitResult", error.cause
    unknown = isinstance(cause, PyMongoError) and cause.has_error_label(lost)
    return Response(render_template("not_kept.html", error=error, unknown=unknown), 503)
