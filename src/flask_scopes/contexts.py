"""Where Flask keeps its contexts, and what we keep on them.

The only module that touches what Flask does not document. Flask's proxies cost
more than a microsecond a read; the ContextVar beneath costs some 20 ns, and it
decides, always rightly, which context code runs in. So objects are found from
the context object itself, never from a variable of our own that could be left
behind when a context is abandoned.

**Warm calls** read two attributes that we put on the current app context,
``scopes_application`` and ``scopes_request``, each the ``objects`` of a store.
They are a shortcut: without them a call takes the cold path and finds the same.

**Flask 3.2** has one context object for each request or app context. **Flask
3.1** has two kinds, and a request shares the app context that it finds. There
the app context alone does not say which request it is. So on 3.1

* a unit belongs to the request context, if that is the inner one of the two;
* the shortcut to request objects is put only on an app context that the
  request pushed itself, and taken away for good as soon as another request
  shares it: a test client inside of a view, or the next request on a thread
  where an abandoned stream left its context.

Attributes are read and set one by one: asking a context for its ``__dict__``
would make every later read slower on Python 3.11.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import typing as t

import flask.globals

if t.TYPE_CHECKING:
    from flask import Flask

    from .application import Unit
    from .recipe import Key


class Context(t.Protocol):
    """A Flask context, with our attributes on it (each may be missing)."""

    app: Flask
    g: t.Any
    scopes_application: dict[Key, t.Any]
    scopes_request: dict[Key, t.Any]
    scopes_here: Unit
    scopes_unit: Unit
    scopes_outer: Context
    scopes_shared: bool


app_context = t.cast("contextvars.ContextVar[Context]", vars(flask.globals)["_cv_app"])
# None on Flask 3.2, whose app context is the request's as well.
_request_context = t.cast(
    "contextvars.ContextVar[Context] | None",
    vars(flask.globals).get("_cv_request"),
)

innermost_request = _request_context or app_context
"""The variable that holds the innermost context with a request."""


def locate(context: Context) -> tuple[Context, bool]:
    """The context that code in app context *context* belongs to: the request's,
    or *context* itself. And whether the latter was pushed for the former alone.
    """
    if _request_context is None:
        return context, True
    request = _request_context.get(None)
    if request is None:
        return context, False
    tokens: list[tuple[object, Context | None]] | None = getattr(
        request, "_cv_tokens", None
    )
    # With the request itself, its last push keeps the app context that it had to
    # push; None if it found one to share.
    pushed = tokens[-1][1] if tokens else None
    if pushed is context:
        return request, True
    return (request if _is_inner(request, context, pushed) else context), False


def _is_inner(request: Context, context: Context, pushed: Context | None) -> bool:
    """Flask 3.1: whether *request*, which did not push *context* last, was
    pushed inside of it.
    """
    outer = getattr(request, "scopes_outer", None)
    if outer is not None:
        return outer is context
    # Else nobody noted what it shares: it was made elsewhere, or was popped and
    # lives on in a copy of its context.
    return pushed is None and not is_over(request) and request.app is context.app


def is_over(context: Context) -> bool:
    """Whether Flask has popped *context*: nobody would end a unit made now."""
    tokens: list[t.Any] | None = getattr(context, "_cv_tokens", None)
    if tokens is not None:
        return not tokens
    return getattr(context, "_cv_token", context) is None


def keep_unit(context: Context, unit: Unit) -> Unit:
    """Keep *unit* on *context*, and return the one that is kept there: a thread
    with a copy of the context may have been first.
    """
    kept: Unit = vars(context).setdefault("scopes_unit", unit)
    if kept.forks != unit.forks:
        # Of the process that forked this one, in the middle of a request.
        context.scopes_unit = kept = unit
    return kept


def attach(context: Context, unit: Unit) -> None:
    """Put the shortcut to the objects of *unit* on app context *context*."""
    context.scopes_here = unit
    context.scopes_request = unit.objects
    if hasattr(context, "scopes_shared"):
        # Looked up after setting the shortcut, as `share` marks before taking
        # it away: whichever thread comes second, the shortcut is gone.
        _forget(context)


def detach(context: Context) -> None:
    """Make calls in *context* take the cold path, where they are noticed."""
    if hasattr(context, "scopes_application"):
        del context.scopes_application
    if hasattr(context, "scopes_request"):
        del context.scopes_request


def _forget(context: Context) -> None:
    for name in ("scopes_application", "scopes_request", "scopes_here"):
        # Not `del`: another thread may be doing the same.
        with contextlib.suppress(AttributeError):
            delattr(context, name)


def share(request: Context) -> None:
    """Flask 3.1: note that *request*, not yet pushed, is going to share the
    current app context if this is one of its app.
    """
    context = app_context.get(None)
    if context is not None and context.app is request.app:
        request.scopes_outer = context
        context.scopes_shared = True
        _forget(context)


def shares_app_contexts() -> bool:
    """Whether this Flask lets requests share an app context: 3.1 does."""
    return _request_context is not None


forks: int = 0
"""How many forks lie between the first process and this one, as far as Python is
told. A fork that it is not told of (uWSGI's) does not happen within a unit.
"""


def _forked() -> None:
    """A view may fork: then the child runs on in a context that has the parent's
    objects on it.
    """
    global forks
    forks += 1
    context = app_context.get(None)
    if context is not None:
        _forget(context)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
