"""wireup, with its integration for Flask and views that are injected."""

from __future__ import annotations

import collections.abc as c
import functools

import flask
import wireup
import wireup.integration.flask as integration

from ..shop import Thing
from . import Contender
from . import Made
from . import injected_view


class Wireup(Contender):
    name = "wireup"
    setup = "`Injected[...]` in views; elsewhere `get_request_container().get()`."
    imports = "import wireup, wireup.integration.flask"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        injectables = [
            wireup.injectable(
                thing.factory, lifetime="singleton" if thing.application else "scoped"
            )
            for thing in things
        ]
        container = wireup.create_sync_container(injectables=injectables)
        names: dict[str, object] = {thing.name: thing.cls for thing in things}
        names["Injected"] = wireup.Injected
        names["get_request_container"] = integration.get_request_container
        return Made(
            app,
            names,
            "get_request_container().get({})".format,
            functools.partial(injected_view, names, ": Injected[{name}]", ""),
            functools.partial(integration.setup, container, app),
        )


contender = Wireup()
