"""How long a request may wait for MongoDB, and how much it asks, in one frame.

``pymongo.timeout`` sets ContextVars, which have to be put back in the context that they
were set in: by the function that stands around the whole request. What a stream does
while it is sent comes after that, and has the limits of its client alone.
"""

from __future__ import annotations

import contextlib
import typing as t
import weakref

import pymongo

from .monitor import RequestStats
from .monitor import this_request
from .settings import request_seconds

if t.TYPE_CHECKING:
    import collections.abc as c

    import flask


class Deadline:
    """Makes what each request of one app runs in; lives as long as the app."""

    def __init__(self, app: flask.Flask) -> None:
        # Weak, because the app holds us.
        self._app = weakref.ref(app)
        self._known: list[float | None] = []

    def seconds(self) -> float | None:
        """Read from the app's config at the first request, and kept."""
        if not self._known:
            app = t.cast("flask.Flask", self._app())
            config = t.cast("c.Mapping[str, t.Any]", app.config)
            self._known.append(request_seconds(config, debug=app.debug))
        return self._known[0]

    @contextlib.contextmanager
    def __call__(self) -> c.Generator[None, None, None]:
        """
        :raises SetupError: the config is not what it should be.
        """
        seconds = self.seconds()
        token = this_request.set(RequestStats())
        try:
            with pymongo.timeout(seconds) if seconds else contextlib.nullcontext():
                yield
        finally:
            this_request.reset(token)
