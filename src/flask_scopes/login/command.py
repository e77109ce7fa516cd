"""``flask scopes login purge``."""

from __future__ import annotations

import collections.abc as c

import click
from flask.cli import AppGroup


def command_for(purge_now: c.Callable[[], int]) -> click.Group:
    """The commands about signing in.

    :param purge_now: removes records that are over, and says how many there were.
    """
    group = AppGroup("login", help="Look after attempts, devices and tokens.")

    @group.command("purge")
    def purge() -> None:
        """Remove attempts, devices and tokens that are over.

        MongoDB does that by itself. For SQL, run it once a day.
        """
        count = purge_now()
        click.echo(f"Removed {count} {'record' if count == 1 else 'records'}.")

    return group
