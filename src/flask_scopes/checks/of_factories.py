"""What is wrong with single factories: what they return, and what their code does."""

from __future__ import annotations

import ast
import collections.abc as c
import enum
import inspect
import types
import typing as t

from ..graph import source
from ..graph.mentions import Mentions
from ..graph.returns import class_of
from ..graph.returns import type_of
from ..graph.uses import function_of
from ..graph.uses import parts_of
from ..recipe import UNSET
from ..renewal import Checked
from ..scope import Scope
from .finding import Finding
from .of_graph import is_made_for_user

if t.TYPE_CHECKING:
    from flask import Flask

    from ..application import Application
    from ..graph import Graph
    from ..graph.uses import Reading
    from ..recipe import Recipe

_COMMITS: t.Final = (
    "begin",
    "start_transaction",
    "transaction",
    "atomic",
    "commit",
)


def look(app: Flask, graph: Graph) -> c.Iterator[Finding]:
    mentions = Mentions(app, graph.recipes)
    for recipe in graph.recipes:
        if is_made_for_user(recipe):
            continue
        reading = graph.readings[recipe]
        yield from _never_closed(app, recipe, reading)
        yield from _after_yield(recipe)
        yield from _late_commit(recipe, reading)
        yield from _without_bound(recipe, mentions)
        yield from _unused(app, recipe, graph, mentions)


def _never_closed(app: Flask, recipe: Recipe, reading: Reading) -> c.Iterator[Finding]:
    if recipe.yields or recipe.scope is Scope.SESSION or reading.only_hands_on:
        return
    kind = class_of(type_of(recipe)) or _type_built(app, recipe)
    closes = _closes(kind)
    if kind is None or not closes:
        return
    by_hand = closes.strip("_") == closes
    yield Finding(
        "S104",
        "warn",
        recipe.name,
        recipe.place,
        f"{recipe.name} returns {kind.__name__}, which has {closes}(), but the factory"
        " returns it: nothing will close it",
        f"Use yield, then {closes}()." if by_hand else "Use a with, and yield in it.",
    )


def _closes(kind: type[t.Any] | None) -> str:
    """The method of *kind* that ends its objects; empty if there is none."""
    for name in ("close", "aclose"):
        if callable(getattr(kind, name, None)):
            return name
    # A lock is entered for a moment, again and again.
    if kind is None or hasattr(kind, "acquire"):
        return ""
    return next((each for each in ("__exit__", "__aexit__") if hasattr(kind, each)), "")


def _type_built(app: Flask, recipe: Recipe) -> type[t.Any] | None:
    """That of an object that is there, for a factory that does not say."""
    if recipe.scope is not Scope.APPLICATION:
        return None
    home: Application = app.extensions["scopes"]
    made = home.store().objects.get(recipe, UNSET)
    made = made.value if isinstance(made, Checked) else made
    return None if made is UNSET else t.cast("type[t.Any]", type(made))


def _after_yield(recipe: Recipe) -> c.Iterator[Finding]:
    plain = function_of(recipe.factory)
    if recipe.scope is Scope.APPLICATION or not recipe.yields or plain is None:
        return
    function, _ = parts_of(plain)
    node = source.function_node(function.__code__)
    if not isinstance(node, ast.FunctionDef):
        return
    loose = _loose(node.body)
    if loose is not None:
        yield Finding(
            "S111",
            "warn",
            recipe.name,
            source.place(function.__code__.co_filename, loose.lineno),
            f"{recipe.name} has code after its yield that does not run when the"
            f" {'unit' if recipe.scope is Scope.SENT else 'request'} fails",
            "The error is raised at the yield. Let it stand in a with, or in try: ..."
            " finally: ...",
        )


def _loose(body: c.Sequence[ast.stmt]) -> ast.stmt | None:
    """The first statement after the yield in *body*, unless something guards that."""
    for index, statement in enumerate(body):
        if not _has_yield(statement):
            continue
        if _guards(statement):
            return None
        for inner in _blocks(statement):
            if any(map(_has_yield, inner)):
                found = _loose(inner)
                if found is not None:
                    return found
                if any(_guards(each) for each in inner if _has_yield(each)):
                    return None
        rest = [each for each in body[index + 1 :] if not _is_nothing(each)]
        return rest[0] if rest else None
    return None


def _has_yield(node: ast.AST) -> bool:
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return True
    if isinstance(node, source.FUNCTIONS):
        return False
    return any(map(_has_yield, ast.iter_child_nodes(node)))


def _guards(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.With):
        return True
    if isinstance(statement, ast.Try):
        return bool(statement.finalbody) or any(map(_has_yield, statement.body))
    return False


def _blocks(statement: ast.stmt) -> c.Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for name in ("handlers", "cases"):
        for each in getattr(statement, name, []):
            yield each.body


def _is_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return | ast.Expr):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass | ast.Delete)


def _late_commit(recipe: Recipe, reading: Reading) -> c.Iterator[Finding]:
    found = [name for name in _COMMITS if name in reading.called]
    if recipe.scope is Scope.SENT and found:
        yield Finding(
            "S112",
            "warn",
            recipe.name,
            reading.called[found[0]],
            f'{recipe.name} lives until="sent" and calls {found[0]}(): it commits after'
            " the response has left",
            "If the commit fails, nobody can be told. Write in a request resource, and"
            ' keep until="sent" for what is read while sending.',
        )


def _without_bound(recipe: Recipe, mentions: Mentions) -> c.Iterator[Finding]:
    if recipe.scope is not Scope.APPLICATION or recipe.signature is None:
        return
    hints = _hints(recipe)
    loose = [
        parameter
        for parameter in recipe.signature.parameters.values()
        if _is_variable(parameter) or not _is_bounded(hints.get(parameter.name))
    ]
    if not loose or mentions.has_only_literal_arguments(recipe):
        return
    names = ", ".join(str(each.replace(annotation=each.empty)) for each in loose)
    yield Finding(
        "S113",
        "warn",
        recipe.name,
        recipe.place,
        f"{recipe.name} keeps one object for each distinct {names} until the"
        " application is closed",
        "If that comes from requests, there is no end of them. Make it request scoped,"
        " or annotate what it takes as an Enum or a Literal.",
    )


def _hints(recipe: Recipe) -> dict[str, object]:
    plain = function_of(recipe.factory)
    try:
        return {} if plain is None else t.get_type_hints(parts_of(plain)[0])
    except Exception:
        # It names something that is imported for type checkers alone.
        return {}


def _is_variable(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _is_bounded(annotation: object) -> bool:
    if t.get_origin(annotation) in (t.Union, types.UnionType):
        return all(map(_is_bounded, t.get_args(annotation)))
    if isinstance(annotation, type):
        few = (enum.Enum, bool, types.NoneType)
        return issubclass(annotation, few)
    return t.get_origin(annotation) is t.Literal


def _unused(
    app: Flask, recipe: Recipe, graph: Graph, mentions: Mentions
) -> c.Iterator[Finding]:
    home: Application = app.extensions["scopes"]
    stores = list(home.stores.values())
    was_built = any(build.recipe is recipe for s in stores for build in list(s.built))
    # What is eager is there for what building it does.
    if was_built or recipe.options.eager or graph.used_by(recipe):
        return
    if not mentions.has(recipe):
        yield Finding(
            "S107",
            "note",
            recipe.name,
            recipe.place,
            f"{recipe.name} is mentioned by no view, command or resource",
            "Remove it, or see why what is to use it does not.",
        )
