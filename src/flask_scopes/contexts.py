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
* the shortcut to request objects is put only on an app context that has a
  unit of its own, or that the request pushed itself, and taken away for good
  as soon as another request shares it: a test client inside of a view, or the
  next request on a thread where an abandoned stream left its context.

To know that for certain, Flask 3.1's ``RequestContext.push`` is wrapped, on the
class: a context can be made anywhere, long before it is pushed, and by other
means than the app's. To miss one would hand a visitor's objects to the next.

Attributes are read and set one by one: asking a context for its ``__dict__``
would make every later read slower on Python 3.11.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import time
import types
import typing as t

import flask.ctx
import flask.globals
import flask.signals

if t.TYPE_CHECKING:
    import collections.abc as c

    from flask import Flask
    from flask import Request
    from flask.sessions import SessionMixin

    from .recipe import Key


class Kept(t.Protocol):
    """What is kept on a context: a unit."""

    attaching: list[None]
    forks: int

    def shortcut(self) -> dict[Key, t.Any]: ...


class Context(t.Protocol):
    """A Flask context, with our attributes on it (each may be missing)."""

    app: Flask
    g: t.Any

    def push(self) -> None: ...
    def pop(self, exc: BaseException | None) -> None: ...

    scopes_application: dict[Key, t.Any]
    scopes_lease: object
    scopes_request: dict[Key, t.Any]
    scopes_here: Kept
    scopes_unit: Kept
    scopes_outers: dict[int, Context]
    scopes_shared: bool
    scopes_alone: bool

    # Of a request; see ending.py, and login/identity.py.
    request: Request
    scopes_accepts: frozenset[int]
    scopes_error: BaseException
    scopes_failed: bool
    scopes_finished: bool
    scopes_handled: bool
    scopes_identity: t.Any
    scopes_kept: bool
    scopes_read_only: bool
    scopes_refused: BaseException


app_context = t.cast("contextvars.ContextVar[Context]", vars(flask.globals)["_cv_app"])
# None on Flask 3.2, whose app context is the request's as well.
_request_context = t.cast(
    "contextvars.ContextVar[Context] | None",
    vars(flask.globals).get("_cv_request"),
)

innermost_request = _request_context or app_context
"""The variable that holds the innermost context with a request."""


_request_class: t.Any = vars(flask.ctx).get("RequestContext", flask.ctx.AppContext)
# Since Flask 3.1.3 `session` is a property, which notes that it was asked for.
SESSION = "_session" if hasattr(_request_class, "session") else "session"
"""The attribute of a request with its session."""


NOTHING: t.Final[dict[Key, t.Any]] = {}
"""What calls find while they are to take the cold path; always empty. (An attribute
that is missing would do as well; to miss a key takes half of the time.)
"""


def has_request(context: Context) -> bool:
    """Whether *context* is a request's: on Flask 3.2 each may be."""
    if _request_context is None:
        return bool(getattr(context, "has_request", False))
    return hasattr(context, "request")


def session_of(request: Context) -> SessionMixin | None:
    """The session of *request*, without noting that it was asked for."""
    session: SessionMixin | None = getattr(request, SESSION, None)
    return session


def swap_session(request: Context, session: SessionMixin) -> None:
    """Let ``flask.session`` be *session* from now on."""
    setattr(request, SESSION, session)


@contextlib.contextmanager
def inside(context: Context, request: Context) -> c.Generator[None, None, None]:
    """Run the block in contexts that Flask may have popped already. Nothing is set
    up again, nor torn down.
    """
    variables: list[tuple[contextvars.ContextVar[Context], Context]] = [
        (app_context, context)
    ]
    if _request_context is not None:
        variables.append((_request_context, request))
    tokens = [(variable, variable.set(value)) for variable, value in variables]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def unit_of(request: Context) -> Kept | None:
    """The unit of *request*, the current one, if it has begun."""
    unit: Kept | None = getattr(request, "scopes_unit", None)
    if unit is None and _request_context is not None:
        context = app_context.get(None)
        # Begun by a receiver of `appcontext_pushed`, before there was a request.
        if context is not None and locate(context) == (request, True):
            unit = getattr(context, "scopes_unit", None)
    return unit


def begin_anew(request: Context) -> None:
    """Let the next call in *request* begin another unit."""
    context = app_context.get(None)
    alone = context is not None and locate(context) == (request, True)
    for each in [request, *([context] if context and alone else [])]:
        _forget(each)
        with contextlib.suppress(AttributeError):
            del each.scopes_unit
    with contextlib.suppress(AttributeError):
        del request.scopes_finished


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
    return (request if _is_inner(request, context) else context), False


