"""How Flask calls us: methods of the app, wrapped on the app object.

Functions registered with ``teardown_request`` would do, but on Flask 3.1 one
that raises skips those registered before it, ours among them; the order of
``init_app`` would decide whether other teardown functions may still use request
objects; and finding out whether each is async costs Flask more than all of our
work. The wrapped method ends the unit after everything else, whatever that did.

A wrapper must not refer to its app: the app would be part of a cycle, and stay
until a collection finds it. So it holds the method of the class (or the wrapper
that another extension had put on the app) and a weak reference. Arguments are
passed on as they come: Flask 3.2 passes the context first.
"""

from __future__ import annotations

import collections.abc as c
import contextvars
import inspect
import typing as t
import weakref

from . import contexts

if t.TYPE_CHECKING:
    from flask import Flask

    from .application import Unit


def install(app: Flask, units: c.Sized) -> None:
    """Wrap the methods of *app* with which Flask ends a request or an app
    context, so that its unit ends too.

    :param units: those in progress; if there are none, none need be looked for.
    """
    _wrap_teardown(app, "do_teardown_request", contexts.innermost_request, units)
    _wrap_teardown(app, "do_teardown_appcontext", contexts.app_context, units)
    contexts.watch_requests()


def _wrap_teardown(
    app: Flask,
    name: str,
    variable: contextvars.ContextVar[contexts.Context],
    units: c.Sized,
) -> None:
    call = _unbound(app, name)
    current = variable.get
    reference = weakref.ref(app)

    def teardown(*args: t.Any, **kwargs: t.Any) -> None:
        context = current(None)
        try:
            call(reference(), *args, **kwargs)
        except BaseException as error:
            _end(context, error)
            raise
        if units or hasattr(context, "scopes_unit"):
            _end(context, kwargs.get("exc", args[-1] if args else None))

    setattr(app, name, teardown)


def _end(context: contexts.Context | None, error: object) -> None:
    popped = contexts.popped_by(inspect.currentframe()) or context
    unit: Unit | None = getattr(popped, "scopes_unit", None)
    if unit is not None:
        # Flask 3.1 passes a marker of its own for an error that was not given.
        unit.end(error if isinstance(error, BaseException) else None)


def _unbound(app: Flask, name: str) -> c.Callable[..., t.Any]:
    """What *name* does so far, as a function of the app (and without one)."""
    earlier: c.Callable[..., t.Any] | None = vars(app).get(name)
    if earlier is None:
        return t.cast("c.Callable[..., t.Any]", getattr(type(app), name))
    wrapper = earlier

    def call(app: Flask, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return wrapper(*args, **kwargs)

    return call
