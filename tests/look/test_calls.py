"""What is read from the source of a factory, and what is not."""

from __future__ import annotations

import typing as t

import pytest

from flask_scopes.graph.calls import read
from flask_scopes.graph.names import recipe_in
from flask_scopes.graph.returns import type_name

from .conftest import HEAD
from .conftest import Write

RESOURCES = """
@scopes.application
def db() -> int: return 1

@scopes.application
def table(name: str) -> int: return 1

@scopes.request
def user() -> int: return 1

def direct(): return db()
def second(): return direct()
def third(): return second()
def fourth(): return third()
def later(): return lambda: db()
def generates(): yield db()
@contextlib.contextmanager
def entered(): yield db()
@functools.cache
def cached(): return db()
def decorated(f):
    @functools.wraps(f)
    def wrapper(*args): return f(*args)
    return wrapper
@decorated
def wrapped(): return db()
async def coroutine(): return db()
def loop(): return loop() or db()
class House:
    db = staticmethod(db)
    def __init__(self): self.own = db
    def method(self): return self.own()
    @property
    def computed(self): return db
    def __getattr__(self, name): raise AssertionError("called")
house = House()
by_name = {"db": db}
"""


def recipe(made: object) -> t.Any:
    found = recipe_in(made)
    assert found is not None
    return found


def uses(project: Write, body: str, scope: str = "request") -> dict[str, str]:
    """What a factory with that *body* uses, and how."""
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    module = project(f"{RESOURCES}\n@scopes.{scope}\ndef looked():\n{lines}\n")
    found = {}
    for use in read(recipe(module.looked)).uses.values():
        how = "certain" if use.certain else "held" if use.held else "later"
        found[use.recipe.name] = f"{how}, apart" if use.apart else how
        if use.via:
            found[use.recipe.name] += f" via {' '.join(use.via)}"
    return found


CERTAIN = [
    "return db()",
    "if 1:\n    return 2\nreturn db()",
    "with contextlib.suppress(KeyError):\n    db()",
    "return [db() for _ in 'ab']",
    "return {db() for _ in 'ab'}",
    "return {db(): db() for _ in 'ab'}",
    "return (x for x in db())",
    "return lambda x=db(): x",
    "def inner(x=db()): pass",
    "def inner(): return db()\nreturn inner()",
    "class A:\n    x = db()",
    "x = db\nreturn x()",
    "(x := db)\nreturn x()",
    "x: object = db\nreturn x()",
    "import looked_at\nreturn looked_at.db()",
    "import looked_at as l\nreturn l.db()",
    "from looked_at import db as other\nreturn other()",
    "return house.own()",
    "return house.db()",
    "return House.db()",
    "return getattr(house, 'own')()",
    "return by_name['db']()",
    "return (direct, db)[1]()",
    "return db() + (1 if db() else 2)",
    "return f'{db()}'",
    "yield 1\ndb()",
    "yield db()",
    "try:\n    pass\nexcept KeyError:\n    db()",
    "match 1:\n    case 2:\n        db()",
    "return str(db())",
]


@pytest.mark.parametrize("body", CERTAIN)
def test_a_call_is_certain(project: Write, body: str) -> None:
    found = uses(project, body)
    if body == "return (direct, db)[1]()":
        # Not looked into: it is only mentioned.
        assert found == {"db": "held"}
    else:
        assert found == {"db": "certain"}


HELD = [
    "return db",
    "x = [db]",
    "return print(db)",
    "return functools.partial(db)",
    "with db.override(1): pass",
]


@pytest.mark.parametrize("body", HELD)
def test_a_mention_is_no_call(project: Write, body: str) -> None:
    assert uses(project, body) == {"db": "held"}


LATER = [
    "return lambda: db()",
    "def inner(): return db()\nreturn inner",
    "return (db() for _ in 'ab')",
    "def inner(): yield db()\nreturn inner()",
    "async def inner(): return db()\nreturn inner()",
    "@decorated\ndef inner(): return db()\nreturn inner()",
    "with contextlib.closing(generates()): pass",
]


@pytest.mark.parametrize("body", LATER)
def test_what_may_run_later(project: Write, body: str) -> None:
    found = uses(project, body)["db"]
    assert found.removesuffix(" via generates") == "later"


VIA = {
    "direct()": "certain via direct",
    "third()": "certain via third second direct",
    "fourth()": None,
    "later()": "later via later",
    "list(generates())": "later via generates",
    "for x in generates(): pass": "certain via generates",
    "yield from generates()": "certain via generates",
    "with entered(): pass": "certain via entered",
    "entered()": "later via entered",
    "cached()": "certain via cached",
    "wrapped()": "certain via wrapper wrapped",
    "loop()": "certain via loop",
    "coroutine()": "later via coroutine",
    "house.method()": "certain via method",
    "lambda: direct()": "later via direct",
}


@pytest.mark.parametrize("body", VIA)
def test_functions_that_are_called(project: Write, body: str) -> None:
    expected = VIA[body]
    assert uses(project, body) == ({"db": expected} if expected else {})