def _is_inner(request: Context, context: Context) -> bool:
    """Flask 3.1: whether *request* was last pushed inside of *context*."""
    outers: dict[int, Context] = getattr(request, "scopes_outers", {})
    if is_over(request):
        # In a copy of the context that it ran in: it is still the inner one.
        return any(outer is context for outer in outers.values())
    return outers.get(len(getattr(request, "_cv_tokens", ()))) is context


def is_over(context: Context) -> bool:
    """Whether Flask has popped *context*: nobody would end a unit made now."""
    tokens: list[t.Any] | None = getattr(context, "_cv_tokens", None)
    if tokens is not None:
        return not tokens
    return getattr(context, "_cv_token", context) is None


def attach(context: Context, unit: Kept) -> None:
    """Keep *unit* on app context *context*, unless a request begins to share that."""
    # Either this thread sees the mark of `_share`, or that one sees this entry
    # and waits: never is the shortcut put where another request may read it.
    unit.attaching.append(None)
    try:
        if not hasattr(context, "scopes_shared"):
            context.scopes_here = unit
    finally:
        unit.attaching.pop()


def show(context: Context, unit: Kept, application: dict[Key, t.Any]) -> None:
    """Let warm calls in *context*, if *unit* is attached to it, read what that has; and
    what there is in *application*.
    """
    unit.attaching.append(None)
    try:
        # It is no longer if a request shares the context now, or after a fork.
        if getattr(context, "scopes_here", None) is unit:
            context.scopes_request = unit.shortcut()
            context.scopes_application = application
    finally:
        unit.attaching.pop()


def detach(context: Context) -> None:
    """Make calls in *context* take the cold path, where they are noticed."""
    context.scopes_application = context.scopes_request = NOTHING


def _forget(context: Context) -> None:
    detach(context)
    with contextlib.suppress(AttributeError):
        del context.scopes_here


def _share(request: Context) -> None:
    """Flask 3.1: note the app context that *request* is going to share, if the
    current one is of its app.
    """
    context = app_context.get(None)
    if not hasattr(request, "scopes_outers"):
        request.scopes_outers = {}
    # By how often the request is pushed then: contexts are pushed again.
    depth = len(getattr(request, "_cv_tokens", ())) + 1
    request.scopes_outers.pop(depth, None)
    if context is not None and context.app is request.app:
        request.scopes_outers[depth] = context
        context.scopes_shared = True
        unit = getattr(context, "scopes_unit", None)
        # (Threads of a process that forked this one will never be done.)
        while unit is not None and unit.attaching and unit.forks == forks:
            time.sleep(0)
        _forget(context)


def _take_over(request: Context) -> None:
    """Flask 3.1: let a unit that a receiver of ``appcontext_pushed`` has begun, before
    there was a request, be that of *request*, for which the context was pushed.
    """
    context = app_context.get()
    unit = getattr(context, "scopes_unit", None)
    if unit is not None and locate(context) == (request, True):
        request.scopes_unit = unit


def watch_requests() -> None:
    """Flask 3.1: notice every request that shares an app context, from now on."""
    if _request_context is None:
        return
    push = _request_class.push
    if hasattr(push, "scopes_watches"):
        return

    @functools.wraps(push)
    def watched(self: Context) -> None:
        if app_context.get(None) is not None or hasattr(self, "scopes_outers"):
            _share(self)
        push(self)
        if flask.signals.appcontext_pushed.receivers:
            _take_over(self)

    watched.scopes_watches = True  # type: ignore[attr-defined]  # of a function
    _request_class.push = watched


def popped_by(frame: types.FrameType | None) -> Context | None:
    """Flask 3.1: the context that is being popped, as its own ``pop`` knows.

    It is not the current one when a streamed body is closed, or collected, in
    the middle of another request, or when contexts are popped out of order.
    Flask does not say then which one it means; to take the current one would
    end the unit of another.
    """
    for _ in range(8):
        if frame is None:
            break
        if frame.f_code.co_name == "pop":
            popped = frame.f_locals.get("self")
            if hasattr(popped, "_cv_tokens"):
                return t.cast(Context, popped)
        frame = frame.f_back
    return None


forks: int = 0
"""How many forks lie between the first process and this one, as far as Python is
told. A fork that it is not told of (uWSGI's) does not happen within a unit.
"""


def _forked() -> None:
    """A view may fork: then the child runs on in contexts that have the parent's
    objects on them.
    """
    global forks
    forks += 1
    todo: list[t.Any] = [app_context.get(None)]
    seen: set[int] = set()
    while todo:
        context = todo.pop()
        if not hasattr(context, "app") or id(context) in seen:
            # The bottom (None, or a token's mark for it), or pushed twice.
            continue
        seen.add(id(context))
        _forget(context)
        with contextlib.suppress(AttributeError):
            # Of the parent's objects.
            del context.scopes_lease
        tokens = getattr(context, "_cv_tokens", [getattr(context, "_cv_token", None)])
        todo += [getattr(token, "old_value", None) for token in tokens]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
