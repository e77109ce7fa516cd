"""Who speaks of a resource, in the code of the project that it is part of."""

from __future__ import annotations

import ast
import collections.abc as c
import functools
import sys
import typing as t

from ..places import innermost
from ..places import is_ours
from . import names
from .source import is_library
from .source import module_tree

if t.TYPE_CHECKING:
    import click
    from flask import Flask

    from ..recipe import Recipe


class Mentions:
    """What is named, and called, in the packages of a project. By name alone: where
    two things have one name, either may be meant.
    """

    def __init__(self, app: Flask, recipes: c.Iterable[Recipe]) -> None:
        self._app = app
        self._recipes = list(recipes)

    def has(self, recipe: Recipe) -> bool:
        """Whether anything but its definition, and imports, speaks of *recipe*."""
        in_templates: c.Mapping[str, object] = self._app.jinja_env.globals
        return recipe.name in self._read[0] or any(
            names.recipe_in(value) is recipe for value in list(in_templates.values())
        )

    def has_only_literal_arguments(self, recipe: Recipe) -> bool:
        """Whether *recipe* is called, and each call says in full for what."""
        found = self._read[1].get(recipe.name, [])
        return bool(found) and all(
            isinstance(argument, ast.Constant)
            for call in found
            for argument in [*call.args, *(each.value for each in call.keywords)]
        )

    @functools.cached_property
    def _read(self) -> tuple[set[str], dict[str, list[ast.Call]]]:
        named: set[str] = set()
        called: dict[str, list[ast.Call]] = {}
        for tree in self._trees():
            for node in ast.walk(tree):
                named |= _named(node)
                if isinstance(node, ast.Call):
                    for name in _named(node.func):
                        called.setdefault(name, []).append(node)
        return named, called

    def _trees(self) -> c.Iterator[ast.Module]:
        packages = {_package(recipe.factory) for recipe in self._recipes}
        packages |= {_package(view) for view in self._app.view_functions.values()}
        packages |= {_package(each) for each in _commands(self._app.cli)}
        files = {
            str(getattr(module, "__file__", None) or "")
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in packages
        }
        for file in sorted(files):
            tree = None if is_library(file) or is_ours(file) else module_tree(file)
            if tree is not None:
                yield tree


def _package(function: object) -> str:
    if not callable(function):
        return ""
    module: object = getattr(innermost(function), "__module__", None)
    return str(module or "").partition(".")[0]


def _commands(group: click.Group) -> c.Iterator[object]:
    for command in group.commands.values():
        yield command.callback
        inner: dict[str, click.Command] = getattr(command, "commands", {})
        yield from (each.callback for each in inner.values())


def _named(node: ast.AST) -> set[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
            return {name}
        case ast.Constant(value=str(text)):
            # For `getattr`, and a look-up by name.
            return {text}
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            return {
                alias.name
                for each in ast.walk(node)
                if isinstance(each, ast.ImportFrom)
                for alias in each.names
            }
        case _:
            return set()
