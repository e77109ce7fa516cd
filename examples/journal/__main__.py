"""`python -m journal`: open the journal on this machine, in debug mode: what lives how
long can be seen at `/_scopes/`, and commits can be made to fail."""

import os
import signal
import socket
from contextlib import suppress

import click
from werkzeug.serving import make_server

from flask_scopes import StartError

from . import create_app
from .resources import scopes
from .seed import demo
from .server import own_mongodb


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # both mean: close, please
        signal.signal(number, signal.default_int_handler)
    os.environ.setdefault("FLASK_DEBUG", "1")
    with own_mongodb(), listen() as listener:
        app = create_app({"PROPAGATE_EXCEPTIONS": False})  # show our own page
        try:
            scopes.start(app)
        except StartError as error:
            raise SystemExit(f"There is no MongoDB.\n\n{error}") from None
        host, port = listener.getsockname()
        click.echo(f"\n  The journal is open at http://{host}:{port}\n")
        for person in demo()["people"]:
            role = "  (admin)" if person.get("admin") else ""
            click.echo(f"    {person['email']}{role}")
        click.echo(f"\n  Everybody's password is {demo()['password']}")
        click.echo("  Ctrl-C closes it.\n")
        with suppress(KeyboardInterrupt):
            make_server(host, port, app, True, fd=listener.fileno()).serve_forever()
        scopes.close(app)  # its clients, while there is a server to say goodbye to


def listen() -> socket.socket:
    """The port that was asked for, or the first that is free from 5000 on."""
    asked = os.environ.get("PORT")
    for port in [int(asked)] if asked else range(5000, 5100):
        with suppress(OSError):
            return socket.create_server(("127.0.0.1", port))
    raise SystemExit(f"Port {asked or '5000 to 5099'} is taken. Set PORT to another.")


if __name__ == "__main__":
    main()