def test_a_closure(project: Write) -> None:
    module = project(
        "def make():\n"
        "    @scopes.request\n    def inner() -> int: return 1\n"
        "    @scopes.request\n    def outer(): return inner() or missing()\n"
        "    if 0: missing = inner\n"
        "    return outer\n"
        "made = make()\n"
    )
    assert [use.recipe.name for use in read(recipe(module.made)).uses.values()] == [
        "inner"
    ]


NOTHING = [
    "db = len\nreturn db('')",
    "return [db() for db in (len,)]",
    "return house.computed",
    "return house.computed()",
    "return house.nothing()",
    "x = db\nx = len\nreturn x('')",
    "return [x() for x in (len,) if not x]\nx = db",
    "return unknown()",
    "from nowhere import db\nreturn db()",
    "x: db = 1",
]


@pytest.mark.parametrize("body", NOTHING)
def test_what_only_looks_like_it(project: Write, body: str) -> None:
    found = uses(project, body)
    assert found == ({"db": "held"} if "x = db" in body else {})


UNITS = ["scopes.unit()", "app.app_context()", "app.test_request_context('/')"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_of_its_own(project: Write, unit: str) -> None:
    body = f"with {unit}:\n    return db(), user()"
    found = uses(project, body, "application")
    assert found == {"db": "certain", "user": "later, apart"}


def test_the_strongest_counts(project: Write) -> None:
    assert uses(project, "x = db, lambda: db()\nreturn db()") == {"db": "certain"}


def test_a_factory_with_arguments_may_call_itself(project: Write) -> None:
    module = project(
        "@scopes.application\ndef table(name: str) -> int:\n"
        "    return table('base') if name else 1\n"
    )
    assert not read(recipe(module.table)).uses


LOST = {
    "return getattr(house, str())()": "getattr",
    "for each in by_name.values():\n    each()": "each",
    "import importlib\nreturn importlib.import_module('x').db()": "import_module",
}


@pytest.mark.parametrize("body", LOST)
def test_what_cannot_be_followed(project: Write, body: str) -> None:
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    module = project(f"{RESOURCES}\n@scopes.request\ndef looked():\n{lines}\n")
    (found,) = read(recipe(module.looked)).lost.items()
    last = len((HEAD + RESOURCES).splitlines()) + len(lines.splitlines()) + 3
    assert found == (f"looked_at.py:{last}", LOST[body])


def test_without_a_source_all_is_only_mentioned(project: Write) -> None:
    space: dict[str, t.Any] = {}
    module = project(RESOURCES)
    space.update(vars(module))
    exec("@scopes.request\ndef looked(): return db(), house.own()", space)
    (use,) = read(recipe(space["looked"])).uses.values()
    assert use.recipe.name == "db"
    assert not use.certain


def test_two_lambdas_on_a_line_are_not_told_apart(project: Write) -> None:
    module = project(
        RESOURCES + "a, b = scopes.request(lambda: db()), scopes.request(lambda: 1)\n"
    )
    assert [use.certain for use in read(recipe(module.a)).uses.values()] == [False]
    assert not read(recipe(module.b)).uses


def test_what_is_no_function(project: Write) -> None:
    module = project(
        RESOURCES + "class Calls:\n"
        "    def __call__(self): return db()\n"
        "a = scopes.request(Calls())\n"
        "b = scopes.request(House)\n"
        "c = scopes.request(functools.partial(table, 'x'))\n"
        "d = scopes.request(house.method)\n"
        "e = scopes.request(dict)\n"
    )
    assert [use.certain for use in read(recipe(module.a)).uses.values()] == [True]
    assert not read(recipe(module.b)).uses
    assert not read(recipe(module.c)).uses
    assert [use.certain for use in read(recipe(module.d)).uses.values()] == [True]
    assert not read(recipe(module.e)).uses
    assert type_name(recipe(module.b)) == "House"


TYPES = {
    "-> int: return 1": "int",
    "-> 't.Optional[int]': return 1": "int | None",
    "-> None: return None": "None",
    "-> list[str]: return []": "list[str]",
    "-> Iterator[list[str]]: yield []": "list[str]",
    "-> t.Generator[int, None, None]: yield 1": "int",
    "-> t.Iterator[int]: return iter([])": "Iterator",
    "-> 'Missing': return 1": "Missing",
    "-> 'Iterator[away.Missing[int]]': yield 1": "Missing",
    "-> t.Annotated[int, 1]: return 1": "int",
    "-> t.Literal[1]: return 1": "Literal",
    "-> int: yield 1": "",
    "-> 'a b': return 1": "",
    ": return 1": "",
}


@pytest.mark.parametrize("rest", TYPES)
def test_the_type(project: Write, rest: str) -> None:
    module = project(f"@scopes.request\ndef looked() {rest}\n")
    assert type_name(recipe(module.looked)) == TYPES[rest]
