"""What type checkers make of resources. Checked by mypy and pyright, never run.

An ignore that is not needed is an error in both, so each one here says that the
line is refused.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from flask_scopes import Resource
from flask_scopes import Scopes

scopes = Scopes()
T = t.TypeVar("T")


class Client: ...


class Mailer(t.Protocol):
    def send(self, text: str) -> None: ...


class Smtp:
    def send(self, text: str) -> None: ...


class Box(t.Generic[T]):
    def __init__(self, content: T) -> None:
        self.content = content


@scopes.application
def yielded() -> c.Iterator[Client]:
    yield Client()


@scopes.request
def generated() -> c.Generator[Client, None, None]:
    yield Client()


@scopes.application
def returned() -> Client:
    return Client()


@scopes.request
def optional() -> Client | None:
    return None


@scopes.request
def yielded_optional() -> c.Iterator[Client | None]:
    yield None


@scopes.application
def protocol() -> Mailer:
    return Smtp()


@scopes.application
def yielded_protocol() -> c.Iterator[Mailer]:
    yield Smtp()


@scopes.request
def generic() -> Box[list[int]]:
    return Box([1])


@scopes.request
def with_arguments(name: str, *, size: int = 1) -> c.Iterator[Box[str]]:
    yield Box(name * size)


built = scopes.request(Client)

t.assert_type(yielded(), Client)
t.assert_type(generated(), Client)
t.assert_type(returned(), Client)
t.assert_type(optional(), Client | None)
t.assert_type(yielded_optional(), Client | None)
t.assert_type(protocol(), Mailer)
t.assert_type(yielded_protocol(), Mailer)
t.assert_type(generic(), Box[list[int]])
t.assert_type(with_arguments("a", size=2), Box[str])
t.assert_type(built(), Client)
t.assert_type(built, Resource[[], Client])
t.assert_type(yielded.__name__, str)
t.assert_type(
    yielded.override(Client()), contextlib.AbstractContextManager[None, bool | None]
)


def wants_a_callable(make: c.Callable[[], Client]) -> None: ...


wants_a_callable(yielded)


def fake() -> c.Iterator[Client]:
    yield Client()


def fake_box(name: str, *, size: int = 1) -> Box[str]:
    return Box(name)


with yielded.override(Client()), yielded.override(factory=Client):
    pass
with yielded.override(factory=fake), with_arguments.override(factory=fake_box):
    pass
with optional.override(None), protocol.override(Smtp()):
    pass

# Refused:

yielded("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # takes none
with_arguments()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # name is missing
with_arguments(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # not a str
with_arguments("a", 2)  # type: ignore[misc, call-arg, unused-ignore]  # pyright: ignore[reportCallIssue]  # size goes by name
_ = optional().send  # type: ignore[union-attr]  # pyright: ignore  # it may be None
yielded.override("a")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not a Client
yielded.override(factory=fake_box)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]  # takes arguments
scopes.request(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not a function
