"""The fixture ``unit``: all that a test does in databases is rolled back."""

from __future__ import annotations

import collections.abc as c
import contextlib
import importlib
import sys
import typing as t

import flask
import pytest

from .. import events
from ..ending import own_unit
from ..errors import UnitFailed
from ..lookup import open_unit
from ..renewal import Checked
from ..scope import Scope

if t.TYPE_CHECKING:
    from ..application import Application
    from ..building import Build
    from ..events import Took
    from ..store import Store

_KINDS: t.Final = {
    ("sqlalchemy.engine", "Engine"): "..sqlalchemy.testing",
    ("pymongo", "MongoClient"): "..mongo.testing",
}
"""What is taken, by where it is imported from, and what takes it: ``rolled_back`` in
that module, with the object.
"""


@contextlib.contextmanager
def rolled_back(request: pytest.FixtureRequest) -> c.Generator[None, None, None]:
    """Run the block in a unit on the app of *request*, and roll back at its end what
    was done with its engines and clients, in that unit or any other.
    """
    app = _app_of(request)
    home: Application = app.extensions["scopes"]
    with contextlib.ExitStack() as stack:
        taker = _Taker(stack)
        for made in list(home.store().objects.values()):
            taker.take(made.value if type(made) is Checked else made)
        home.events.add(taker)
        stack.callback(home.events.remove, taker)
        with own_unit(app):
            yield
            unit = open_unit()
            if unit is not None:
                # Its own commit would only be taken back, and may fail.
                unit.doomed = UnitFailed("the test is over")


def _app_of(request: pytest.FixtureRequest) -> flask.Flask:
    try:
        app: object = request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
        app = None
    if isinstance(app, flask.Flask) and "scopes" in app.extensions:
        return app
    what = "no fixture 'app'" if app is None else "no app with Scopes in fixture 'app'"
    pytest.fail(
        f"The fixture 'unit' finds {what}.\n\n"
        f"Asked for by {request.node.nodeid}.\n\n"
        "To fix it, write a fixture named 'app' that returns the Flask app which the"
        " test is about,\nset up by scopes.init_app(app).",
        pytrace=False,
    )


class _Taker(events.Listener):
    """Takes engines and clients, as they are built; lives as long as one test."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._taken: set[int] = set()

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        if build.recipe.scope is Scope.APPLICATION:
            self.take(made)

    def take(self, made: object) -> None:
        """See to it that what is done with *made* is rolled back, if that is possible.
        What is no database is left alone.
        """
        for (package, name), module in _KINDS.items():
            kind: type | None = getattr(sys.modules.get(package), name, None)
            if kind is None or not issubclass(type(made), kind):
                continue
            if id(made) in self._taken:
                return
            taking: t.Any = importlib.import_module(module, __package__)
            try:
                self._stack.enter_context(taking.rolled_back(made))
            except Exception as error:
                # Not as it is: a listener that raises is just not told any more.
                pytest.fail(_not_taken(name, error), pytrace=False)
            self._taken.add(id(made))


def _not_taken(name: str, error: Exception) -> str:
    return (
        f"The fixture 'unit' cannot roll back what this test does with a {name}.\n\n"
        f"{type(error).__name__}: {error}\n\n"
        "To fix it, let the test run against a database that answers, and knows"
        " transactions; or\nwithout the fixture."
    )
