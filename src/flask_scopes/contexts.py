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


def inner_context(context: Context) -> Context:
    """The context that code in app context *context* belongs to: the request's,
    or *context* itself.
    """
    if _request_context is None:
        return context
    request = _request_context.get(None)
    if request is None or request.app is not context.app:
        return context
    outer = getattr(request, "scopes_outer", None)
    if outer is not None:
        return request if outer is context else context
    if is_over(request):
        # A copy of a context whose request has ended; it is still the inner
        # one, unless the copy has pushed an app context since.
        return request if is_over(context) else context
    return request if _pushed_with(request) in (context, None) else context


def is_over(context: Context) -> bool:
    """Whether Flask has popped *context*: nobody would end a unit made now."""
    tokens: list[t.Any] | None = getattr(context, "_cv_tokens", None)
    if tokens is not None:
        return not tokens
    return getattr(context, "_cv_token", context) is None


def _pushed_with(inner: Context) -> Context | None:
    """Flask 3.1: the app context that *inner* pushed, if it is a request that
    did not find one to share.
    """
    tokens: list[t.Any] | None = getattr(inner, "_cv_tokens", None)
    # A request keeps pairs; an app context, which pushes no other, bare tokens.
    if tokens and isinstance(tokens[-1], tuple):
        return t.cast("tuple[object, Context | None]", tokens[-1])[1]
    return None


def keep_unit(context: Context, inner: Context, unit: Unit) -> Unit:
    """Keep *unit* on *inner*, and return the one that is kept there: a thread
    with a copy of the context may have been first.

    :param context: the current app context.
    """
    kept: Unit = vars(inner).setdefault("scopes_unit", unit)
    if kept.pid != unit.pid:
        # Of the process that forked this one, in the middle of a request.
        inner.scopes_unit = kept = unit
    if _pushed_with(inner) is context:
        # It ends with the request. What is asked for between that and the end
        # of the app context must not begin another.
        context.scopes_unit = kept
    return kept


def can_only_be(context: Context, inner: Context) -> bool:
    """Whether code that finds app context *context* surely belongs to *inner*."""
    if hasattr(context, "scopes_shared"):
        return False
    return _request_context is None or _pushed_with(inner) is context


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


def _detach_current() -> None:
    context = app_context.get(None)
    if context is not None:
        _forget(context)


# A view may fork: then the child runs on in a context that has the parent's
# objects on it. Everything else is keyed by process id.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_detach_current)
