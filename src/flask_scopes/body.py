"""When a response was sent: what follows its body, and closes the unit then.

What is registered with ``Response.call_on_close`` does not hear how the sending ended,
and is not called at all if the body is passed through to the server as it is
(``send_file``). So the body itself is followed.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from . import contexts
from . import unit_messages

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Response

    from .unit import Unit


def lives_on(app: Flask, unit: Unit, response: Response) -> bool:
    """Whether anything of *unit* may be needed to send *response*: not if all of
    that is there already.
    """
    if not app.extensions["scopes"].keeps_until_sent:
        return False
    # A body that Flask iterates over may even ask for more.
    return response.is_streamed and (not response.direct_passthrough or bool(unit.sent))


def follow(
    app: Flask, request: contexts.Context, unit: Unit, response: Response
) -> None:
    """Let *unit*, which is finished, be closed when *response* was sent."""
    unit.followed = True
    body = t.cast("c.Iterable[bytes]", response.response)
    response.response = Body(body, Closing(app, request, unit))


def drop(app: Flask, response: Response) -> None:
    """Close *response*, which will not be sent: it may hold a file, or more."""
    try:
        response.close()
    except Exception:
        app.logger.exception("A response that is not sent could not be closed")


class Closing:
    """Closes a unit when its response was sent.

    If nobody ever closes the response, the collector closes the generators. To do
    more then would be fatal: Python 3.11 crashes when a ContextVar is set by what
    a collection runs in the middle of setting another.
    """

    def __init__(self, app: Flask, request: contexts.Context, unit: Unit) -> None:
        self.app = app
        self.context = contexts.app_context.get()
        self.request = request
        self.unit = unit
        self.error: BaseException | None = None
        """What the sending failed with."""

    def __call__(self) -> None:
        """
        :raises CommitFailed: all was well so far, and a teardown raised one.
        :raises BaseExceptionGroup: of what the teardowns raised otherwise.
        """
        if self.unit.closed:
            return
        # Teardowns see the request that they belong to, though Flask has popped it
        # by now, and though this may be another thread.
        error, self.error = self.error, None
        with contexts.inside(self.context, self.request):
            self.unit.close(error)


class Body:
    """A body on its way: notes how the sending ended."""

    def __init__(self, body: c.Iterable[bytes], closing: Closing) -> None:
        self.body = body
        self.chunks: c.Iterator[bytes] | None = None
        self.closing = closing
        self.sent = False

    def __iter__(self) -> c.Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.chunks is None:
            self.closing.unit.sending = True
            self.chunks = iter(self.body)
        try:
            return next(self.chunks)
        except StopIteration:
            # Now, while the server has not yet said that this was all: if something
            # fails, the client sees that the body is cut off.
            self.sent = True
            self.closing()
            raise
        except BaseException as error:
            self.closing.error = error
            raise

    def close(self) -> None:
        if self.chunks is not None and not self.sent and self.closing.error is None:
            self.closing.error = unit_messages.dropped()
        try:
            close: c.Callable[[], object] | None = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            try:
                self.closing()
            except Exception:
                # There is nobody left to tell.
                app = self.closing.app
                app.logger.exception("An object could not be closed after sending")
