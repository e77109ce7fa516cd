"""How the unit of a request ends: what counts as failure, and what follows from it.

A request is *finished* once its response is complete, before the session is saved
(``interface.py`` calls then), or where Flask tears it down, if it never comes that
far. What failed before is noted on the request as it happens.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from werkzeug.exceptions import HTTPException

from . import body
from . import contexts
from . import unit_messages
from .application import entered
from .errors import ScopesError
from .events import everywhere
from .places import name_of
from .places import place_of
from .store import State
from .unit import Unit

if t.TYPE_CHECKING:
    from flask import Flask
    from flask import Response
    from flask.sessions import SessionMixin

    from .application import Application

# See store.py.
_OPEN, _CLOSED = State.OPEN, State.CLOSED


def note(app: Flask, request: contexts.Context, error: Exception) -> None:
    """Remember what an error handler may be about to make a response of. What the
    request has put into its session is dropped, if it has a unit, which fails.
    """
    request.scopes_handled = True
    status = _status_of(error)
    if status is not None and (status < 400 or status in accepted(request)):
        return
    if not hasattr(request, "scopes_error"):
        request.scopes_error = error
    unit = _unit_of(request)
    if unit is not None and unit.is_open():
        request.scopes_failed = True
        restore_session(app, request)


def _status_of(error: Exception) -> int | None:
    """The status that *error* was raised to answer with; None if it was not."""
    if not isinstance(error, HTTPException):
        return None
    response = error.response
    return error.code if response is None else getattr(response, "status_code", None)


def accept(statuses: c.Iterable[int]) -> None:
    """Let *statuses* count as success in the current request, if there is one."""
    request = contexts.innermost_request.get(None)
    if request is not None:
        request.scopes_accepts = accepted(request).union(statuses)


def accepted(request: contexts.Context) -> frozenset[int]:
    """The statuses from 400 on that count as success in *request*."""
    return getattr(request, "scopes_accepts", frozenset())


def is_due(app: Flask, request: contexts.Context) -> bool:
    """Whether there may be something to finish in *request*, whose response is
    complete: mostly there is not, and from now on nothing can begin.
    """
    home: Application | None = app.extensions.get("scopes")
    if home is None:
        return False
    if home.units or home.keeps_until_sent or hasattr(request, "scopes_error"):
        return True
    request.scopes_finished = True
    return False


def unit_to_finish(
    app: Flask, request: contexts.Context, response: Response
) -> Unit | None:
    """The unit of *request*, whose *response* is complete, if it has begun one: from
    now on it cannot begin any.
    """
    unit: Unit | None = getattr(request, "scopes_unit", None)
    if unit is None:
        if not is_due(app, request):
            return None
        unit = _unit_of(request)
        home: Application = app.extensions["scopes"]
        if unit is None and home.keeps_until_sent and response.is_streamed:
            # Now, because the body may ask for objects, and somebody has to end them.
            unit = home.unit(contexts.app_context.get())
    request.scopes_finished = True
    if unit is None or unit.state is not _OPEN or unit.forks != contexts.forks:
        take_error(request)
        return None
    return unit


def finish(
    app: Flask,
    request: contexts.Context,
    unit: Unit,
    response: Response,
    prepare: c.Callable[[], object] | None,
) -> None:
    """Finish *unit*, of *request*, whose *response* is complete.

    :param prepare: called when it is about to succeed, last before anything is
        committed; None if there is no session. What it raises comes out.
    :raises CommitFailed: it should have succeeded, and could not be finished.
    """
    if unit.events.listeners or everywhere:
        unit.events.tell("finishing", unit, response.status_code)
    error = take_error(request)
    if error is None and (unit.doomed is not None or response.status_code >= 400):
        error = _failure(app, request, unit, response)
    lives_on = body.lives_on(app, unit, response)
    try:
        if error is None:
            unit.last = prepare
            unit.end(None)
            if not lives_on:
                unit.close(None)
            if unit.callbacks:
                call_back(app, unit)
        else:
            _note_failure(app, request, response, error)
            _roll_back(app, unit, error, lives_on)
    except Exception as refused:
        refuse(app, request, refused)
        raise
    finally:
        # It refers to the request, which refers to the unit.
        unit.last = None
        if unit.committed or unit.error is None:
            request.scopes_kept = True
    if lives_on:
        body.follow(app, request, unit, response)


def _note_failure(
    app: Flask, request: contexts.Context, response: Response, error: BaseException
) -> None:
    request.scopes_failed = True
    if response.status_code < 400:
        # From the outside it looks like a success.
        app.logger.info("%s, but rolled back: %r", response.status, error)


def refuse(app: Flask, request: contexts.Context, error: Exception) -> None:
    """*request* fails at its very end, because of *error*. If that is one of ours, its
    handlers hear of it, though Flask no longer looks for any. And nothing of the
    request is in the session: the page that says so is saved with that.
    """
    if isinstance(error, ScopesError):
        request.scopes_refused = error
    request.scopes_failed = True
    restore_session(app, request)


def _failure(
    app: Flask, request: contexts.Context, unit: Unit, response: Response
) -> Exception | None:
    """What *unit* fails with, if it is doomed or the status, from 400 on, says so."""
    error: Exception | None = unit.doomed
    if error is None and response.status_code not in accepted(request):
        error = unit_messages.failed_by_status(response.status_code)
    if error is not None:
        restore_session(app, request)
    return error


def _roll_back(app: Flask, unit: Unit, error: BaseException, lives_on: bool) -> None:
    for step in [unit.end] if lives_on else [unit.end, unit.close]:
        try:
            step(error)
        except Exception:
            # The response says already that the request failed, and why.
            app.logger.exception("A failed request could not be rolled back cleanly")


def call_back(app: Flask, unit: Unit) -> None:
    """Call what was to be called after *unit* succeeded, each in its own unit."""
    # (In a process that was forked in the middle of it, it is still open.)
    while unit.callbacks and unit.state is _CLOSED:
        function = unit.callbacks.pop(0)
        try:
            with own_unit(app):
                app.ensure_sync(function)()
        except Exception:
            what = f"{name_of(function)} ({place_of(function)})"
            app.logger.exception("Failed after the commit, which stays: %s", what)


def fail(app: Flask, request: contexts.Context, error: Exception) -> bool:
    """The response was never completed: there will be another, for *error*.

    :return: whether *error* is that the unit of *request* could not be finished, or its
        session not be saved.
    """
    note(app, request, error)
    unit = _unit_of(request)
    own = getattr(request, "scopes_refused", None) is error
    if own:
        # Like every error it refers to frames, which refer to us.
        del request.scopes_refused
    if unit is None or unit.is_open():
        return own
    _roll_back(app, unit, error, lives_on=False)
    # Its objects are gone, and error handlers may want some. What those do is
    # another unit, which fails as well: nothing is committed twice.
    contexts.begin_anew(request)
    return own


def abandon(app: Flask, request: contexts.Context, error: Exception) -> None:
    """There will be no response, because of *error*: roll back now."""
    unit = _unit_of(request)
    take_error(request)
    if unit is not None:
        _roll_back(app, unit, error, lives_on=False)


def end(context: contexts.Context, error: BaseException | None) -> None:
    """Flask tears down *context*: nothing more can come, unless a body is on its way.

    :raises CommitFailed: nothing had failed, and the unit could not be finished.
    :raises BaseExceptionGroup: of what the teardowns raised otherwise.
    """
    error = take_error(context) or error
    unit: Unit | None = getattr(context, "scopes_unit", None)
    if unit is None:
        return
    if unit.state is _OPEN:
        error = error or unit.doomed
        try:
            unit.end(error)
        finally:
            unit.close(error)
        if error is None:
            call_back(context.app, unit)
    elif not unit.followed or (
        # An ordinary error has become a response, which is on its way. (And a body
        # that is not wanted is closed before it began.)
        not unit.sending and not isinstance(error, Exception | GeneratorExit | None)
    ):
        unit.close(error)


def precedes_teardown(context: contexts.Context | None) -> bool:
    """Whether the unit of *context* is to end before the app's own teardown."""
    unit: Unit | None = getattr(context, "scopes_unit", None)
    return unit is not None and unit.precedes_teardown and unit.is_open()


