"""What the library says where no app of the tests brings it about: made here, to be
compared with the page "Errors".
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import importlib
import pathlib
import sys
import types
import typing as t

import flask
import pytest

from flask_scopes import Scopes
from flask_scopes import embedded
from flask_scopes import extras
from flask_scopes import messages
from flask_scopes import process_messages
from flask_scopes import session_messages
from flask_scopes import unit_messages
from flask_scopes.building import Build
from flask_scopes.checks import assert_production_ready
from flask_scopes.inspector.announcing import _text as where_it_is
from flask_scopes.look import live
from flask_scopes.mongo import indexes
from flask_scopes.mongo import messages as mongo
from flask_scopes.pytest_plugin import ScopesOverride
from flask_scopes.pytest_plugin import _no_reason
from flask_scopes.pytest_plugin import messages as left
from flask_scopes.pytest_plugin import pytest_configure
from flask_scopes.pytest_plugin import units
from flask_scopes.scope import Scope
from flask_scopes.sessions import messages as sessions
from flask_scopes.sqlalchemy import messages as sql
from flask_scopes.teardown import raise_together

P = "shop.py:10"
FULL = OSError("the disk is full")


class Shop:
    """Stands for the recipe of a resource in texts."""

    place = P
    signature = None

    def __init__(self, name: str, scope: Scope) -> None:
        self.name, self.scope = name, scope

    def __repr__(self) -> str:
        return f"<{self.scope} resource {self.name} at {self.place}>"


MONGO: t.Any = Shop("mongo", Scope.APPLICATION)
CART: t.Any = Shop("cart", Scope.SESSION)
ORDER: t.Any = Shop("order", Scope.REQUEST)


def raised(use: c.Callable[[], object]) -> str:
    """What *use* raises; of a group, without the number of those in it."""
    try:
        use()
    except (Exception, pytest.fail.Exception) as error:
        return str(getattr(error, "message", error))
    raise AssertionError


def notes(use: c.Callable[[OSError], object]) -> str:
    error = OSError("the disk is full")
    with contextlib.suppress(ExceptionGroup):
        use(error)
    return error.__notes__[0]


def together(error: Exception) -> None:
    raise_together([(Build(ORDER, ORDER, None), error)])


def not_installed() -> None:
    with extras.brought_by("session", "msgspec", "@scopes.session works with msgspec"):
        raise ModuleNotFoundError(name="msgspec")


def not_ready() -> None:
    app = flask.Flask("shop")
    Scopes(app)
    app.debug = True
    assert_production_ready(app)


def inspected() -> None:
    app = flask.Flask("shop")
    app.config["SCOPES_INSPECTOR"] = True
    Scopes(app)


def fixed_interface() -> str:
    return str(unit_messages.fixed_interface("shop", flask.Flask))


def left_open() -> str:
    thing = types.SimpleNamespace(resource="cart", place=P, asked_at=P)
    open_one = types.SimpleNamespace(objects=[thing], is_lost=False, pushed_at=P)
    return left.left_behind([t.cast(t.Any, open_one)], [])


def still_referenced() -> str:
    leak = types.SimpleNamespace(
        resource="cart", place=P, asked_at=P, type="Cart", holders=[]
    )
    return left.left_behind([], [t.cast(t.Any, leak)])


def no_app() -> None:
    def missing(name: str) -> None:
        # What it is usually made with is pytest's own request.
        error = pytest.FixtureLookupError.__new__(pytest.FixtureLookupError)
        error.argname = name
        raise error

    node = types.SimpleNamespace(nodeid="test_shop.py::test_cart")
    request = types.SimpleNamespace(getfixturevalue=missing, node=node)
    units._app_of(t.cast(t.Any, request))


def bad_leaks_option() -> None:
    config = types.SimpleNamespace(
        addinivalue_line=lambda *line: None, getini=lambda name: "yes"
    )
    pytest_configure(t.cast(t.Any, config))


def no_such_resource() -> str:
    app = flask.Flask("shop")
    scopes = Scopes(app)

    @scopes.request
    def cart() -> int:
        return 1

    output: str = app.test_cli_runner().invoke(args=["scopes", "list", "crat"]).output
    return output.rpartition("Error: ")[2].strip()


def started(folder: pathlib.Path) -> None:
    with embedded.mongod(folder):
        pass


def on_windows(patch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    patch.setattr(sys, "platform", "win32")
    started(folder)


def without_pymongo(patch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    patch.setattr(importlib.util, "find_spec", lambda name: None)
    started(folder)


def with_no_program(patch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    patch.setenv("MONGOD", f"{folder / 'none'}")
    started(folder)


def without_a_program(patch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    patch.delenv("MONGOD", raising=False)
    patch.setenv("PATH", f"{folder}")
    patch.setattr(embedded, "_WHEELS", ())
    started(folder)


def with_a_file_for_a_folder(patch: pytest.MonkeyPatch, folder: pathlib.Path) -> None:
    (folder / "file").write_text("")
    started(folder / "file")


EMBEDDED: dict[str, list[c.Callable[[pytest.MonkeyPatch, pathlib.Path], None]]] = {
    "mongodb-no-server-program": [
        without_a_program,
        on_windows,
        without_pymongo,
        with_no_program,
    ],
    "mongodb-folder-in-use": [with_a_file_for_a_folder],
}
"""What needs another machine, by its heading."""

TEXTS: dict[str, c.Callable[[], object]] = {
    "fixed-interface": fixed_interface,
    "not-in-debug-mode": lambda: raised(inspected),
    "not-installed": lambda: raised(not_installed),
    "no-request": lambda: messages.no_request(MONGO),
    "cannot-be-committed": lambda: unit_messages.refused(ORDER, FULL, []),
    "failed-by-status": lambda: unit_messages.failed_by_status(422),
    "doomed": lambda: unit_messages.doomed("a dry run"),
    "dropped": unit_messages.dropped,
    "already-failed": unit_messages.already_failed,
    "unit-left": process_messages.unit_left,
    "teardown-failed": lambda: raised(lambda: together(FULL)),
    "raised-when-torn-down": lambda: notes(together),
    "raised-before-anything-was-committed": lambda: notes(
        lambda error: unit_messages.refused(ORDER, error, [])
    ),
    "too-large-to-retry": lambda: unit_messages.too_large_to_retry(1024),
    "old-shape": lambda: session_messages.old_shape(
        CART, "Expected `array`, got `str`"
    ),
    "mongodb-index-declared-twice": lambda: indexes.declared_twice(
        "posts", "slug_1", [P]
    ),
    "mongodb-not-in-a-transaction": lambda: mongo.not_in_a_transaction(P),
    "mongodb-needs-replica-set": lambda: mongo.needs_replica_set(P),
    "mongodb-other-client": lambda: mongo.other_client(P),
    "mongodb-swallowed": mongo.swallowed,
    "mongodb-not-ready": lambda: embedded._failed(pathlib.Path("instance"), "exited"),
    "sql-swallowed": sql.swallowed,
    "sql-closed-by-hand": sql.closed_by_hand,
    "sessions-not-secure": sessions.not_secure,
    "left-open": left_open,
    "still-referenced": still_referenced,
    "no-reason": lambda: _no_reason(
        t.cast(t.Any, types.SimpleNamespace(nodeid="test_shop.py::test_cart"))
    ),
    "no-app": lambda: raised(no_app),
    "cannot-roll-back": lambda: units._not_taken("MongoClient", FULL),
    "no-resource": lambda: raised(
        lambda: ScopesOverride(contextlib.ExitStack())(t.cast(t.Any, len), 1)
    ),
    "bad-leaks-option": lambda: raised(bad_leaks_option),
    "not-ready-for-production": lambda: raised(not_ready),
    "no-such-resource": no_such_resource,
    "not-live": lambda: raised(lambda: live.ask("http://example.org")),
    "inspector-is-on": lambda: where_it_is(
        t.cast(t.Any, types.SimpleNamespace(guard=types.SimpleNamespace(key=""))),
        "http://127.0.0.1:5000",
    ),
}
"""By the heading of each."""
