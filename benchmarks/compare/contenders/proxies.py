"""The getters written by hand, each behind a proxy of Werkzeug."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
from werkzeug.local import LocalProxy

from ..shop import Thing
from . import Contender
from . import Made
from .by_hand import register


class Proxies(Contender):
    name = "LocalProxy"
    setup = "The getters of `g` by hand, each behind a `werkzeug.local.LocalProxy`."

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        names = register(app, things)
        for thing in things:
            getter = t.cast("c.Callable[[], object]", names[f"get_{thing.name}"])
            names[f"the_{thing.name}"] = LocalProxy(getter)
        return Made(app, names, "the_{}".format)


contender = Proxies()