@contextlib.contextmanager
def own_unit(app: Flask) -> c.Generator[None, None, None]:
    """A unit of its own, which is finished at the end of the block.

    :raises CommitFailed: the block succeeded, and the unit could not be finished.
    """
    home: Application = app.extensions["scopes"]
    with entered(home.around_units), app.app_context() as context:
        yield
        # Not left to Flask: 3.2 would put what it raises into a group of its own.
        end(t.cast("contexts.Context", context), None)


def kept(request: contexts.Context) -> bool:
    """Whether something of *request* is committed already."""
    unit = _unit_of(request)
    return hasattr(request, "scopes_kept") or bool(unit and unit.committed)


def spoiled(request: contexts.Context) -> Exception | None:
    """The error that has left *request* nothing to commit, if there was one."""
    unit = _unit_of(request)
    return None if unit is None else unit.spoiled


def take_error(request: contexts.Context) -> BaseException | None:
    """What was noted. It is forgotten: it refers to frames, which refer to us."""
    error: BaseException | None = getattr(request, "scopes_error", None)
    if error is not None:
        del request.scopes_error
    return error


def restore_session(app: Flask, request: contexts.Context) -> None:
    """Put the session back to what it was before *request*: by opening it again, unless
    it can tell.
    """
    session = contexts.session_of(request)
    touched = getattr(session, "accessed", True) or getattr(session, "modified", True)
    if session is None or not touched:
        return
    unit = _unit_of(request)
    if unit is not None:
        unit.restore_session()
    interface = app.session_interface
    try:
        # One of ours, from the server, would have to be asked for once more.
        restored: c.Callable[[], SessionMixin] | None
        restored = getattr(session, "restored", None)
        fresh: SessionMixin | None = (
            restored()
            if restored is not None
            else interface.open_session(app, request.request)
        )
    except Exception:
        app.logger.exception("The session could not be restored, and is not saved")
        fresh = None
    if fresh is None:
        fresh = interface.make_null_session(app)
    fresh.accessed = getattr(session, "accessed", True)
    contexts.swap_session(request, fresh)


def _unit_of(request: contexts.Context) -> Unit | None:
    return t.cast("Unit | None", contexts.unit_of(request))
