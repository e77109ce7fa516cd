"""What only shows when objects are made: ``flask scopes check --build --ping``."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .. import weak
from ..errors import CycleError
from ..errors import ScopeMismatchError
from ..lookup import find
from ..messages import in_short
from ..scope import Scope
from .finding import Finding

if t.TYPE_CHECKING:
    from flask import Flask

    from ..application import Application
    from ..extension import Scopes
    from ..recipe import Recipe


def build(app: Flask, recipes: c.Iterable[Recipe]) -> c.Iterator[Finding]:
    """Build the application objects that take no arguments; report what cannot be."""
    with app.app_context():
        for recipe in recipes:
            if recipe.scope is not Scope.APPLICATION or recipe.signature is not None:
                continue
            try:
                find(recipe, (), {})
            except Exception as error:
                advice = "See what its factory needs: settings, or a server that is up."
                if isinstance(error, CycleError):
                    advice = "See S102: it needs itself."
                elif isinstance(error, ScopeMismatchError):
                    advice = "See S101: it would keep what lives shorter."
                yield Finding(
                    "S114",
                    "error",
                    recipe.name,
                    recipe.place,
                    f"{recipe.name} could not be built: {_why(error)}",
                    advice,
                )


def ping(app: Flask, *, build: bool) -> c.Iterator[Finding]:
    """Ask the application objects that have a ``ping`` whether they are well.

    :param build: whether to build, and ask, what nobody has used yet.
    """
    home: Application = app.extensions["scopes"]
    for member in t.cast("set[Scopes]", home.members):
        places = {recipe.name: recipe.place for recipe in weak.keys(member.recipes)}
        for each in member.pings(app, build=build):
            if each.is_well:
                continue
            why = "it did not answer in time" if each.status == "late" else "it says so"
            if each.error is not None:
                why = _why(each.error)
            yield Finding(
                "S115",
                "error",
                each.name,
                places.get(each.name, ""),
                f"{each.name} is not well: {why}",
                "See whether what it is connected to is up, and can be reached.",
            )


def _why(error: BaseException) -> str:
    """The first sentence of *error*, to be part of another."""
    return in_short(error).removesuffix(" ...").rstrip(".")
