"""What type checkers know of the pytest plugin. Checked, and not run."""

from __future__ import annotations

import collections.abc as c

from flask_scopes import Scopes
from flask_scopes.pytest_plugin import ScopesOverride

scopes = Scopes()


class Client: ...


@scopes.application
def client() -> c.Iterator[Client]:
    yield Client()


@scopes.request
def numbered(number: int) -> Client:
    return Client()


def fake() -> c.Iterator[Client]:
    yield Client()


def fake_numbered(number: int) -> Client:
    return Client()


def check(scopes_override: ScopesOverride) -> None:
    scopes_override(client, Client())
    scopes_override(client, factory=Client)
    scopes_override(client, factory=fake)
    scopes_override(numbered, factory=fake_numbered)
    scopes_override(client, "client")  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not a Client
    scopes_override(client, factory=fake_numbered)  # pyright: ignore[reportCallIssue, reportArgumentType]  # takes arguments
    scopes_override(client)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]  # one of both
