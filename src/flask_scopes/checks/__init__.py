"""Checks the resources of an app, and what each uses, without calling any of them.

``flask scopes check`` prints what is found here. It is read from the source, and from
what has happened in this process so far; an *error* is only what is certain.
"""

from __future__ import annotations

import typing as t

from ..graph import Graph
from ..graph import graph_of
from ..graph import initialized
from ..graph.source import by_line
from . import of_app as checks_app
from . import of_factories as checks_factories
from . import of_graph as checks_graph
from .finding import LEVELS
from .finding import Finding

if t.TYPE_CHECKING:
    from flask import Flask

__all__ = ["Finding", "Graph", "assert_production_ready", "findings"]


def findings(app: Flask, graph: Graph | None = None) -> list[Finding]:
    """What is wrong with the resources of *app*, or may be; errors first.

    :param graph: what is known of them already.
    :raises OutsideScopeError: *app* is not initialized.
    """
    graph = graph or graph_of(app)
    found = [
        *checks_graph.look(graph),
        *checks_factories.look(app, graph),
        *checks_app.look(app, graph),
    ]
    return in_order(found)


def in_order(found: list[Finding]) -> list[Finding]:
    """Errors first; then by code, and by place."""
    return sorted(
        dict.fromkeys(found),
        key=lambda each: (LEVELS.index(each.level), each.code, by_line(each.place)),
    )


def assert_production_ready(app: Flask) -> None:
    """For a test of the app as it is deployed: nothing that belongs to development is
    on, and :func:`findings` has no errors.

    :raises AssertionError: naming each thing that is not so.
    :raises OutsideScopeError: *app* is not initialized.
    """
    __tracebackhide__ = True  # pytest is to show the line that asks.
    home = initialized(app)
    config = t.cast("dict[str, t.Any]", app.config)
    problems: list[str] = []
    if app.debug:
        problems.append("debug mode is on: pages of errors run code for whoever asks")
    if config.get("SCOPES_INSPECTOR") or getattr(home, "inspector", None):
        problems.append("the inspector is on (SCOPES_INSPECTOR)")
    for each in findings(app):
        if each.code == "S109":
            continue
        if each.level == "error" or each.code == "S108":
            place = f" ({each.place})" if each.place else ""
            problems.append(f"{each.code} {each.message}{place}. {each.advice}".strip())
    if problems:
        listed = "\n".join(f"  * {each}" for each in problems)
        message = f"{app.name!r} is not ready for production:\n\n{listed}"
        raise AssertionError(message)
