"""svcs. It has no factories for what lives as long as the app: values, made at once."""

from __future__ import annotations

import collections.abc as c

import flask
import svcs.flask

from ..shop import Thing
from . import Contender
from . import Made
from . import asking_factory


class Svcs(Contender):
    name = "svcs"
    setup = "`svcs.flask.get()`; what the app keeps is registered as a value."
    imports = "import svcs.flask"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = svcs.flask.init_app(flask.Flask(__name__))
        names: dict[str, object] = {"get": svcs.flask.get}
        for thing in things:
            names[thing.name] = thing.cls
            if thing.application:
                svcs.flask.register_value(app, thing.cls, thing.factory())
                continue
            factory = thing.factory
            if thing.needs:
                ask = "svcs_container.get({})".format
                factory = asking_factory(thing, names, ask, "svcs_container")
            svcs.flask.register_factory(app, thing.cls, factory)
        return Made(app, names, "get({})".format)


contender = Svcs()
