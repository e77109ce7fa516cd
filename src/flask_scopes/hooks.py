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
import functools
import inspect
import sys
import types
import typing as t
import weakref

import click

from . import contexts
from . import ending
from . import interface
from . import replay
from . import starting
from .application import entered

if t.TYPE_CHECKING:
    from flask import Flask
    from werkzeug.exceptions import HTTPException

    from .application import Application


def install(app: Flask, units: c.Sized) -> None:
    """Wrap the methods of *app* with which Flask ends a request or an app
    context, so that its unit ends too, and those that handle errors.

    :param units: those in progress; if there are none, none need be looked for.
    """
    _wrap_teardown(app, "do_teardown_request", contexts.innermost_request, units)
    _wrap_teardown(app, "do_teardown_appcontext", contexts.app_context, units)
    watch(app)
    contexts.watch_requests()


def watch(app: Flask) -> None:
    """See to it that the interface of *app* finishes the unit, and that we hear of
    its errors: another extension may have assigned its own meanwhile.
    """
    home: Application = app.extensions["scopes"]
    hooked = app.session_interface, app.handle_user_exception, app.handle_exception
    if hooked == home.hooked:
        return
    interface.watch(app)
    if not _is_ours(app.handle_user_exception):
        _wrap_user_errors(app)
    if not _is_ours(app.handle_exception):
        _wrap_unhandled_errors(app)
    home.hooked = app.session_interface, app.handle_user_exception, app.handle_exception


def _is_ours(method: c.Callable[..., t.Any]) -> bool:
    # Not by a mark: `functools.wraps` copies marks to what others put around it.
    code: types.CodeType | None = getattr(method, "__code__", None)
    return code is not None and code.co_filename == __file__


def _wrap_teardown(
    app: Flask,
    name: str,
    variable: contextvars.ContextVar[contexts.Context],
    units: c.Sized,
) -> None:
    call = unbound(app, name)
    current = variable.get
    reference = weakref.ref(app)

    def teardown(*args: t.Any, **kwargs: t.Any) -> None:
        try:
            if units and ending.precedes_teardown(current(None)):
                _end(current(None), _passed(args, kwargs))
        finally:
            try:
                call(reference(), *args, **kwargs)
            except BaseException as error:
                _end(current(None), error)
                raise
        if units:
            _end(current(None), _passed(args, kwargs))

    setattr(app, name, teardown)


