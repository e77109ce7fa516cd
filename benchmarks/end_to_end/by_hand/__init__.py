"""The journal's main views without Flask-Scopes: Flask, Flask-Login, Flask-WTF and
PyMongo, put together by hand.

Addresses, templates and documents are those of `examples/journal`. Nothing here imports
Flask-Scopes, nor the journal's code.
"""

import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bson import ObjectId
from flask import Flask
from flask import Response
from flask import current_app
from flask import g
from flask import jsonify
from flask import render_template
from flask import request
from flask import session
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from pymongo.errors import ConnectionFailure
from pymongo.errors import PyMongoError
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.routing import BaseConverter

from . import auth
from . import database
from . import elsewhere
from . import entries
from . import transactions
from .sessions import MongoSessionInterface

JOURNAL = Path(__file__).parents[3] / "examples" / "journal"

csrf = CSRFProtect()


class ObjectIdConverter(BaseConverter):
    regex = "[0-9A-Fa-f]{24}"

    def to_python(self, value: str) -> ObjectId:
        return ObjectId(value)

    def to_url(self, value: ObjectId) -> str:
        return str(value)


def create_app(config: Mapping[str, Any]) -> Flask:
    app = Flask(
        __name__,
        template_folder=str(JOURNAL / "templates"),
        static_folder=str(JOURNAL / "static"),
        instance_path=config["INSTANCE_PATH"],
    )
    app.config.from_mapping(
        MAX_CONTENT_LENGTH=256 * 1024,
        SESSION_COOKIE_NAME="journal",
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.config.from_mapping(config)
    app.url_map.converters["objectid"] = ObjectIdConverter
    database.init_app(app)
    transactions.init_app(app)
    app.session_interface = MongoSessionInterface()
    auth.login_manager.init_app(app, add_context_processor=False)
    csrf.init_app(app)
    for module in (auth, entries, elsewhere):
        app.register_blueprint(module.bp)
    app.add_url_rule("/healthz", "healthz", healthz)
    app.after_request(be_careful)
    app.register_error_handler(HTTPException, error_page)
    app.register_error_handler(CSRFError, no_secret)
    app.register_error_handler(ConnectionFailure, no_database)
    app.register_error_handler(transactions.NotCommitted, not_kept)
    add_globals(app)
    return app


def add_globals(app: Flask) -> None:
    """What the templates call."""
    since = time.localtime()
    house = SimpleNamespace(
        since=SimpleNamespace(
            year=since.tm_year, strftime=lambda form: time.strftime(form, since)
        )
    )
    pages = count(1)

    def page() -> int:
        if "page" not in g:
            g.page = next(pages)
        return int(g.page)

    app.jinja_env.globals.update(
        current_user=auth.user_or_none,
        house=lambda: house,
        page=page,
        asked_so_far=lambda: SimpleNamespace(commands=g.get("commands", 0)),
        looked_for=lambda: session.get("looked_for", []),
    )


def healthz() -> Response:
    return jsonify(status="alive")


def be_careful(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def error_page(error: HTTPException) -> Response:
    body = render_template("error.html", error=error)
    return Response(body, error.code, error.get_headers())


def no_secret(error: CSRFError) -> Response:
    words = "This form is from an earlier visit. Go back, reload, try again."
    return error_page(BadRequest(words))


def no_database(error: ConnectionFailure) -> Response:
    current_app.logger.error("MongoDB is away", exc_info=error)
    return error_page(ServiceUnavailable(retry_after=10))


def not_kept(error: transactions.NotCommitted) -> Response:
    current_app.logger.error("A commit failed", exc_info=error)
    cause = error.__cause__
    unknown = isinstance(cause, PyMongoError) and cause.has_error_label(
        "UnknownTransactionCommitResult"
    )
    return Response(render_template("not_kept.html", error=error, unknown=unknown), 503)
