"""The context that an application's factory runs in: the app, and nothing else."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

if t.TYPE_CHECKING:
    from flask import Flask


class _ClosedG:
    """Stands in for ``flask.g`` while an application's factory runs."""

    __slots__ = ("_scopes_error",)

    def __init__(self, error: c.Callable[[], Exception]) -> None:
        object.__setattr__(self, "_scopes_error", error)

    def _refuse(self, *args: object) -> t.NoReturn:
        raise object.__getattribute__(self, "_scopes_error")()

    __getattr__ = __setattr__ = __delattr__ = _refuse
    __contains__ = __iter__ = _refuse


@contextlib.contextmanager
def app_alone(
    app: Flask, error: c.Callable[[], Exception]
) -> c.Generator[None, None, None]:
    """An app context of *app* in which using ``g`` raises what *error* makes.

    To be entered in an empty :class:`contextvars.Context`, where there is
    neither a request nor a session. Flask's own ``g`` is there while the context
    is pushed and popped, when other extensions may look into it.
    """
    context = app.app_context()
    with context:
        own_g = context.g
        context.g = t.cast("t.Any", _ClosedG(error))
        try:
            yield
        finally:
            context.g = own_g
