"""Try a request again from the start, when a view asks for it.

A view that is to be retried says so when it is called. If its unit then fails with
a conflict that may pass, ``Replay`` leaves Flask's dispatch (a BaseException, which
no error handler sees), the request is torn down, and ``run``, which stands around
``wsgi_app``, calls that again: with a copy of the environ as it was, a body that
was kept while it was read, and so with a context and a session of its own.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import io
import random
import time
import typing as t

from werkzeug.exceptions import RequestEntityTooLarge

from . import contexts
from . import ending
from . import unit_messages
from .errors import CommitFailed
from .messages import in_short
from .transient import is_transient

if t.TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from flask import Response

    from .application import Application

_KEY = "flask_scopes.attempts"
_PRESERVE = "werkzeug.debug.preserve_context"
_OURS = {_KEY, _PRESERVE, "wsgi.input"}


@dataclasses.dataclass(frozen=True)
class Policy:
    """How a view is to be retried."""

    attempts: int
    """How often to try in all."""
    on: tuple[type[Exception], ...]
    """What to retry on, besides what a driver says is transient."""
    max_body: int
    """The longest body to keep, in bytes."""


def problem(policy: Policy) -> str | None:
    """What is wrong with *policy*, if anything."""
    given: t.Any = policy
    if not isinstance(given.attempts, int) or given.attempts < 1:
        return f"{given.attempts!r} is not a number of attempts"
    if not isinstance(given.max_body, int) or given.max_body < 1:
        return f"max_body={given.max_body!r} is not a number of bytes"
    for each in given.on:
        if not (isinstance(each, type) and issubclass(each, Exception)):
            return f"on={each!r} is not a type of exception"
    return None


class Replay(BaseException):
    """Leaves an attempt that failed."""

    def __init__(self, attempts: Attempts) -> None:
        super().__init__(f"attempt {attempts.number} failed and is repeated")
        self.attempts = attempts


class Attempts:
    """One request, however often it is tried."""

    def __init__(self, environ: WSGIEnvironment, limit: int) -> None:
        self.number = 0
        self.policy: Policy | None = None
        """Of the view that asked to be retried."""
        self.environ = {**environ, _KEY: self}
        self.body = Recorded(environ["wsgi.input"], limit)
        if _has_body(environ):
            self.environ["wsgi.input"] = self.body

    def next(self) -> WSGIEnvironment:
        """The environ of the next attempt: a copy, also of the first."""
        self.number += 1
        self.body.rewind()
        return self.environ.copy()

    def wait(self) -> None:
        """Up to 10 ms before the second attempt, up to twice as long before each
        next one; by chance, or two that met once would meet again.
        """
        time.sleep(random.uniform(0, min(0.01 * 2 ** (self.number - 1), 0.5)))


class Recorded(io.RawIOBase):
    """A request's body that can be read again, if it is not longer than *limit*.

    What is longer is refused here if it is to be, and not with the request's
    ``max_content_length``: of a body whose length nobody announced, Werkzeug then
    hands out the beginning as if it were all.
    """

    def __init__(self, source: t.Any, limit: int) -> None:
        self.source = source
        self.limit = limit
        self.refuses = False
        """Whether a body that is longer is an error."""
        self.kept: bytearray | None = bytearray()
        self.position = 0
        """How far this attempt has read of what is kept."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        size = len(buffer)
        data = b""
        if self.kept is not None:
            data = bytes(self.kept[self.position : self.position + size])
            self.position += len(data)
        if len(data) < size:
            fresh: bytes = self.source.read(size - len(data))
            self._keep(fresh)
            data += fresh
        buffer[: len(data)] = data
        return len(data)

    def _keep(self, fresh: bytes) -> None:
        if self.kept is None:
            return
        if len(self.kept) + len(fresh) > self.limit:
            self.kept = None
            if self.refuses:
                raise _too_large(self.limit)
        else:
            self.kept += fresh
            self.position += len(fresh)

    def rewind(self) -> None:
        self.position = 0

    def __getattr__(self, name: str) -> t.Any:
        # What servers offer besides, to those who know them.
        return getattr(self.source, name)


