"""What is wrong with an app, its settings and its process."""

from __future__ import annotations

import collections.abc as c
import importlib.metadata
import os
import typing as t

from ..places import is_ours
from ..places import place_of
from ..recording.leaks import built_before_fork
from ..rehearsal import signs_cookies
from ..scope import Scope
from .finding import Finding

if t.TYPE_CHECKING:
    from flask import Flask

    from ..application import Application
    from ..graph import Graph


def look(app: Flask, graph: Graph) -> c.Iterator[Finding]:
    yield from _no_session(app, graph)
    yield from _before_fork(app)
    yield from _overridden(graph)
    yield from _inspector(app)
    yield from _teardown_functions(app)


def _no_session(app: Flask, graph: Graph) -> c.Iterator[Finding]:
    kept = [each for each in graph.recipes if each.scope is Scope.SESSION]
    interface = app.session_interface
    inner = getattr(interface, "_inner", interface)
    if kept and not app.secret_key and signs_cookies(inner):
        yield Finding(
            "S105",
            "warn",
            kept[0].name,
            kept[0].place,
            f"{kept[0].name} is kept in the session, and the app has no secret key to"
            " sign its cookie with",
            "Set SECRET_KEY in the app's config.",
        )


def _before_fork(app: Flask) -> c.Iterator[Finding]:
    home: Application = app.extensions["scopes"]
    for each in built_before_fork(home):
        yield Finding(
            "S106",
            "warn",
            each.resource,
            each.place,
            f"{each.resource} was built before this process was forked, at"
            f" {each.asked_at}",
            "The fork builds its own, and never closes the first. Ask for it only in"
            ' workers, or once a request is there; for plain data, say fork="share".',
        )


def _overridden(graph: Graph) -> c.Iterator[Finding]:
    for recipe in graph.recipes:
        if recipe.replacements:
            yield Finding(
                "S108",
                "warn",
                recipe.name,
                recipe.place,
                f"{recipe.name} is overridden: the override is still active",
                "It is for tests. Leave its with block.",
            )


def _inspector(app: Flask) -> c.Iterator[Finding]:
    config = t.cast("dict[str, t.Any]", app.config)
    if config.get("SCOPES_INSPECTOR") and not app.debug:
        yield Finding(
            "S109",
            "error",
            "",
            "",
            "the inspector is on (SCOPES_INSPECTOR), and debug mode is off",
            "It shows what an app does to whoever asks. Set it where debug mode is on,"
            " and nowhere else.",
        )


def _teardown_functions(app: Flask) -> c.Iterator[Finding]:
    version = importlib.metadata.version("flask")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= (3, 2):
        return
    groups = [*app.teardown_request_funcs.values(), app.teardown_appcontext_funcs]
    for group in groups:
        others = [
            place
            for place in map(place_of, t.cast("list[c.Callable[..., t.Any]]", group))
            if not is_ours(os.path.abspath(place.rpartition(":")[0]))
        ]
        if len(others) > 1:
            listed = ", ".join(others)
            yield Finding(
                "S110",
                "note",
                "",
                "",
                f"with Flask {version}, a teardown function that raises skips those"
                f" registered before it: {listed}",
                "Resources are torn down all the same. For the others, use Flask 3.2.",
            )
