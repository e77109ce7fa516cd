"""What type checkers make of the end of a unit. Checked by mypy and pyright, never
run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

import flask

from flask_scopes import CommitFailed
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes import UnitFailed

scopes = Scopes()
app = flask.Flask(__name__)


class Client: ...


@scopes.request(until="sent")
def yielded() -> c.Iterator[Client]:
    yield Client()


@scopes.request(until="sent")
def returned(name: str) -> Client | None:
    return None


t.assert_type(yielded, Resource[[], Client])
t.assert_type(yielded(), Client)
t.assert_type(returned("a"), Client | None)
returned(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scopes.request(until="later")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@app.get("/<name>")
@scopes.commit_on(401, 422)
def view(name: str) -> tuple[str, int]:
    return name, 401


@app.get("/later/<name>")
@scopes.retry(3, on=LookupError)
async def later(name: str) -> str:
    return name


t.assert_type(view("a"), tuple[str, int])
view(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scopes.commit_on("401")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scopes.retry(3, on=int)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
scopes.retry(3, on=(LookupError, OSError), max_body=10)
scopes.retry()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

t.assert_type(scopes.unit(), contextlib.AbstractContextManager[None])
t.assert_type(scopes.doom("why"), None)
t.assert_type(scopes.after_commit(lambda: 1), None)
scopes.after_commit(view)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def use() -> None:
    t.assert_type(await later("a"), str)


@app.errorhandler(CommitFailed)
def handle(error: CommitFailed) -> str:
    t.assert_type(error.cause, Exception)
    t.assert_type(error.committed, tuple[str, ...])
    return error.resource


def status_of(error: UnitFailed) -> None:
    t.assert_type(error.status, int | None)
