"""``flask scopes sessions purge``."""

from __future__ import annotations

import typing as t

import click
from flask.cli import AppGroup

if t.TYPE_CHECKING:
    from .extension import ServerSessions


def command_for(sessions: ServerSessions) -> click.Group:
    """The commands about *sessions*."""
    group = AppGroup("sessions", help="Look after the sessions on the server.")

    @group.command("purge")
    def purge() -> None:
        """Remove sessions that are over.

        MongoDB and Redis do that by themselves. For SQL, run it once a day.
        """
        count = sessions.purge()
        click.echo(f"Removed {count} {'session' if count == 1 else 'sessions'}.")

    return group
