"""The group of commands ``flask scopes``."""

from __future__ import annotations

import collections.abc as c
import typing as t

import click
from flask.cli import AppGroup

if t.TYPE_CHECKING:
    from flask import Flask

_NAME: t.Final = "scopes"


class Group(AppGroup):
    """``flask scopes``; by itself it lists the resources. What looks at them is
    imported when a command is run, or asked for help: apps that serve need none of it.
    """

    def __init__(self) -> None:
        about = "Look at, and look after, what Flask-Scopes keeps."
        super().__init__(_NAME, help=about, invoke_without_command=True)
        self.callback = _list

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        _add_what_looks(self)
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        _add_what_looks(self)
        return super().list_commands(ctx)


@click.pass_context
def _list(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        from .look.commands import list_command

        ctx.invoke(list_command)


def _add_what_looks(group: click.Group) -> None:
    from .look import commands as commands_look

    commands_look.add_to(group)


def group(app: Flask) -> click.Group:
    """The commands ``flask scopes ...`` of *app*; made when it is first asked for, and
    lives as long as the app. A group that the app had by that name gets ours as well.
    """
    known = app.cli.commands.get(_NAME)
    if isinstance(known, click.Group):
        if not isinstance(known, Group):
            _add_what_looks(known)
        return known
    made = Group()
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
