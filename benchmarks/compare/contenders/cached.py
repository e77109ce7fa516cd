"""The floor of warm reads: a cache that never ends anything."""

from __future__ import annotations

import collections.abc as c
import functools

import flask

from ..shop import Thing
from . import Contender
from . import Made
from . import asking_factory


class Cached(Contender):
    name = "functools.cache"
    setup = "The floor of warm reads. It ends nothing, so nothing else is measured."
    serves = False

    def make(self, things: c.Sequence[Thing]) -> Made:
        names: dict[str, object] = {}
        ask = "get_{}()".format
        for thing in things:
            names[thing.name] = thing.cls
            # A class that is closed would be built by a generator.
            build = thing.cls if thing.needs == () else _build(thing, names)
            names[f"get_{thing.name}"] = functools.cache(build)
        return Made(flask.Flask(__name__), names, ask)


def _build(thing: Thing, names: dict[str, object]) -> c.Callable[..., object]:
    plain = Thing(thing.cls, thing.factory, thing.needs)
    if not thing.closes:
        return asking_factory(plain, names, "get_{}()".format, "")
    needs = [f"get_{name}" for name in thing.needs]
    return lambda: thing.cls(*(names[name]() for name in needs))  # type: ignore[operator]  # functions


contender = Cached()
