"""The inspector: what lived how long, in the browser, while an app is developed.

Off unless ``SCOPES_INSPECTOR`` is true in the app's config and the app is in debug
mode. It is a small application of its own, in front of the one that it looks at: none
of that one's hooks run for its pages, and nothing is put into that one's.
"""

from __future__ import annotations

import collections.abc as c
import typing as t
import weakref

from .. import starting
from ..config import bad_config
from ..errors import SetupError
from ..places import caller
from ..recording.leaks import Watch
from ..recording.recorder import Recorder
from . import announcing
from . import watching
from .guard import Guard
from .pages import make_pages

if t.TYPE_CHECKING:
    from flask import Flask

    from ..application import Application


class Inspector:
    """The inspector of one app, which it lives as long as.

    :param app: in debug mode.
    :param home: what that app keeps.
    :raises SetupError: the app is not in debug mode, or ``SCOPES_INSPECTOR`` or
        ``SCOPES_INSPECTOR_HOSTS`` is not what it should be.
    """

    def __init__(self, app: Flask, home: Application) -> None:
        _check(app)
        reference = weakref.ref(app)

        def tells_why() -> bool:
            app = reference()
            return app is not None and app.debug

        self.app = reference
        self.guard = Guard(_hosts(app))
        self.recorder = Recorder(home, tells_why)
        self.watch = Watch()
        self.pages = make_pages(home, self.recorder, self.watch)
        self.is_announced = False
        """Whether it was said where it is."""
        home.inspector = self
        home.events.add(self.recorder)
        home.events.add(self.watch)
        watching.install(app, self)
        starting.watch_servers()
        if announcing.say_where not in starting.before_serving:
            starting.before_serving.append(announcing.say_where)


def _check(app: Flask) -> None:
    if app.config["SCOPES_INSPECTOR"] is not True:
        raise bad_config("SCOPES_INSPECTOR", "True or False")
    if not app.debug:
        raise _not_in_debug_mode(app.name)


def _not_in_debug_mode(app_name: str) -> SetupError:
    return SetupError(
        f"The inspector is on in app {app_name!r}, which is not in debug mode: it would"
        " show strangers how the app is made (S109).\n\n"
        f"Set up at {caller()}, with SCOPES_INSPECTOR in the app's config.\n\n"
        "To fix it, start with `flask run --debug` or FLASK_DEBUG=1, or set app.debug"
        " before scopes.init_app(app).\nWhere the app is not developed, leave"
        " SCOPES_INSPECTOR out."
    )


def _hosts(app: Flask) -> tuple[str, ...]:
    config = t.cast("dict[str, object]", app.config)
    hosts = config.get("SCOPES_INSPECTOR_HOSTS") or ()
    if isinstance(hosts, str) or not isinstance(hosts, c.Iterable):
        raise bad_config("SCOPES_INSPECTOR_HOSTS", "a list of host names")
    names = tuple(t.cast("c.Iterable[object]", hosts))
    if not all(isinstance(name, str) and name.strip(".") for name in names):
        raise bad_config("SCOPES_INSPECTOR_HOSTS", "a list of host names")
    return t.cast("tuple[str, ...]", names)
