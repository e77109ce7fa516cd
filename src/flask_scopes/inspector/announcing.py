"""Say where the inspector is, once, when the app begins to serve."""

from __future__ import annotations

import typing as t

import click
from werkzeug.wsgi import get_host

from .. import process

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.serving import BaseWSGIServer

    from . import Inspector


def say_where(server: BaseWSGIServer) -> None:
    """Werkzeug's *server* is about to serve: it says where it is, and so do we."""
    host = server.host
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    scheme = "http" if t.cast("t.Any", server).ssl_context is None else "https"
    for home in process.homes():
        inspector = t.cast("Inspector | None", home.inspector)
        if inspector is not None and not inspector.is_announced:
            inspector.is_announced = True
            click.echo(f" * {_text(inspector, f'{scheme}://{host}:{server.port}')}")


def log_where(inspector: Inspector, environ: WSGIEnvironment) -> None:
    """Another server has passed on its first request."""
    app = inspector.app()
    if not inspector.is_announced and app is not None:
        inspector.is_announced = True
        root = f"{environ['wsgi.url_scheme']}://{get_host(environ)}"
        app.logger.info(_text(inspector, root + environ.get("SCRIPT_NAME", "")))


def _text(inspector: Inspector, root: str) -> str:
    key = inspector.guard.key
    if key:
        return f"Scopes inspector: {root}/_scopes/?key={key} (whoever has this link)"
    return f"Scopes inspector: {root}/_scopes/ (this machine only)"
