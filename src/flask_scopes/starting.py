"""The start of a process: build what is eager, when it is about to serve.

Not when the app is made: a server may fork afterwards, and a command (``flask
routes``, a migration, the parent of a reloader) serves nothing. Werkzeug's server
and uWSGI tell us by themselves; for gunicorn there is a hook to import, and any
other server starts with ``scopes.start(app)``, or with its first request.
"""

from __future__ import annotations

import collections.abc as c
import functools
import os
import signal
import sys
import time
import typing as t

import werkzeug.serving

from . import process
from . import process_messages
from .errors import StartError
from .lookup import find
from .store import State

if t.TYPE_CHECKING:
    from flask import Flask

    from .application import Application
    from .recipe import Recipe


def start(home: Application, recipes: c.Iterable[Recipe]) -> None:
    """Build those of *recipes* that are eager, each after what it asks for.

    :raises StartError: one could not be built. What was built before it stays.
    """
    app = t.cast("Flask", home.app())
    try:
        with app.app_context():
            for recipe in recipes:
                if recipe.options.eager:
                    _build(recipe)
    finally:
        home.store().started = True


def _build(recipe: Recipe) -> None:
    try:
        find(recipe, (), {})
    except Exception as error:
        # Without a traceback of ours: the message says where it was raised.
        raise process_messages.not_started(recipe, error) from None


def _start_home(home: Application) -> None:
    if not home.store().started:
        start(home, [recipe for each in list(home.members) for recipe in each.kept])


def start_all() -> None:
    """Build what is eager in every app of this process that has not tried it yet.

    :raises StartError: an object could not be built.
    """
    for home in process.homes():
        # (One that is closed is not what is going to be served.)
        if home.starts and home.store().state is State.OPEN:
            _start_home(home)


def at_first_request(home: Application) -> None:
    """No server has told us. What cannot be built is logged, and tried again by
    whoever asks for it: the process serves already.
    """
    try:
        _start_home(home)
    except StartError as error:
        t.cast("Flask", home.app()).logger.error("%s", error)  # its text says it all


before_serving: list[c.Callable[[werkzeug.serving.BaseWSGIServer], object]] = []
"""What is called with each of Werkzeug's servers, when it is about to serve."""


def watch_servers() -> None:
    """Be told when a server is about to serve, where that is possible."""
    serve_forever = werkzeug.serving.BaseWSGIServer.serve_forever
    if hasattr(serve_forever, "scopes_watches"):
        return

    @functools.wraps(serve_forever)
    def watched(*args: t.Any, **kwargs: t.Any) -> None:
        _start_or_exit()
        for step in before_serving:
            # With the server itself, whose method this is.
            step(args[0])
        serve_forever(*args, **kwargs)

    watched.scopes_watches = True  # type: ignore[attr-defined]  # of a function
    werkzeug.serving.BaseWSGIServer.serve_forever = watched  # type: ignore[method-assign]  # for every server
    uwsgi: t.Any = sys.modules.get("uwsgi")
    if uwsgi is not None:
        process.after(uwsgi, "post_fork_hook", functools.partial(_start_worker, uwsgi))


def _start_or_exit() -> None:
    try:
        start_all()
    except StartError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)  # noqa: T201  # to who starts it
        # In a thread (Werkzeug's reloader serves in one) it ends the thread alone:
        # the reloader waits for a change, and starts anew.
        raise SystemExit(1) from None


def _start_worker(uwsgi: t.Any) -> None:
    """Of uWSGI, which goes on if nothing is done: its master starts another worker in
    place of one that has exited, again and again.
    """
    # If another worker stops them all: without a traceback of where we are.
    earlier = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _start_or_exit()
    except SystemExit:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # If it has served already, to be started again is right.
        if uwsgi.masterpid() and not any(each["requests"] for each in uwsgi.workers()):
            # Until the others are where a signal prints none, and the master waits.
            time.sleep(0.5)
            # What `uwsgi.stop` sends means "reload" under --die-on-term; this means
            # "stop" under all options.
            os.kill(uwsgi.masterpid(), signal.SIGINT)
        raise
    # None is a handler that was not installed from Python.
    signal.signal(signal.SIGINT, earlier or signal.SIG_DFL)
