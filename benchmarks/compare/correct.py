"""Nobody is timed who does not do the work: what holds for every contender."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t

from .serving import GRAPH_VIEWS
from .serving import Serving
from .shop import GRAPH
from .shop import Db
from .shop import User

if t.TYPE_CHECKING:
    from .contenders import Contender

Events = list[tuple[str, object]]


@contextlib.contextmanager
def _watched() -> c.Iterator[Events]:
    """What is opened, used and closed within the block."""
    events: Events = []
    with contextlib.ExitStack() as restored:
        for cls, method, event in [
            (Db, "__init__", "opened"),
            (Db, "query", "used"),
            (Db, "close", "closed"),
        ]:
            original = getattr(cls, method)

            def noted(
                self: object,
                *args: object,
                _original: c.Callable[..., t.Any] = original,
                _event: str = event,
            ) -> t.Any:
                events.append((_event, self))
                return _original(self, *args)

            setattr(cls, method, noted)
            restored.callback(setattr, cls, method, original)
        yield events


def check(contender: Contender) -> None:
    """
    :raises AssertionError: a contender does something else than the others.
    """
    serving = Serving(contender, GRAPH, GRAPH_VIEWS)
    _check_identity(serving, closes=contender.serves)
    if contender.serves:
        _check_request(serving, "db", b"ok", ["Db"])
        _check_request(serving, "graph", b"Ada", ["Db"])
        _check_request(serving, "fails", None, ["Db"])
        with _watched() as events:
            serving.request("empty")
        assert events == [], f"{serving.name}: nothing was asked for"


def _check_identity(serving: Serving, closes: bool) -> None:
    seen: list[tuple[object, Db]] = []

    def look(client: object, db: Db) -> None:
        assert serving.ask("Client") is client, serving.name
        assert serving.ask("Db") == db, serving.name
        assert db.client is client or _is_proxy(client), serving.name
        assert db.open, serving.name
        seen.append((serving.ask("Client"), db))

    for _ in range(2):
        serving.while_holding(look)
    (client, first), (again, second) = seen
    assert client is again, f"{serving.name}: the client is kept"
    if closes and not _is_proxy(first):
        assert first is not second, f"{serving.name}: each request has its own"
    serving.while_holding(lambda db, user: _check_user(serving, db, user), "two")


def _check_user(serving: Serving, db: Db, user: User) -> None:
    assert user.db == db, f"{serving.name}: the user is built from the request's db"
    assert serving.ask("User") == user, serving.name


def _is_proxy(thing: object) -> bool:
    return type(thing).__name__ == "LocalProxy"


def _check_request(
    serving: Serving, path: str, body: bytes | None, opened: list[str]
) -> None:
    """Twice: each opens its own, uses it, then closes it, once; and nothing else."""
    all_opened = []
    for _ in range(2):
        with _watched() as events:
            answer = serving.request(path)
        assert body is None or answer == body, f"{serving.name}: {path}: {answer!r}"
        by_object: dict[int, list[str]] = {}
        for event, thing in events:
            by_object.setdefault(id(thing), []).append(event)
            all_opened += [thing] if event == "opened" else []
        names = [type(thing).__name__ for event, thing in events if event == "opened"]
        assert sorted(names) == sorted(opened), f"{serving.name}: {path}: {names}"
        for order in by_object.values():
            used = order[1:-1]
            assert order[0] == "opened", f"{serving.name}: {path}: {order}"
            assert order[-1] == "closed", f"{serving.name}: {path}: {order}"
            assert set(used) <= {"used"}, f"{serving.name}: {path}: {order}"
    # Kept in the list, so that no two have one address.
    ids = {id(thing) for thing in all_opened}
    assert len(ids) == 2 * len(opened), f"{serving.name}: each request has its own"
