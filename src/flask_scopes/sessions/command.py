"""``flask scopes sessions purge``."""

from __future__ import annotations

import collections.abc as c

import click
from flask.cli import AppGroup


def command_for(purge_now: c.Callable[[], int]) -> click.Group:
    """The commands about sessions.

    :param purge_now: removes those that are over, and says how many there were.
    """
    group = AppGroup("sessions", help="Look after the sessions on the server.")

    @group.command("purge")
    def purge() -> None:
        """Remove sessions that are over.

        MongoDB and Redis do that by themselves. For SQL, run it once a day.
        """
        count = purge_now()
        click.echo(f"Removed {count} {'session' if count == 1 else 'sessions'}.")

    return group
