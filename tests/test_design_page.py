"""The map of modules in "Design" is what the modules import: one way."""

from __future__ import annotations

import ast
import pathlib
import re
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCE = ROOT / "src" / "flask_scopes"
PAGE = ROOT / "docs" / "design.md"
TEXT = PAGE.read_text()
LAYERS = [
    re.findall(r"`(\w+)`", cell)
    for cell in re.findall(r"^\| [\w' ]+ \| (`\w+`(?: `\w+`)*) \|$", TEXT, re.M)
]
"""The modules, those first that others build on."""
PLACE = {name: number for number, names in enumerate(LAYERS) for name in names}
ON_DEMAND = {("extension", "inspector"), ("commands", "look")}
CIRCLE = {"hooks", "lookup", "starting"}
# What Flask brings.
FLASKS = {"flask", "werkzeug", "click", "blinker", "itsdangerous"}
LIBRARIES: dict[str, set[str]] = {
    "mongo": {"pymongo", "bson", "gridfs"},
    "sqlalchemy": {"sqlalchemy"},
    "sessions.mongo": {"pymongo"},
    "sessions.redis": {"redis"},
    "sessions.sql": {"sqlalchemy"},
    "login": {"flask_login", "argon2"},
    "login.mongo": {"pymongo", "bson"},
    "login.sql": {"sqlalchemy"},
    "plain": {"msgspec"},
    "celery": {"celery"},
    "gunicorn": {"gunicorn"},
    "embedded": {"pymongo"},
    "pytest_plugin": {"pytest"},
}


class Imported(t.NamedTuple):
    name: str
    """Of a module of ours, or of a library."""
    is_ours: bool
    is_late: bool
    """Whether it is imported when a function is called."""


def name_of(path: pathlib.Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "flask_scopes"


MODULES = {name_of(path): path for path in SOURCE.rglob("*.py")}


def imports(name: str) -> list[Imported]:
    """What a module imports, but for type checkers."""
    found: list[Imported] = []
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(MODULES[name].read_text()), False)]
    while todo:
        node, late = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if isinstance(node, ast.Import):
            found += [Imported(each.name, False, late) for each in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append(Imported(node.module or "", False, late))
        elif isinstance(node, ast.ImportFrom):
            found += [Imported(each, True, late) for each in ours(name, node)]
        todo += [(each, late) for each in ast.iter_child_nodes(node)]
    return found


def ours(name: str, node: ast.ImportFrom) -> list[str]:
    """The modules that a relative import in *name* names."""
    package = [] if name == "flask_scopes" else name.split(".")
    if MODULES[name].name != "__init__.py":
        package = package[:-1]
    package = package[: len(package) - node.level + 1]
    base = [*package, *(node.module.split(".") if node.module else [])]
    names = [".".join([*base, each.name]) for each in node.names]
    return [each if each in MODULES else ".".join(base) for each in names]


def layer(name: str) -> str:
    """A module of the table, which may be a package."""
    return name.partition(".")[0]


def test_each_module_is_in_the_table_once() -> None:
    names = [name for names in LAYERS for name in names]
    assert sorted(names) == sorted({layer(name) for name in MODULES})


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_from_its_line_or_above(name: str) -> None:
    for each in imports(name):
        edge = layer(name), layer(each.name)
        if each.is_ours and not (each.is_late and edge in ON_DEMAND):
            assert PLACE[edge[1]] <= PLACE[edge[0]], each


def test_what_is_loaded_on_demand_is_what_the_page_says() -> None:
    found = {
        (layer(name), layer(each.name))
        for name in MODULES
        for each in imports(name)
        if each.is_ours and PLACE[layer(each.name)] > PLACE[layer(name)]
    }
    assert found == ON_DEMAND


def test_there_is_one_circle() -> None:
    """Modules that are left when those are taken away, again and again, that import
    none of the others.
    """
    below = {
        name: {each.name for each in imports(name) if each.is_ours and not each.is_late}
        for name in MODULES
    }
    while free := {name for name, names in below.items() if not names & below.keys()}:
        for name in free:
            del below[name]
    # And those that only import these.
    while True:
        used = {each for names in below.values() for each in names}
        alone = below.keys() - used
        if not alone:
            break
        for name in alone:
            del below[name]
    assert below.keys() == CIRCLE


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_its_own_library_alone(name: str) -> None:
    allowed = FLASKS | LIBRARIES.get(name, set()) | LIBRARIES.get(layer(name), set())
    theirs = {layer(each.name) for each in imports(name) if not each.is_ours}
    # By `t.TYPE_CHECKING` others may be named.
    assert theirs - sys.stdlib_module_names <= allowed


def test_what_flask_does_not_document_is_in_one_module() -> None:
    private = re.compile(r"\b_cv_(app|request|tokens?)\b")
    assert [
        name for name, path in MODULES.items() if private.search(path.read_text())
    ] == ["contexts"]


def test_the_links_and_the_names_are_there() -> None:
    for link, anchor in re.findall(r"\]\(([\w./-]+)#?([\w-]*)\)", TEXT):
        target = PAGE.parent / link
        assert target.exists(), link
        assert not anchor or f"# {anchor}" in target.read_text().lower()
    for file in re.findall(r"`([\w/]+\.py)`", TEXT):
        assert (SOURCE / file).exists(), file
    for name in ("prepare", "undo", "callbacks"):
        assert f"self.{name}:" in (SOURCE / "unit.py").read_text()
    for name in ("answers", "around_requests", "around_units"):
        assert f"self.{name}:" in (SOURCE / "application.py").read_text()
