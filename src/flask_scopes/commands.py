"""The group of commands ``flask scopes``."""

from __future__ import annotations

import collections.abc as c
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


def add_purge(
    app: Flask, name: str, about: str, does: str, noun: str, purge: c.Callable[[], int]
) -> None:
    """Let *app* have the command ``flask scopes <name> purge``.

    :param about: what ``flask scopes <name>`` is for; its help.
    :param does: what the command does; its help.
    :param noun: what is counted, in the singular.
    :param purge: removes what is over, and says how many there were.
    """
    made = AppGroup(name, help=about)

    @made.command("purge", help=f"{does} For SQL, run it once a day.")
    def command() -> None:
        count = purge()
        click.echo(f"Removed {count} {noun if count == 1 else f'{noun}s'}.")

    group(app).add_command(made)
