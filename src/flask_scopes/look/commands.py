"""``flask scopes list``, ``graph`` and ``check``: what there is, who uses whom, and
what is wrong. None of them calls a factory, but for ``check --build`` and ``--ping``.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import difflib
import typing as t

import click
import flask
from flask.cli import with_appcontext

from ..graph import formats as graph_formats
from ..graph import graph_of
from ..graph import text as graph_text
from ..graph.formats import printed
from ..scope import Scope
from . import listing as look_list
from . import text as look_text

if t.TYPE_CHECKING:
    from ..graph import Graph
    from ..recipe import Recipe

_AS_JSON: t.Final = click.option("--json", "as_json", is_flag=True, help="As data.")
_SCOPES: t.Final = [str(scope) for scope in Scope]


@click.command("list")
@click.argument("names", nargs=-1)
@click.option("--scope", type=click.Choice(_SCOPES), help="Only those of one scope.")
@click.option(
    "--sort",
    type=click.Choice(["scope", "name", "defined"]),
    default="scope",
    help="In which order; by default the longest life first.",
)
@click.option("--live", metavar="URL", help="Ask a server on this machine as well.")
@_AS_JSON
@with_appcontext
def list_command(
    names: tuple[str, ...],
    scope: str | None,
    sort: str,
    live: str | None,
    as_json: bool,
) -> None:
    """List the resources; with NAMES, tell all of these."""
    graph = graph_of(_app())
    recipes = _chosen(graph, names) or look_list.ordered(graph, sort)
    recipes = [each for each in recipes if scope in (None, str(each.scope))]
    alive = None if live is None else _ask(live)
    if as_json:
        click.echo(printed(look_list.data(graph, recipes, alive)))
    elif names:
        click.echo("\n\n".join(look_list.in_full(graph, each) for each in recipes))
    else:
        click.echo(look_list.text(graph, recipes, alive))


@click.command("graph")
@click.argument("names", nargs=-1)
@click.option("--reverse", is_flag=True, help="Who uses it, not what it uses.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "mermaid", "dot", "json"]),
    default="text",
    help="Mermaid is drawn by GitHub; DOT by 'dot -Tsvg'.",
)
@_AS_JSON
@with_appcontext
def graph_command(
    names: tuple[str, ...], reverse: bool, shape: str, as_json: bool
) -> None:
    """Draw what each resource uses; with NAMES, only what these do."""
    graph = graph_of(_app())
    roots = _chosen(graph, names)
    if roots:
        graph = graph.around(roots, reverse=reverse)
    if as_json or shape == "json":
        click.echo(printed(graph_formats.data(graph)))
    elif shape == "mermaid":
        click.echo(graph_formats.mermaid(graph))
    elif shape == "dot":
        click.echo(graph_formats.dot(graph))
    else:
        click.echo(graph_text.tree(graph, roots, reverse=reverse))


@click.command("check")
@click.option("--build", is_flag=True, help="Build the application objects, too.")
@click.option("--ping", is_flag=True, help="Ask them whether they are well, too.")
@_AS_JSON
@with_appcontext
def check_command(build: bool, ping: bool, as_json: bool) -> None:
    """Look for mistakes in the resources. Exits with 1 if there are errors."""
    from .. import checks
    from ..checks import of_run as checks_run

    app = _app()
    found = [
        *(checks_run.build(app, graph_of(app).recipes) if build else ()),
        *(checks_run.ping(app, build=build) if ping else ()),
    ]
    graph = graph_of(app)
    found = checks.in_order([*found, *checks.findings(app, graph)])
    if as_json:
        click.echo(printed(look_text.data(found)))
    else:
        for each in found:
            click.echo(look_text.report(each))
        click.echo("\n" * bool(found) + look_text.read(graph))
        click.echo(look_text.conclusion(found, build=build, ping=ping))
    if any(each.level == "error" for each in found):
        click.get_current_context().exit(1)


def _app() -> flask.Flask:
    app = flask.current_app
    return t.cast("flask.Flask", t.cast("t.Any", app)._get_current_object())


def _chosen(graph: Graph, names: c.Iterable[str]) -> list[Recipe]:
    """
    :raises UsageError: there is none of that name.
    """
    chosen: dict[Recipe, None] = {}
    for name in names:
        found = graph.named(name)
        if not found:
            every = [recipe.name for recipe in graph.recipes]
            close = difflib.get_close_matches(name, every, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            message = f"There is no resource {name!r}.{hint}"
            raise click.UsageError(message)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _ask(url: str) -> look_list.Live:
    # Not above: hardly anybody asks.
    from . import live

    try:
        return live.ask(url)
    except live.NotLive as error:
        message = f"{error}."
        raise click.UsageError(message) from None


def add_to(group: click.Group) -> None:
    for command in (list_command, graph_command, check_command):
        # One of the app's own stays.
        with contextlib.suppress(ValueError):
            group.commands.setdefault(t.cast("str", command.name), command)
