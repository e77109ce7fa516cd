"""``pytest --scopes-show``: what is built and closed, and by which request."""

from __future__ import annotations

import contextlib
import time
import typing as t
import weakref

import flask

from .. import contexts
from .. import events
from ..errors import UnitFailed
from ..graph.text import LETTERS
from ..scope import Scope

if t.TYPE_CHECKING:
    import pytest

    from ..building import Build
    from ..events import Took
    from ..store import Store
    from ..unit import Unit

_INDENT: t.Final = " " * 12


class _Work:
    """One request, or another unit; lives as long as its context."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.built: set[int] = set()
        self.reused: set[int] = set()
        """Others that were used: the ids of their builds."""

    def summary(self) -> str:
        ms = (time.perf_counter() - self.began) * 1e3
        return (
            f"in {ms:.1f} ms, {len(self.built)} built,"
            f" {len(self.reused - self.built)} reused"
        )


class Show:
    """Prints; lives as long as the run of pytest."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.listener = _Listener(self)
        self._uses = _Uses(self)
        self._works: weakref.WeakKeyDictionary[t.Any, _Work] = (
            weakref.WeakKeyDictionary()
        )
        self._fresh = True
        flask.request_started.connect(self._request_started)
        flask.request_finished.connect(self._request_finished)
        flask.got_request_exception.connect(self._request_failed)

    def line(self, text: str) -> None:
        """Print *text*, as ``--setup-show`` does."""
        capture: t.Any = self._config.pluginmanager.getplugin("capturemanager")
        writer = self._config.get_terminal_writer()
        with capture.global_and_fixture_disabled() if capture else _NOTHING:
            if self._fresh:
                writer.line()
                self._fresh = False
            writer.line(f"{_INDENT}{text}".rstrip())
            writer.flush()

    def pytest_runtest_logstart(self) -> None:
        # Behind the name of the file, or of the test.
        self._fresh = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Behind its letter.
        self._fresh |= report.when == "call"

    def work(self) -> _Work | None:
        """What code that runs in here is part of, if a line was printed for it."""
        inner = _inner()
        return None if inner is None else self._works.get(inner)

    def work_of_unit(self) -> _Work | None:
        """The same, and if there was none, it is begun."""
        inner = _inner()
        work = self.work()
        if inner is not None and work is None:
            work = self._works[inner] = _Work()
            self.line("unit")
        return work

    def hear_uses(self, store: Store) -> None:
        """Be told what is used, from now on: that is not told to those who hear of
        everything.
        """
        if store.events.app and self._uses not in store.events.listeners:
            store.events.add(self._uses)

    def _request_started(self, sender: flask.Flask, **sent: t.Any) -> None:
        inner = _inner()
        if "scopes" not in sender.extensions or inner is None:
            return
        self.hear_uses(sender.extensions["scopes"].store())
        self._works[inner] = _Work()
        self.line(f"{flask.request.method} {flask.request.full_path.rstrip('?')}")

    def _request_finished(
        self, sender: flask.Flask, response: flask.Response, **sent: t.Any
    ) -> None:
        work = self._end()
        if work is not None:
            self.line(f"{response.status_code} {work.summary()}")

    def _request_failed(
        self, sender: flask.Flask, exception: BaseException, **sent: t.Any
    ) -> None:
        if self.work() is not None:
            self.line(f"  raised {type(exception).__name__}")

    def _end(self) -> _Work | None:
        inner = _inner()
        return None if inner is None else self._works.pop(inner, None)

    def unit_finished(self, unit: Unit) -> None:
        inner = _inner()
        if inner is None or contexts.has_request(inner):
            return
        work = self._end()
        if work is not None:
            self.line(f"{_outcome(unit)} {work.summary()}")


_NOTHING: t.Final = contextlib.nullcontext()


def _inner() -> contexts.Context | None:
    context = contexts.app_context.get(None)
    return None if context is None else contexts.locate(context)[0]


def _outcome(store: Store) -> str:
    if store.error is None:
        return "committed"
    # As much of it as fits behind the name.
    text = str(store.error).partition("\n")[0].partition(",")[0]
    why = text if isinstance(store.error, UnitFailed) else type(store.error).__name__
    return f"rolled back: {why[:48]}"


class _Uses(events.Listener):
    """Counts what each request uses of what is there already."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def used(self, store: Store, build: Build, asking: Build | None) -> None:
        work = self._show.work()
        if work is not None:
            work.reused.add(id(build))


class _Listener(events.Listener):
    """Prints a line for each object."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def building(self, store: Store, build: Build) -> None:
        self._show.hear_uses(store)
        if build.recipe.scope is not Scope.APPLICATION:
            self._show.work_of_unit()

    def built(
        self, store: Store, build: Build, made: object, took: Took, is_new: bool
    ) -> None:
        work = self._show.work()
        if work is not None:
            work.built.add(id(build))
        self._line("BUILD", build, build.recipe.place, took)

    def failed(
        self, store: Store, build: Build, error: BaseException, took: Took
    ) -> None:
        self._line("FAILED", build, type(error).__name__, took)

    def closed(
        self, store: Store, build: Build, error: BaseException | None, took: Took
    ) -> None:
        if not build.recipe.yields:
            self._line("CLOSE", build, "", None)
        elif error is not None:
            self._line("CLOSE", build, f"failed ({type(error).__name__})", took)
        elif build.recipe.scope is Scope.APPLICATION:
            self._line("CLOSE", build, "closed", took)
        else:
            self._line("CLOSE", build, _outcome(store), took)

    def finished(self, unit: Unit, took: Took) -> None:
        self._show.unit_finished(unit)

    def _line(self, what: str, build: Build, more: str, took: Took | None) -> None:
        indent = "" if self._show.work() is None else "  "
        ms = "" if took is None else f"{took.seconds * 1e3:7.1f} ms"
        letter = LETTERS[build.recipe.scope]
        self._show.line(
            f"{indent}{what:<8} {letter} {build.recipe.name:<19} {more:<24} {ms}"
        )
