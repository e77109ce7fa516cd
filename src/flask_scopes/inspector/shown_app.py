"""An app's resources, leaks and health as plain data, for the pages and their JSON:
names, never values.
"""

from __future__ import annotations

import os
import time
import typing as t

from .. import weak
from ..graph import formats as graph_formats
from ..graph import graph_of
from ..graph.returns import type_name
from ..graph.text import LETTERS
from ..pings import ask
from ..recording.figures import Figures
from ..recording.figures import median
from ..recording.leaks import built_before_fork
from .shown import counted
from .shown import ms

if t.TYPE_CHECKING:
    from ..application import Application
    from ..decorators import Decorators
    from ..graph import Graph
    from ..recipe import Recipe
    from ..recording.leaks import Watch
    from ..recording.recorder import Recorder
    from .verdict import Data

_PING_SECONDS: t.Final = 2.0


def graph(home: Application, recorder: Recorder) -> Graph:
    """The resources of the app, and what each was seen to use, or may use."""
    app = home.app()
    assert app is not None
    figures = counted(recorder)
    seen = [
        (user, used) for user, each in figures.items() for used in weak.keys(each.uses)
    ]
    return graph_of(app, seen)


def resources(graph: Graph, recorder: Recorder) -> Data:
    """``resources``: those with the longest life first. Of each, ``name``, ``scope``,
    ``letter``, ``place``, ``type``, ``has_teardown``, ``alive`` (how many objects there
    are), ``built``, ``failed`` (how often its factory raised), ``failed_to_close``,
    ``used``, ``build_median_ms``, ``build_worst_ms``, ``close_median_ms``, ``uses`` and
    ``used_by`` (names), ``overridden``, and ``id``, as in the graph.
    """
    figures = counted(recorder)
    ids = graph_formats.ids_of(graph)
    nothing = Figures()
    return {
        "resources": [
            {
                "id": ids[recipe],
                **_resource(graph, recipe, figures.get(recipe, nothing)),
            }
            for recipe in graph.by_scope()
        ]
    }


def graph_data(graph: Graph) -> Data:
    """What ``flask scopes graph --json`` prints, and ``wrong``: pairs of ids, of what
    lives longer and uses what lives shorter.
    """
    ids = graph_formats.ids_of(graph)
    wrong = [[ids[edge.user], ids[edge.used]] for edge in graph.edges if edge.is_wrong]
    return {**graph_formats.data(graph), "wrong": wrong}


def leaks(home: Application, recorder: Recorder, watch: Watch) -> Data:
    """``problems`` (how many), ``teardowns`` (that raised: ``resource``, ``place``,
    ``failure``, ``times``, ``of``, ``last`` in seconds since 1970),
    ``still_referenced`` (``resource``, ``scope``, ``type``, ``place``, ``asked_at``,
    ``closed_ago`` in seconds, ``holders``), ``lost_units`` (``at`` and ``objects``:
    closed by the collector alone), ``before_fork`` (``resource``, ``place``,
    ``asked_at``), and, as no problem by itself, ``never_closed`` (``resource``,
    ``scope``, ``type``, ``place``).
    """
    found: Data = {
        **_raised_or_lost(home, recorder, watch),
        "still_referenced": [
            {
                "resource": each.resource,
                "scope": each.scope,
                "type": each.type,
                "place": each.place,
                "asked_at": each.asked_at,
                "closed_ago": round(each.closed_ago, 1),
                "holders": each.holders,
            }
            for each in watch.still_referenced()
        ],
    }
    problems = sum(map(len, found.values()))
    never_closed = [
        {
            "resource": each.resource,
            "scope": each.scope,
            "type": each.type,
            "place": each.place,
        }
        for each in watch.never_closed()
    ]
    return {"problems": problems, **found, "never_closed": never_closed}


def known_problems(home: Application, recorder: Recorder, watch: Watch) -> int:
    """How many there are, without looking for what is still referenced: that would
    collect garbage.
    """
    return sum(map(len, _raised_or_lost(home, recorder, watch).values()))


def health(home: Application, asks: bool) -> Data:
    """``asked`` and ``pings``: of each object that can be asked its ``name`` and
    ``place``, and if it was asked just now its ``status`` (that of a
    :class:`~flask_scopes.pings.Ping`), ``ms`` and ``error``, a type.

    :param asks: whether to ask.
    """
    recipes = [
        recipe
        for member in t.cast("set[Decorators]", home.members)
        for recipe in member.kept
        if recipe.options.ping is not None
    ]
    places = {recipe.name: recipe.place for recipe in recipes}
    if not asks:
        nothing = {"status": None, "ms": None, "error": None}
        known = [
            {"name": name, "place": place, **nothing} for name, place in places.items()
        ]
        return {"asked": False, "pings": known}
    pings = [
        {
            "name": ping.name,
            "place": places.get(ping.name, ""),
            "status": ping.status,
            "ms": ms(ping.seconds),
            "error": None if ping.error is None else type(ping.error).__name__,
        }
        for ping in ask(home, recipes, _PING_SECONDS, build=False)
    ]
    return {"asked": True, "pings": pings}


def frame(home: Application, recorder: Recorder, several: bool) -> Data:
    """What stands around each page, and in its JSON: ``app``, ``pid``, ``several`` (as
    far as the server says: whether there are other processes), ``kept``, ``total`` and
    ``since``, in seconds since 1970.
    """
    app = home.app()
    return {
        "app": "" if app is None else app.name,
        "pid": os.getpid(),
        "several": several,
        "kept": len(recorder.works.all()),
        "total": recorder.works.total,
        "since": recorder.works.since,
    }


def how_many(home: Application) -> int:
    """How many resources the app may use."""
    members = t.cast("set[Decorators]", home.members)
    return sum(len(member.recipes) for member in members)


def clock(seconds: float, form: str = "%H:%M:%S") -> str:
    """The time of day, here."""
    return time.strftime(form, time.localtime(seconds))


def _resource(graph: Graph, recipe: Recipe, figures: Figures) -> Data:
    times = list(figures.build_times)
    return {
        "name": recipe.name,
        "scope": str(recipe.scope),
        "letter": LETTERS[recipe.scope],
        "place": recipe.place,
        "type": figures.type or type_name(recipe),
        "has_teardown": recipe.yields,
        "alive": figures.alive,
        "built": figures.built,
        "failed": figures.failed,
        "failed_to_close": figures.failed_to_close,
        "used": figures.used,
        "build_median_ms": ms(median(figures.build_times)),
        "build_worst_ms": ms(max(times, default=None)),
        "close_median_ms": ms(median(figures.close_times)),
        "uses": [edge.used.name for edge in graph.uses(recipe)],
        "used_by": [edge.user.name for edge in graph.used_by(recipe)],
        "overridden": bool(recipe.replacements),
    }


def _raised_or_lost(home: Application, recorder: Recorder, watch: Watch) -> Data:
    return {
        "teardowns": [
            {
                "resource": recipe.name,
                "place": recipe.place,
                "failure": figures.last_failure,
                "times": figures.failed_to_close,
                "of": figures.closed,
                "last": figures.last_failure_at,
            }
            for recipe, figures in counted(recorder).items()
            if figures.failed_to_close
        ],
        "lost_units": [
            {
                "at": lost.at,
                "objects": [
                    {"resource": each.resource, "asked_at": each.asked_at}
                    for each in lost.objects
                ],
            }
            for lost in watch.lost_units()
        ],
        "before_fork": [
            {
                "resource": each.resource,
                "place": each.place,
                "asked_at": each.asked_at,
            }
            for each in built_before_fork(home)
        ],
    }