def _has_body(environ: WSGIEnvironment) -> bool:
    """Whether there is a body to read. (The input of the others may be a connection
    that somebody makes a websocket of.)
    """
    if environ.get("CONTENT_LENGTH", "") not in ("", "0"):
        return True
    announced = "HTTP_TRANSFER_ENCODING" in environ
    terminated = environ.get("wsgi.input_terminated", False)
    sends = environ["REQUEST_METHOD"] not in ("GET", "HEAD", "OPTIONS")
    return announced or bool(terminated and sends)


def run(
    call: WSGIApplication,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    limit: int,
) -> c.Iterable[bytes]:
    """Handle a request, as often as its view asks for.

    :param limit: the longest body that any view wants to be kept, in bytes.
    """
    attempts = Attempts(environ, limit)
    # A test client that keeps contexts is to have those of the last attempt.
    preserve = environ.get(_PRESERVE)
    while True:
        current = attempts.next()
        preserved: list[object] = []
        if preserve is not None:
            current[_PRESERVE] = preserved.append
        try:
            return call(current, start_response)
        except Replay as replay:
            # Another app may stand inside of this one.
            if replay.attempts is not attempts:
                raise
            preserved.clear()
        finally:
            if preserve is not None:
                for context in preserved:
                    preserve(context)
            # What views put there, middleware may look for.
            environ.update(
                (key, value) for key, value in current.items() if key not in _OURS
            )
        attempts.wait()


def begin(policy: Policy, scopes: object) -> None:
    """A view is called that is to be retried.

    :raises RequestEntityTooLarge: the body is, for *policy*.
    :raises OutsideScopeError: the app does not know the *scopes* that say so.
    """
    request = contexts.innermost_request.get(None)
    if request is not None:
        home: Application | None = request.app.extensions.get("scopes")
        if home is None or scopes not in home.members:
            raise unit_messages.app_not_set_up(request.app.name)
    attempts = _attempts_of(request)
    if request is None or attempts is None or attempts.policy is not None:
        return
    attempts.policy = policy
    limit = policy.max_body
    kept = attempts.body.kept
    if kept is None or max(len(kept), request.request.content_length or 0) > limit:
        raise _too_large(limit)
    attempts.body.limit = limit
    attempts.body.refuses = True


def _too_large(limit: int) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(unit_messages.too_large_to_retry(limit))


def refuse_stream(request: contexts.Context, response: Response) -> None:
    """A body that is made while it is sent can do what no retry would repeat.

    :raises RetryError: *response* has one, and its view is to be retried.
    """
    if not request.app.extensions["scopes"].replays or not response.is_streamed:
        return
    attempts = _attempts_of(request)
    # What Flask makes of an error has such a body as well, and is no view's.
    if not hasattr(request, "scopes_handled") and (
        attempts is not None and attempts.policy is not None
    ):
        attempts.policy = None
        endpoint = str(request.request.endpoint)
        raise unit_messages.streamed_retry(request.app.view_functions[endpoint])


def again(app: Flask, request: contexts.Context, error: Exception) -> None:
    """Begin *request* anew if it failed with a conflict and its view wants that.

    :raises Replay: it does.
    """
    attempts = _attempts_of(request)
    if attempts is None or attempts.policy is None:
        return
    policy = attempts.policy
    if not is_transient(error, policy.on):
        return
    spoiled = ending.spoiled(request)
    if spoiled is not None and not is_transient(spoiled, policy.on):
        # What the view went on to do can only fail, in each attempt.
        attempts.policy = None
        error.add_note(
            f"It was not tried again, as the unit failed before: {in_short(spoiled)}"
        )
        return
    kept = ending.kept(request)
    if kept or attempts.number >= policy.attempts or attempts.body.kept is None:
        # Once: the error comes by here again if nobody handles it.
        attempts.policy = None
        error.add_note(
            f"This was attempt {attempts.number} of {policy.attempts}"
            + (", the last, as part of it was kept." if kept else ".")
        )
        return
    cause = error.cause if isinstance(error, CommitFailed) else error
    app.logger.info(
        "Attempt %d of %d failed, and the request begins anew: %s",
        attempts.number,
        policy.attempts,
        in_short(cause),
    )
    ending.abandon(app, request, error)
    raise Replay(attempts) from error


def _attempts_of(request: contexts.Context | None) -> Attempts | None:
    if request is None or not contexts.has_request(request):
        return None
    attempts: Attempts | None = request.request.environ.get(_KEY)
    return attempts
