"""When a response was sent: what follows its body, and closes the unit then.

What is registered with ``Response.call_on_close`` is called when the server closes
the body, but it does not hear how the sending ended; and it is not called at all if
the body is passed through to the server as it is (``send_file``). So a body that is
made while it is sent is followed itself.
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


def follow(
    app: Flask, request: contexts.Context, unit: Unit, response: Response
) -> None:
    """Let *unit*, which is finished, be closed when *response* was sent."""
    as_it_is = response.direct_passthrough
    streamed = response.is_streamed
    if not (unit.sent or (streamed and not as_it_is)):
        # Nothing lives on, and nothing of ours runs that could ask for more.
        unit.close(None)
        return
    unit.followed = True
    closing = Closing(app, request, unit)
    if streamed or as_it_is:
        body = t.cast("c.Iterable[bytes]", response.response)
        response.response = Body(body, closing)
    else:
        # A sequence stays one: Werkzeug makes a header of its length.
        response.call_on_close(closing)


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
        if self.unit.closed:
            return
        # Teardowns see the request that they belong to, though Flask has popped it
        # by now, and though this may be another thread.
        error, self.error = self.error, None
        with contexts.inside(self.context, self.request):
            try:
                self.unit.close(error)
            except Exception:
                # The client has the response: there is nobody else to tell.
                self.app.logger.exception("An object could not be closed after sending")


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
            # The server has it all. Not everybody who asked for it closes it, too.
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
            self.closing()
