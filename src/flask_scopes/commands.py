"""The group of commands ``flask scopes``."""

from __future__ import annotations

import typing as t

import click
from flask.cli import AppGroup

if t.TYPE_CHECKING:
    from flask import Flask

_NAME: t.Final = "scopes"


def group(app: Flask) -> click.Group:
    """The commands ``flask scopes ...`` of *app*; made when it is first asked for, and
    lives as long as the app. A group that the app had by that name gets ours as well.
    """
    known = app.cli.commands.get(_NAME)
    if isinstance(known, click.Group):
        return known
    made = AppGroup(_NAME, help="Look at, and look after, what Flask-Scopes keeps.")
    if known is None:
        app.cli.add_command(made)
    # Otherwise it is a command of the app's own, which we must not take away.
    return made
