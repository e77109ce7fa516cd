"""As in Flask's documentation: getters that keep objects on `g`, and a teardown for
each that is closed. What lives as long as the app is made at once, in `extensions`.
"""

from __future__ import annotations

import collections.abc as c

import flask

from ..shop import Thing
from . import Contender
from . import Made
from . import compiled

_APPLICATION = """
def get_{name}():
    return current_app.extensions["{name}"]
"""
_REQUEST = """
def get_{name}():
    if "{name}" not in g:
        g.{name} = {name}({needs})
    return g.{name}
"""
_TEARDOWN = """
def close_{name}(error):
    opened = g.pop("{name}", None)
    if opened is not None:
        opened.close()
"""


def register(app: flask.Flask, things: c.Sequence[Thing]) -> dict[str, object]:
    """The getters, by their names."""
    names: dict[str, object] = {"g": flask.g, "current_app": flask.current_app}
    for thing in things:
        name = thing.name
        names[name] = thing.cls
        needs = ", ".join(f"get_{need}()" for need in thing.needs)
        if thing.application:
            app.extensions[name] = thing.factory()
            compiled(_APPLICATION.format(name=name), names, f"get_{name}")
            continue
        compiled(_REQUEST.format(name=name, needs=needs), names, f"get_{name}")
        if thing.closes:
            close = compiled(_TEARDOWN.format(name=name), names, f"close_{name}")
            app.teardown_appcontext(close)
    return names


class ByHand(Contender):
    name = "`g` by hand"
    setup = (
        'As in Flask\'s documentation: `if "db" not in g`, and a `teardown_appcontext` '
        "for each that is closed; `app.extensions`, filled at the start."
    )

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        return Made(app, register(app, things), "get_{}()".format)


contender = ByHand()