def _passed(args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> object:
    """The error that a context is torn down for, as far as it is known."""
    passed: object = kwargs.get("exc", args[-1] if args else None)
    if passed is None and sys.exc_info()[1] is not None:
        passed = _unspoken()
    return passed


def _end(context: contexts.Context | None, error: object) -> None:
    popped = contexts.popped_by(inspect.currentframe()) or context
    if popped is not None:
        # Flask 3.1 passes a marker of its own for an error that was not given.
        ending.end(popped, error if isinstance(error, BaseException) else None)


# Between Flask's `wsgi_app` and here.
_POPPING = {"pop", "teardown", "_passed", "_unspoken"}


def _unspoken() -> BaseException | None:
    """What fails here without Flask saying so.

    Click tells what the context of a command is left for only since 8.2; without
    this, a command that failed would be committed. And an app may hide errors from
    its teardown functions, with ``should_ignore_error``.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name in _POPPING:
        frame = frame.f_back
    if frame is not None and frame.f_code.co_name == "wsgi_app":
        return sys.exc_info()[1]
    for _ in range(8):
        if frame is None:
            break
        if frame.f_code is click.Context.__exit__.__code__:
            error: BaseException | None = frame.f_locals.get("exc_value")
            # Its own `exit` is the end of the command, and no failure.
            return None if isinstance(error, click.exceptions.Exit) else error
        frame = frame.f_back
    return None


def _wrap_user_errors(app: Flask) -> None:
    """Note the errors that a handler may make a response of."""
    call = unbound(app, "handle_user_exception")
    reference = weakref.ref(app)

    def handle_user_exception(*args: t.Any, **kwargs: t.Any) -> t.Any:
        app = t.cast("Flask", reference())
        request = contexts.innermost_request.get(None)
        error = _error(args, kwargs)
        if request is not None:
            ending.note(app, request, error)
            replay.again(app, request, error)
        try:
            return call(app, *args, **kwargs)
        except Exception as raised:
            page = None
            if raised is error and request is not None:
                page = _page_for(app, request, error)
            if page is None:
                raise
        handle: c.Callable[..., t.Any] = app.handle_http_exception
        return handle(*args[:-1], page)

    app.handle_user_exception = handle_user_exception  # type: ignore[method-assign]  # on the object


def _page_for(
    app: Flask, request: contexts.Context, error: Exception
) -> HTTPException | None:
    """What to answer with for *error*, which no handler wants; None for Flask's 500."""
    page = _known_page(app, error)
    if page is not None:
        asked = request.request
        text = "Answered %s [%s] with %d"
        said = text, asked.path, asked.method, page.code
        if getattr(error, "is_expected", False):
            app.logger.info(*said)
        else:
            app.logger.error(*said, exc_info=error)
    return page


def _known_page(app: Flask, error: Exception) -> HTTPException | None:
    home: Application = app.extensions["scopes"]
    found = (answer(error) for answer in home.answers)
    return next((each for each in found if each is not None), None)


def _wrap_unhandled_errors(app: Flask) -> None:
    """Offer a failed commit to its handlers: it comes up where Flask no longer
    looks for any but those of a 500. So does a database that is away, if it is an
    ``after_request`` function that asks.
    """
    call = unbound(app, "handle_exception")
    reference = weakref.ref(app)

    def handle_exception(*args: t.Any, **kwargs: t.Any) -> t.Any:
        app = t.cast("Flask", reference())
        request = contexts.innermost_request.get(None)
        error = _error(args, kwargs)
        own = request is not None and ending.fail(app, request, error)
        if request is not None:
            replay.again(app, request, error)
        if not own and (request is None or _known_page(app, error) is None):
            return call(app, *args, **kwargs)
        try:
            answer = app.handle_user_exception(*args, **kwargs)
        except Exception as raised:
            # There is no handler, or one that failed itself.
            return call(app, *args[:-1], raised)
        finalize: c.Callable[..., t.Any] = app.finalize_request
        return finalize(*args[:-1], answer, from_error_handler=True)

    app.handle_exception = handle_exception  # type: ignore[method-assign]  # the same


def wrap_requests(app: Flask, home: Application) -> None:
    """Wrap ``wsgi_app``: for what has to be around a whole request, all of its
    attempts included, and is entered and left in one frame.
    """
    if home.wraps_requests:
        return
    home.wraps_requests = True
    call = unbound(app, "wsgi_app")
    # Both weak: *home* is part of the app.
    reference, its_home = weakref.ref(app), weakref.ref(home)

    def wsgi_app(environ: t.Any, start_response: t.Any) -> t.Any:
        home = t.cast("Application", its_home())
        if home.starts:
            starting.at_first_request(home)
        attempt = functools.partial(call, reference())
        with entered(home.around_requests):
            if not home.replays:
                return attempt(environ, start_response)
            return replay.run(attempt, environ, start_response, home.longest_body())

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # the same


def _error(args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> Exception:
    """The last argument; Flask 3.2 passes a context before it."""
    error: Exception = kwargs["e"] if "e" in kwargs else args[-1]
    return error


def unbound(app: Flask, name: str) -> c.Callable[..., t.Any]:
    """What *name* does so far, as a function of the app (and without one)."""
    earlier: c.Callable[..., t.Any] | None = vars(app).get(name)
    if earlier is None:
        return t.cast("c.Callable[..., t.Any]", getattr(type(app), name))
    wrapper = earlier

    def call(app: Flask, *args: t.Any, **kwargs: t.Any) -> t.Any:
        return wrapper(*args, **kwargs)

    return call
