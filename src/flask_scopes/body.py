"""When a response was sent: what follows its body, and closes the unit then.

Werkzeug calls what is registered with ``Response.call_on_close`` when the server
closes the body, however far it came; but not if the body is passed through to the
server as it is (``send_file``), so there the body itself is followed.
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
        # (A sequence keeps its length, of which Werkzeug makes a header.)
        body = t.cast("c.Iterable[bytes]", response.response)
        response.response = Body(body, closing, closes=as_it_is)
    response.call_on_close(closing)


class Closing:
    """Closes a unit once: when its response was sent, or at the latest when nobody
    holds the response any more, so that nobody can close it.
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

    def __del__(self) -> None:
        self()


class Body:
    """A body on its way: notes how the sending ended."""

    def __init__(self, body: c.Iterable[bytes], closing: Closing, closes: bool) -> None:
        self.body = body
        self.chunks: c.Iterator[bytes] | None = None
        self.closing = closing
        self.closes = closes
        """Whether its end is all that we hear of."""
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
            self.sent = True
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
            if self.closes:
                self.closing()
