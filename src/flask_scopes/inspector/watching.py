"""What stands before an app that is looked at: it shows the pages, and notes when each
request begins, is answered and ends.
"""

from __future__ import annotations

import collections.abc as c
import math
import re
import time
import typing as t
import weakref
from urllib.parse import parse_qsl

from werkzeug.http import dump_cookie
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator
from werkzeug.wsgi import get_host

from .. import contexts
from .. import hooks
from ..recording.recorder import ENVIRON_KEY
from ..recording.works import begin
from . import announcing
from .guard import COOKIE

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask

    from ..recording.record import Work
    from . import Inspector

PREFIX: t.Final = "/_scopes"

_HEADERS: t.Final = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'",
    ),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "none"),
]
_ODD = re.compile(r"[^\w.-]", re.ASCII)
_TIMINGS: t.Final = 20
"""How many objects a header tells of; those that took longest."""

Headers: t.TypeAlias = list[tuple[str, str]]


def install(app: Flask, inspector: Inspector) -> None:
    """Put *inspector* before *app*."""
    # Inside of this, all attempts of a request that is retried are one.
    hooks.wrap_requests(app, app.extensions["scopes"])
    call = hooks.unbound(app, "wsgi_app")
    # Both weak: *inspector* is part of the app.
    reference, its_inspector = weakref.ref(app), weakref.ref(inspector)

    def wsgi_app(environ: WSGIEnvironment, start_response: StartResponse) -> t.Any:
        app, inspector = reference(), t.cast("Inspector", its_inspector())
        if app is None or not app.debug:
            # It may have been turned off since.
            return call(app, environ, start_response)
        path = environ.get("PATH_INFO", "")
        if path == PREFIX or path.startswith(f"{PREFIX}/"):
            answer = _page(inspector, environ)
            if answer is not None:
                return answer(environ, start_response)
        following = _Following(inspector, environ, start_response)
        return following.through(lambda: call(app, environ, following.start_response))

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # on the object


def _page(
    inspector: Inspector, environ: WSGIEnvironment
) -> c.Callable[..., c.Iterable[bytes]] | None:
    """What to answer with; None for whatever the app says, as if there was nothing."""
    guard = inspector.guard
    if not guard.lets_in(environ):
        shown = dict(parse_qsl(environ.get("QUERY_STRING", ""))).get("key", "")
        if not (shown and guard.may_show_key(environ) and guard.is_key(shown)):
            return None
        return _let_in(inspector, environ)
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return Response("It can be looked at, and nothing else.\n", 405, _HEADERS)

    def pages(environ: WSGIEnvironment, start: StartResponse) -> c.Iterable[bytes]:
        def guarded(status: str, headers: Headers, *error: t.Any) -> t.Any:
            ours = {name.lower() for name, _ in _HEADERS}
            theirs = [item for item in headers if item[0].lower() not in ours]
            return start(status, [*theirs, *_HEADERS], *error)

        path = environ["PATH_INFO"].removeprefix(PREFIX) or "/"
        root = environ.get("SCRIPT_NAME", "") + PREFIX
        inner = {**environ, "SCRIPT_NAME": root, "PATH_INFO": path}
        return inspector.pages(inner, guarded)

    return pages


def _let_in(inspector: Inspector, environ: WSGIEnvironment) -> Response:
    """The key was right: keep it in a cookie, and take it out of the address."""
    root = environ.get("SCRIPT_NAME", "")
    cookie = dump_cookie(
        COOKIE,
        inspector.guard.key,
        path=root or "/",
        httponly=True,
        samesite="Strict",
        secure=environ["wsgi.url_scheme"] == "https",
    )
    where = [("Location", f"{root}{PREFIX}/"), ("Set-Cookie", cookie)]
    return Response(status=302, headers=[*_HEADERS, *where])


