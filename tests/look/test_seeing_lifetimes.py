"""What "Seeing lifetimes" shows and says is run."""

from __future__ import annotations

import collections.abc as c
import importlib
import pathlib
import re
import sys
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flask_scopes import Scopes
from flask_scopes import events

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "seeing-lifetimes.md"


@pytest.fixture(autouse=True)
def nobody_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever other tests have connected."""
    monkeypatch.setattr(events, "everywhere", [])


@pytest.fixture
def modules(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> c.Callable[[str], t.Any]:
    """Import a module that the page shows: blocks without a name of their own go on
    where the one before them has ended.
    """
    monkeypatch.syspath_prepend(tmp_path)
    name = ""
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        found = re.match(r"# (\w+)\.py\n", block)
        name = found[1] if found else name
        with (tmp_path / f"{name}.py").open("a") as file:
            file.write(block)

    def load(name: str) -> t.Any:
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return load


@pytest.fixture
def shop(app: flask.Flask, scopes: Scopes) -> t.Any:
    @scopes.application
    def engine() -> str:
        return "engine"

    @scopes.request
    def orders() -> c.Iterator[str]:
        yield f"orders of the {engine()}"

    @scopes.request
    def broken() -> str:
        raise ConnectionError("away")

    @app.get("/")
    def home() -> str:
        return orders()

    @app.get("/gone")
    def gone() -> t.NoReturn:
        orders()
        flask.abort(410)

    @app.get("/broken")
    def view() -> str:
        return broken()


def test_the_inspector_is_on_in_debug_mode(
    modules: c.Callable[[str], t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = modules("app")
    app = module.create_app()
    assert app.test_client().get("/_scopes/").status_code == 404
    module.test_production()
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = module.create_app()
    assert app.test_client().get("/_scopes/").status_code == 200
    with pytest.raises(AssertionError, match="inspector"):
        module.test_production()


@pytest.mark.usefixtures("shop")
def test_metrics(modules: c.Callable[[str], t.Any], client: Client) -> None:
    module = modules("metrics")
    for path in ("/", "/", "/gone"):
        client.get(path)
    assert module.built == {"engine": 1, "orders": 3}
    assert module.outcomes == {"committed": 2, "Gone": 1}


@pytest.mark.usefixtures("shop")
def test_tracing(
    modules: c.Callable[[str], t.Any], app: flask.Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    module = modules("tracing")
    module.install()

    def spans(path: str) -> dict[str, ReadableSpan]:
        exporter.clear()
        with provider.get_tracer("flask").start_as_current_span("request"):
            app.test_client().get(path)
        return {span.name: span for span in exporter.get_finished_spans()}

    found = spans("/")
    assert list(found) == ["build engine", "build orders", "finish", "request"]
    request = found.pop("request")
    for span in found.values():
        assert span.parent is not None
        assert request.context is not None
        assert span.parent.span_id == request.context.span_id
        assert span.start_time is not None
        assert span.end_time is not None
        assert (request.start_time or 0) <= span.start_time <= span.end_time
        assert span.end_time <= (request.end_time or 0)
        assert span.status.is_ok or span.status.is_unset
    engine, orders = found["build engine"], found["build orders"]
    assert engine.attributes is not None
    assert engine.attributes["scope"] == "application"
    assert str(engine.attributes["place"]).rpartition(":")[0].endswith("lifetimes.py")
    # One is part of the other.
    assert (orders.start_time or 0) <= (engine.start_time or 0)
    assert (engine.end_time or 0) <= (orders.end_time or 0)

    finish = spans("/gone")["finish"]
    assert finish.status.description == "Gone"
    broken = spans("/broken")["build broken"]
    assert not broken.status.is_ok
    assert broken.events[0].name == "exception"
