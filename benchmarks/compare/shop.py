"""What all contenders manage: the same classes, made by the same factories.

Annotations are evaluated here, because some contenders read them.
"""

import collections.abc as c
import dataclasses
import typing as t


class Client:
    """Lives as long as the application, and knows how to connect."""

    def __init__(self) -> None:
        self.number = 1


class OverError(Exception):
    """Used after its end."""


class Closing:
    """Lives for one request, and is closed at its end."""

    def __init__(self) -> None:
        self.number = 1
        self.open = True

    def close(self) -> None:
        self.open = False


class Db(Closing):
    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    def query(self) -> int:
        if not self.open:
            raise OverError
        return self.number


class User:
    """Lives for one request; nothing is to be closed."""

    def __init__(self, db: Db) -> None:
        self.db = db
        self.name = "Ada"


class Repository:
    def __init__(self, db: Db, user: User) -> None:
        self.db = db
        self.user = user

    def rows(self) -> int:
        return self.db.query()


def open_client() -> Client:
    return Client()


def open_db(client: Client) -> c.Iterator[Db]:
    db = Db(client)
    try:
        yield db
    finally:
        db.close()


def open_user(db: Db) -> User:
    return User(db)


def open_repository(db: Db, user: User) -> Repository:
    return Repository(db, user)


@dataclasses.dataclass(frozen=True)
class Thing:
    """One class to register: how it is made, from what, and how long it lives."""

    cls: type[t.Any]
    factory: c.Callable[..., t.Any]
    needs: tuple[str, ...] = ()
    application: bool = False

    @property
    def name(self) -> str:
        return self.cls.__name__

    @property
    def closes(self) -> bool:
        return hasattr(self.cls, "close")


GRAPH = (
    Thing(Client, open_client, application=True),
    Thing(Db, open_db, ("Client",)),
    Thing(User, open_user, ("Db",)),
    Thing(Repository, open_repository, ("Db", "User")),
)
"""The dependencies of each stand before it."""

_CLOSING = """
class {name}(Closing):
    pass

def open_{name}() -> Iterator[{name}]:
    thing = {name}()
    try:
        yield thing
    finally:
        thing.close()
"""
_PLAIN = """
class {name}:
    def __init__(self) -> None:
        self.number = 1

def open_{name}() -> {name}:
    return {name}()
"""


def many(number: int, closing: bool) -> tuple[Thing, ...]:
    """That many request-scoped classes, with a factory each, and no dependencies."""
    made = []
    for index in range(number):
        name = f"Thing{index}"
        names = {"Closing": Closing, "Iterator": c.Iterator, "__name__": __name__}
        exec((_CLOSING if closing else _PLAIN).format(name=name), names)
        factory: t.Any = names[f"open_{name}"]
        # Made when first asked for: of the factory, whoever asks.
        assert factory.__annotations__
        made.append(Thing(t.cast("type", names[name]), factory))
    return tuple(made)
