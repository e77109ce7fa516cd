"""dishka, with its integration for Flask and views that are injected."""

from __future__ import annotations

import collections.abc as c
import functools

import dishka
import flask
from dishka.integrations.flask import FlaskProvider
from dishka.integrations.flask import FromDishka
from dishka.integrations.flask import inject
from dishka.integrations.flask import setup_dishka

from ..shop import Thing
from . import Contender
from . import Made
from . import injected_view


class Dishka(Contender):
    name = "dishka"
    setup = "`@inject` on views; elsewhere `g.dishka_container.get()`."
    imports = "import dishka, dishka.integrations.flask"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        provider = dishka.Provider()
        for thing in things:
            scope = dishka.Scope.APP if thing.application else dishka.Scope.REQUEST
            provider.provide(thing.factory, scope=scope)
        container = dishka.make_container(provider, FlaskProvider())
        setup_dishka(container=container, app=app)
        names: dict[str, object] = {thing.name: thing.cls for thing in things}
        names.update(g=flask.g, FromDishka=FromDishka, inject=inject)
        view = functools.partial(
            injected_view, names, ": FromDishka[{name}]", "@inject"
        )
        return Made(app, names, "g.dishka_container.get({})".format, view)


contender = Dishka()
