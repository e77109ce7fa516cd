"""Flask-Scopes, by its public names alone."""

from __future__ import annotations

import collections.abc as c

import flask

from flask_scopes import Scopes

from ..shop import Thing
from . import Contender
from . import Made
from . import asking_factory


class FlaskScopes(Contender):
    name = "Flask-Scopes"
    setup = "Factories are decorated, and called: `db()`."
    imports = "import flask_scopes"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        scopes = Scopes()
        names: dict[str, object] = {}
        ask = "get_{}()".format
        for thing in things:
            factory = thing.factory
            if thing.needs:
                factory = asking_factory(thing, names, ask, "")
            scope = scopes.application if thing.application else scopes.request
            names[f"get_{thing.name}"] = scope(factory)
        scopes.init_app(app)
        return Made(app, names, ask)


contender = FlaskScopes()
