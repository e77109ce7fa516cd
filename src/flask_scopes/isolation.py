"""The context that an application's factory runs in: the app, and nothing else."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from . import contexts

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
    neither a request nor a session. Other extensions may look into ``g`` when
    the context is pushed and popped, so then it is Flask's own. If their
    teardown functions fail, that is logged: it does not undo what was made.
    """
    context = t.cast("contexts.Context", app.app_context())
    context.push()
    own_g = context.g
    # What signal receivers have used by now must not serve the factory.
    contexts.detach(context)
    context.scopes_alone = True
    context.g = _ClosedG(error)
    try:
        yield
    finally:
        context.g = own_g
        try:
            context.pop(None)
        except Exception:
            app.logger.exception(
                "Teardown functions failed in the context of a factory"
            )