class _Following:
    """Follows one request, from where the server hands it on until all was sent."""

    def __init__(
        self,
        inspector: Inspector,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> None:
        self.recorder = inspector.recorder
        self.environ = environ
        self.start = start_response
        self.endpoint = ""
        self.length = math.inf
        """How long the body is going to be, in bytes."""
        keys = dict.fromkeys(
            name[:40]
            for name, _ in parse_qsl(environ.get("QUERY_STRING", ""), True)[:20]
        )
        path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
        title = f"{environ['REQUEST_METHOD']} {path}"
        self.work = begin("request", title[:200], list(keys))
        environ[ENVIRON_KEY] = self.work
        self.shows = inspector.guard.lets_in(environ)
        if self.shows or inspector.guard.may_show_key(environ):
            announcing.log_where(inspector, environ)

    def through(self, call: c.Callable[[], c.Iterable[bytes]]) -> c.Iterable[bytes]:
        """Let the app answer by *call*."""
        self.recorder.works.follow(self.work)
        try:
            body = call()
        except BaseException as error:
            self.work.raised = self.recorder.text(error)
            self.end()
            raise
        return ClosingIterator(self._sent(body), [_closing(body), self.end])

    def _sent(self, body: c.Iterable[bytes]) -> c.Iterator[bytes]:
        left = self.length
        try:
            for chunk in body:
                left -= len(chunk)
                if left <= 0:
                    # Now: a test client does not ask for more, and closes nothing.
                    self.end()
                yield chunk
        except Exception as error:
            self.work.raised = self.recorder.text(error)
            raise
        self.end()

    def start_response(self, status: str, headers: Headers, *error: t.Any) -> t.Any:
        work = self.work
        work.status = int(status[:3])
        work.answered = work.passed(time.perf_counter())
        # Flask takes it away when it is done with it.
        context = contexts.innermost_request.get(None)
        if context is not None and contexts.has_request(context):
            self.endpoint = context.request.endpoint or ""
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        is_known = lengths and lengths[0].isdecimal()
        self.length = int(lengths[0]) if is_known else math.inf
        if self.shows:
            headers = [*headers, *_headers(work, self.environ)]
        return self.start(status, headers, *error)

    def end(self) -> None:
        """All was sent, or dropped: what is known at the last call counts."""
        work = self.work
        is_first = work.ended is None
        work.ended = work.passed(time.perf_counter())
        if not is_first:
            return
        if _is_worth_it(work, self.endpoint):
            self.recorder.works.keep(work)
        else:
            self.recorder.works.running.pop(work.id, None)


def _closing(body: c.Iterable[bytes]) -> c.Callable[[], None]:
    close: c.Callable[[], None] | None = getattr(body, "close", None)
    return close or (lambda: None)


def _is_worth_it(work: Work, endpoint: str) -> bool:
    """Whether to keep *work*: files, and those who ask for health, would drown the
    rest.
    """
    if work.failures or work.raised:
        return True
    return endpoint.rpartition(".")[2] != "static" and endpoint not in (
        "health.live",
        "health.ready",
    )


def _headers(work: Work, environ: WSGIEnvironment) -> Headers:
    root = f"{environ['wsgi.url_scheme']}://{get_host(environ)}"
    root += environ.get("SCRIPT_NAME", "") + PREFIX
    found = [("X-Scopes", f"{root}/requests/{work.id}")]
    built = [
        (row.ready - row.started, row.name)
        for row in work.rows
        if row.ready is not None and not row.before
    ]
    built.sort(reverse=True)
    timings = [_timing(name, took) for took, name in built[:_TIMINGS]]
    if work.finished is not None and work.finishing is not None:
        timings.append(_timing("teardown", work.finished - work.finishing))
    if timings:
        found.append(("Server-Timing", ", ".join(timings)))
    return found


def _timing(name: str, seconds: float) -> str:
    """An entry of ``Server-Timing`` (Server Timing, 3), in milliseconds."""
    return f"{_ODD.sub('_', name)};dur={seconds * 1000:.1f}"
