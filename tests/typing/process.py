"""What type checkers make of options and pings. Checked by mypy and pyright, never
run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask

from flask_scopes import Ping
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.health import health

scopes = Scopes()
app = flask.Flask(__name__)


class Client:
    def is_well(self) -> bool:
        return True


def ping(client: Client) -> None: ...


@scopes.application(eager=True, fork="share", ping=ping)
def yielded() -> c.Iterator[Client]:
    yield Client()


@scopes.application(check=Client.is_well, every=0.5)
def returned(name: str, *, port: int = 1) -> Client:
    return Client()


@scopes.application()
def plain() -> Client | None:
    return None


t.assert_type(yielded, Resource[[], Client])
t.assert_type(yielded(), Client)
t.assert_type(returned("a", port=2), Client)
t.assert_type(plain(), Client | None)
t.assert_type(scopes.pings(app, timeout=1, build=True), list[Ping])
t.assert_type(scopes.pings()[0].seconds, float | None)
t.assert_type(health(scopes, timeout=1), flask.Blueprint)
t.assert_type(scopes.start(app), None)
returned(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scopes.application(fork="keep")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scopes.application(eagr=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
scopes.application(ping="ping")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]

if t.TYPE_CHECKING:
    # An override is typed like the resource.
    with yielded.override(Client()):
        pass
    with yielded.override("client"):  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        pass
