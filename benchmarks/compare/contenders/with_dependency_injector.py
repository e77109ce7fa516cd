"""dependency-injector, with those of its providers that keep threads apart."""

from __future__ import annotations

import collections.abc as c
import functools
import types
import typing as t

import flask
from dependency_injector import containers
from dependency_injector import providers
from dependency_injector.wiring import Closing
from dependency_injector.wiring import Provide
from dependency_injector.wiring import inject

from ..shop import Thing
from . import Contender
from . import Made
from . import injected_view


class DependencyInjector(Contender):
    name = "dependency-injector"
    setup = (
        "`ThreadSafeSingleton` and `ContextLocalResource`; `Closing[Provide[...]]` in "
        "views, which closes when the view returns; elsewhere `container.db()`."
    )
    imports = "import dependency_injector.containers, dependency_injector.wiring"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        container = containers.DynamicContainer()
        for thing in things:
            needs = [getattr(container, name) for name in thing.needs]
            kept = providers.ContextLocalResource, providers.ThreadSafeSingleton
            kind: t.Any = kept[thing.application]
            setattr(container, thing.name, kind(thing.factory, *needs))
        # What is wired is a module.
        module = types.ModuleType("views")
        names = vars(module)
        names.update(container=container, inject=inject, Closing=Closing)
        names["Provide"] = Provide
        view = functools.partial(
            injected_view, names, '=Closing[Provide["{name}"]]', "@inject"
        )

        def ready() -> None:
            for endpoint, function in app.view_functions.items():
                setattr(module, f"view_{endpoint}", function)
            container.wire(modules=[module])
            for endpoint in app.view_functions:
                function = getattr(module, f"view_{endpoint}")
                app.view_functions[endpoint] = function

        return Made(app, names, "container.{}()".format, view, ready)


contender = DependencyInjector()
