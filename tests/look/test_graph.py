"""The graph, and how it is drawn."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from flask_scopes.graph import Graph
from flask_scopes.graph import formats as graph_formats
from flask_scopes.graph import graph_of
from flask_scopes.graph import text as graph_text
from flask_scopes.graph.names import recipe_in
from flask_scopes.recipe import Recipe

from . import shop
from .conftest import Write


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pathlib.Path(__file__).parent)


@pytest.fixture
def graph() -> Graph:
    return Graph(shop.scopes.recipes)


def recipe(made: object) -> Recipe:
    found = recipe_in(made)
    assert found is not None
    return found


def pairs(graph: Graph) -> list[tuple[str, str]]:
    return [(edge.user.name, edge.used.name) for edge in graph.edges]


def test_what_the_source_says(graph: Graph) -> None:
    assert pairs(graph) == [
        ("orders", "unit_of_work"),
        ("orders", "orders_db"),
        ("engine", "settings"),
        ("mongo", "settings"),
        ("unit_of_work", "engine"),
        ("orders_db", "mongo"),
        ("export", "mongo"),
    ]
    assert [edge.used.name for edge in graph.edges if not edge.is_sure] == ["mongo"]
    assert [edge.user.name for edge in graph.used_by(recipe(shop.mongo))] == [
        "orders_db",
        "export",
    ]


def test_what_was_seen() -> None:
    export, mongo = recipe(shop.export), recipe(shop.mongo)
    settings = recipe(shop.settings)
    graph = Graph(shop.scopes.recipes, [(export, mongo), (export, settings)])
    assert [
        (edge.used.name, edge.certain, edge.seen) for edge in graph.uses(export)
    ] == [("mongo", False, True), ("settings", False, True)]


def test_what_is_there_was_built_from() -> None:
    app = shop.create_app()
    with app.app_context():
        shop.engine()
    found = [edge for edge in graph_of(app).edges if edge.seen]
    assert [(edge.user.name, edge.used.name) for edge in found] == [
        ("engine", "settings")
    ]


def test_an_override_is_seen_as_what_it_stands_in_for() -> None:
    app = shop.create_app()
    override = shop.settings.override(factory=shop.Settings)
    with override, app.app_context():
        shop.engine()
        found = [edge.used.name for edge in graph_of(app).edges if edge.seen]
    assert found == ["settings"]


def test_the_tree(graph: Graph) -> None:
    assert (
        graph_text.tree(graph)
        == """\
R orders                   shop.py:36
├─ R unit_of_work  ↓       shop.py:62
│  └─ A engine             shop.py:50
│     └─ A settings        shop.py:45
└─ R orders_db             shop.py:71
   └─ A mongo              shop.py:56
      └─ A settings  (above)
R export  ↓  (until sent)  shop.py:77
└─ A mongo  ?  (above)

Built from the bottom up; torn down from the top down.
? may be used: it is mentioned, or called by code that may never run."""
    )


def test_a_part_of_it(graph: Graph) -> None:
    roots = [recipe(shop.orders_db)]
    assert (
        graph_text.tree(graph.around(roots), roots)
        == """\
R orders_db       shop.py:71
└─ A mongo        shop.py:56
   └─ A settings  shop.py:45

Built from the bottom up; torn down from the top down."""
    )


def test_the_other_way_round(graph: Graph) -> None:
    roots = [recipe(shop.engine)]
    part = graph.around(roots, reverse=True)
    assert (
        graph_text.tree(part, roots, reverse=True)
        == """\
A engine              shop.py:50
└─ R unit_of_work  ↓  shop.py:62
   └─ R orders        shop.py:36

Each line is used by those below it that are further in."""
    )


def test_a_cycle_ends(project: Write) -> None:
    module = project(
        "@scopes.request\ndef one(): return two()\n"
        "@scopes.request\ndef two(): return three()\n"
        "@scopes.request\ndef three(): return one()\n"
    )
    graph = Graph(module.scopes.recipes)
    assert graph_text.tree(graph).splitlines()[:4] == [
        "R one          looked_at.py:9",
        "└─ R two       looked_at.py:11",
        "   └─ R three  looked_at.py:13",
        "      └─ R one  (a cycle)",
    ]
    assert len(graph.around([recipe(module.two)]).recipes) == 3


def test_a_long_chain(project: Write) -> None:
    text = "@scopes.request\ndef r0(): return 1\n" + "".join(
        f"@scopes.request\ndef r{n}(): return r{n - 1}()\n" for n in range(1, 1200)
    )
    graph = Graph(project(text).scopes.recipes)
    assert len(graph_text.tree(graph).splitlines()) == 1202


def test_nothing_to_draw() -> None:
    graph = Graph([])
    assert graph_text.tree(graph) == "No resources."
    assert graph_formats.mermaid(graph) == "flowchart TD"
    assert graph_formats.dot(graph).endswith("}")


STRANGE = 'a "b" <c> #d \\ e`'


@pytest.fixture
def strange(project: Write) -> Graph:
    module = project(
        "@scopes.application\ndef one(): return 1\n"
        "def two(): return lambda: one()\n"
        f"two.__name__ = {STRANGE!r}\ntwo = scopes.request(two)\n"
        '@scopes.request(until="sent")\ndef three(): return one()\n'
    )
    return Graph(module.scopes.recipes)


def test_mermaid(strange: Graph) -> None:
    name = "a #34;b#34; #60;c#62; #35;d \\ e#96;"
    assert (
        graph_formats.mermaid(strange)
        == f"""\
flowchart TD
  subgraph scope0["application"]
    r1["one"]
  end
  subgraph scope1["until sent"]
    r3["three"]
  end
  subgraph scope2["request"]
    r2["{name}"]
  end
  r2 -.-> r1
  r3 --> r1"""
    )


def test_dot(strange: Graph) -> None:
    assert (
        graph_formats.dot(strange)
        == """\
digraph scopes {
  node [shape=box];
  subgraph cluster_0 {
    label="application";
    r1 [label="one", tooltip="looked_at.py:9"];
  }
  subgraph cluster_1 {
    label="until sent";
    r3 [label="three", tooltip="looked_at.py:14"];
  }
  subgraph cluster_2 {
    label="request";
    r2 [label="a \\"b\\" <c> #d \\\\ e`", tooltip="looked_at.py:11"];
  }
  r2 -> r1 [style=dashed];
  r3 -> r1;
}"""
    )


def test_data(strange: Graph) -> None:
    data: dict[str, t.Any] = json.loads(
        graph_formats.printed(graph_formats.data(strange))
    )
    assert data["uses"][0] == {
        "from": "r2",
        "to": "r1",
        "certain": False,
        "seen": False,
        "place": "looked_at.py:11",
        "via": [],
    }
    assert data["resources"][0] == {
        "id": "r1",
        "name": "one",
        "scope": "application",
        "type": "",
        "place": "looked_at.py:9",
        "teardown": False,
        "arguments": False,
        "eager": False,
        "overridden": False,
        "uses": [],
        "used_by": ["r2", "r3"],
    }
    assert data["lost"] == []
