"""The pytest plugin: overrides that end with a test, and tests that leave nothing.

It is there wherever Flask-Scopes is installed, and does nothing in a run in which it is
not used; ``-p no:flask_scopes`` turns it off. See docs/testing.md.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import gc
import typing as t

import pytest

from .. import events

if t.TYPE_CHECKING:
    from ..resource import Resource
    from .left import Guard

P = t.ParamSpec("P")
T = t.TypeVar("T")

_MARKER: t.Final = "scopes_may_leak"
_passed = pytest.StashKey[bool]()


class LeakWarning(UserWarning):
    """A test has left something behind, and ``scopes_leaks = warn`` is set."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "scopes_leaks",
        "what becomes of a test that leaves an object of Flask-Scopes open, or keeps"
        " one that is closed: error, warn or off",
        default="error",
    )
    parser.getgroup("flask-scopes", "Flask-Scopes").addoption(
        "--scopes-show",
        action="store_true",
        help="show what is built and closed, and by which request",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(why): may leave objects of Flask-Scopes open, or keep closed ones",
    )
    wanted = config.getini("scopes_leaks")
    if wanted not in ("error", "warn", "off"):
        reason = f"scopes_leaks is {wanted!r}. To fix it, set it to error, warn or off."
        raise pytest.UsageError(reason)
    if wanted != "off":
        _listen(config, _Leaks(wanted == "warn"), "flask_scopes_leaks")
    if config.getoption("scopes_show"):
        from .show import Show

        _listen(config, Show(config), "flask_scopes_show")


def _listen(config: pytest.Config, plugin: t.Any, name: str) -> None:
    config.pluginmanager.register(plugin, name)
    events.everywhere.append(plugin.listener)

    def leave() -> None:
        events.everywhere[:] = [
            each for each in events.everywhere if each is not plugin.listener
        ]

    config.add_cleanup(leave)


class _Leaks:
    """Fails the tests that leave something behind; lives as long as the run."""

    def __init__(self, warns: bool) -> None:
        # Not above: who turns it off has no use for it.
        from .left import Guard

        self.warns = warns
        self.listener: Guard = Guard()
        self._wide: list[pytest.FixtureDef[t.Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[t.Any]
    ) -> c.Generator[None, object, object]:
        if fixturedef.scope == "function":
            return (yield)
        self._wide.append(fixturedef)
        with self.listener.outside_of_tests():
            return (yield)

    def pytest_fixture_post_finalizer(
        self, fixturedef: pytest.FixtureDef[t.Any]
    ) -> None:
        self._wide = [each for each in self._wide if each is not fixturedef]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> c.Generator[None, None, None]:
        self.listener.begin()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> c.Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        item.stash[_passed] = report.when == "call" and report.passed
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item
    ) -> c.Generator[None, None, None]:
        try:
            yield
            # The frames of one that failed are kept by its traceback.
            text = self._found(item) if item.stash.get(_passed, False) else ""
        finally:
            self.listener.end()
        if text and self.warns:
            item.warn(LeakWarning(text))
        elif text:
            pytest.fail(text, pytrace=False)

    def _found(self, item: pytest.Item) -> str:
        """What *item*, which has passed, has left behind; nothing, as a rule."""
        marker = item.get_closest_marker(_MARKER)
        if marker is not None:
            why: object = [*marker.args, *marker.kwargs.values(), ""][0]
            return "" if why else _no_reason(item)
        if self.listener.seems_clean():
            return ""
        # pytest drops these next. What only they hold is gone with the test.
        funcargs: dict[str, object] | None = getattr(item, "funcargs", None)
        if funcargs:
            funcargs.clear()
        # What is new first: to collect all takes longer than many a test.
        for generation in range(3):
            gc.collect(generation)
            if self.listener.seems_clean():
                return ""
        from . import messages as _pytest_messages
        from .left import Excuses

        results = [each.cached_result for each in self._wide]
        values = [result[0] for result in results if result is not None]
        parameters: t.Any = getattr(item, "callspec", None)
        values += parameters.params.values() if parameters else ()
        excused = Excuses([*values, getattr(item, "instance", None)])
        return _pytest_messages.left_behind(
            self.listener.left_open(), self.listener.still_referenced(excused)
        )


def _no_reason(item: pytest.Item) -> str:
    return (
        f"@pytest.mark.{_MARKER} has no reason.\n\n"
        f"Found on {item.nodeid}.\n\n"
        f'To fix it, say why the test may: @pytest.mark.{_MARKER}("it is about that").'
    )


class ScopesOverride:
    """Overrides resources until the test ends: what the fixture ``scopes_override`` is.

    ::

        def test_late(client, scopes_override):
            scopes_override(clock, FrozenClock(noon))
            scopes_override(mails, factory=Outbox)
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    @t.overload
    def __call__(self, resource: Resource[P, T], obj: T, /) -> None: ...
    @t.overload
    def __call__(
        self, resource: Resource[P, T], /, *, factory: c.Callable[P, c.Iterator[T]]
    ) -> None: ...
    @t.overload
    def __call__(
        self, resource: Resource[P, T], /, *, factory: c.Callable[P, T]
    ) -> None: ...
    def __call__(self, resource: t.Any, /, *obj: t.Any, **factory: t.Any) -> None:
        """Let *resource* hand out *obj*, or what *factory* builds, from now on.

        :raises SetupError: neither or both are given, or *factory* is not callable.
        :raises TypeError: *resource* is none.
        """
        if not hasattr(resource, "override"):
            name = getattr(resource, "__name__", type(resource).__name__)
            reason = (
                f"{name} is no resource, so it cannot be overridden: {resource!r}. To"
                " fix it, name a function that is decorated with its scope."
            )
            raise TypeError(reason)
        self._stack.enter_context(resource.override(*obj, **factory))


@pytest.fixture
def scopes_override() -> c.Iterator[ScopesOverride]:
    """Overrides resources until the test ends, however it ends: the last first."""
    with contextlib.ExitStack() as stack:
        yield ScopesOverride(stack)


@pytest.fixture
def unit(request: pytest.FixtureRequest) -> c.Iterator[None]:
    """A unit around the test, on the fixture ``app``: what the test and its requests do
    in SQL and MongoDB is rolled back when it ends.
    """
    from .units import rolled_back

    with rolled_back(request):
        yield
