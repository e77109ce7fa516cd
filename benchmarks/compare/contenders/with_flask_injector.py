"""Flask-Injector. Its request scope ends nothing, so a teardown is written by hand:
what is opened in a request is noted on `g`, and closed in reverse.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import inspect
import typing as t

import flask
import flask_injector
import injector

from ..shop import Thing
from . import Contender
from . import Made
from . import injected_view


class FlaskInjector(Contender):
    name = "Flask-Injector"
    setup = (
        "Views by annotation, elsewhere `injector.get()`; its request scope ends "
        "nothing, so that is one `teardown_appcontext` by hand."
    )
    imports = "import flask_injector, injector"

    def make(self, things: c.Sequence[Thing]) -> Made:
        app = flask.Flask(__name__)
        app.teardown_appcontext(_close)
        names: dict[str, t.Any] = {thing.name: thing.cls for thing in things}

        def configure(binder: injector.Binder) -> None:
            for thing in things:
                scope = flask_injector.request
                if thing.application:
                    scope = injector.singleton
                binder.bind(thing.cls, to=_provider(thing), scope=scope)

        def ready() -> None:
            made = flask_injector.FlaskInjector(app=app, modules=[configure])
            names["injector"] = made.injector

        view = functools.partial(injected_view, names, ": {name}", "")
        return Made(app, names, "injector.get({})".format, view, ready)


def _provider(thing: Thing) -> c.Callable[..., object]:
    if not thing.closes:
        return injector.inject(thing.factory) if thing.needs else thing.factory
    factory = thing.factory

    def opened(**needs: object) -> object:
        generator = factory(**needs)
        made = next(generator)
        if "opened" not in flask.g:
            flask.g.opened = []
        flask.g.opened.append(generator)
        return made

    opened.__signature__ = inspect.signature(factory)  # type: ignore[attr-defined]  # of a function
    hints = {**t.get_type_hints(factory), "return": thing.cls}
    opened.__annotations__ = hints
    return injector.inject(opened) if thing.needs else opened


def _close(error: BaseException | None) -> None:
    for generator in reversed(flask.g.pop("opened", [])):
        with contextlib.suppress(StopIteration):
            next(generator)


contender = FlaskInjector()
