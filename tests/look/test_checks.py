"""What `flask scopes check` finds, and what it does not."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import re
import typing as t

import pytest
from flask import Flask

from flask_scopes import OutsideScopeError
from flask_scopes import checks
from flask_scopes.checks import Finding
from flask_scopes.checks import assert_production_ready
from flask_scopes.checks import findings
from flask_scopes.checks import of_run as checks_run
from flask_scopes.graph import graph_of
from flask_scopes.graph import recipes_of

from . import shop
from .conftest import Write

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "findings.md"
NEEDS_32 = tuple(map(int, importlib.metadata.version("flask").split(".")[:2])) >= (3, 2)


def sections() -> dict[str, str]:
    parts = re.split(r"^## (S\d+)$", PAGE.read_text(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(kind: str) -> dict[str, str]:
    found = {}
    for code, text in sections().items():
        for block in re.findall(r"```python\n(.*?)```", text, re.S):
            if block.startswith(f"# {kind}\n"):
                found[code] = block
    return found


def preamble() -> str:
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[:2]
    assert "assert_production_ready" in first
    return f"{second}\n"


def levels() -> dict[str, list[str]]:
    """What the table at the beginning of the page says of each code."""
    rows = re.findall(r"^\| \[(S\d+)\]\(#s\d+\) \| (.+?) \|", PAGE.read_text(), re.M)
    return {code: level.split(", or ") for code, level in rows}


def found_in(module: t.Any, code: str) -> dict[str, Finding]:
    made: list[Finding] = []
    if code in ("S114", "S115"):
        made += checks_run.build(module.app, recipes_of(module.app))
        made += checks_run.ping(module.app, build=True)
    return {each.code: each for each in [*made, *findings(module.app)]}


@pytest.mark.parametrize("code", blocks("wrong"))
def test_what_the_page_calls_wrong_is_found(project: Write, code: str) -> None:
    if code == "S110" and NEEDS_32:
        pytest.skip("it is right there")
    found = found_in(project(blocks("wrong")[code], head=preamble()), code)
    assert code in found
    assert set(found) <= {code, "S107"}
    assert found[code].anchor == f"findings.md#{code.lower()}"
    assert found[code].level in levels()[code]


def test_the_table_of_the_page_has_all_codes() -> None:
    assert [*levels()] == re.findall(r"^## (S\d+)$", PAGE.read_text(), re.M)


@pytest.mark.parametrize("code", blocks("right"))
def test_what_the_page_calls_right_is_not(project: Write, code: str) -> None:
    found = found_in(project(blocks("right")[code], head=preamble()), code)
    # (What an example defines, it need not use.)
    assert set(found) <= ({"S107"} if code != "S107" else set())


def test_the_test_of_the_page(project: Write) -> None:
    first = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0]
    module = project(first, head="")
    module.create_app = shop.create_app
    module.test_production()
    wrong = project(blocks("wrong")["S101"], "wrong", preamble()).app
    module.create_app = lambda: wrong
    with pytest.raises(AssertionError, match="S101"):
        module.test_production()


def test_an_app_without_scopes_is_told_so() -> None:
    for ask in (findings, assert_production_ready):
        with pytest.raises(OutsideScopeError, match=r"call scopes\.init_app"):
            ask(Flask("plain"))


def test_every_code_is_on_the_page() -> None:
    source = "".join(
        path.read_text()
        for path in pathlib.Path(checks.__file__).parent.glob("of_*.py")
    )
    assert set(re.findall(r'"(S\d+)"', source)) == set(sections())
    assert set(sections()) - set(blocks("wrong")) == {"S105", "S106"}
    assert set(blocks("wrong")) == set(blocks("right"))


def check(project: Write, text: str) -> list[Finding]:
    """All but what nobody uses: the resources of a test are not used."""
    return [each for each in findings(project(text).app) if each.code != "S107"]


def codes(project: Write, text: str) -> list[tuple[str, str]]:
    return [(each.code, each.level) for each in check(project, text)]


USER = "@scopes.request\ndef user() -> int: return 1\n"


def test_the_whole_chain(project: Write) -> None:
    (found,) = check(
        project,
        "@scopes.application\ndef page(): return cache()\n"
        "@scopes.application\ndef cache(): return load()\n"
        f"def load(): return user()\n{USER}",
    )
    assert found == Finding(
        "S101",
        "error",
        "cache",
        "looked_at.py:13",
        "cache (application) uses user (request) by way of load()",
        "user would be kept after its request ends. Make cache request scoped, or call"
        " user() where cache is used.",
        ("page", "cache", "user"),
    )


LIVES = {
    ("application", "request"): "S101",
    ("application", 'request(until="sent")'): "S101",
    ('request(until="sent")', "request"): "S101",
    ('request(until="sent")', "application"): "",
    ("request", 'request(until="sent")'): "",
    ("request", "application"): "",
}


@pytest.mark.parametrize("scopes", LIVES)
def test_which_life_is_longer(project: Write, scopes: tuple[str, str]) -> None:
    longer, shorter = scopes
    text = (
        f"@scopes.{longer}\ndef one(): return two()\n"
        f"@scopes.{shorter}\ndef two(): return 1\n"
    )
    assert [code for code, _ in codes(project, text)] == (
        [LIVES[scopes]] if LIVES[scopes] else []
    )


UNITS = """
import contextlib
import typing
import flask

@contextlib.contextmanager
def job():
    with scopes.unit(): yield

class Job:
    def __enter__(self):
        self.unit = scopes.unit().__enter__()
    def __exit__(self, *error): ...

class Longer(Job): ...

class Hostile:
    def refuse(self, *args):
        raise AssertionError(args)
    __getattr__ = __call__ = refuse
    __class__ = property(refuse)

hostile = Hostile()

"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return lambda: user()", [("S101", "warn")]),
        ("return user", []),
        ("\n    with scopes.unit():\n        return [user()]", []),
        ("scopes.unit(); return [user()]", [("S101", "error")]),
        (
            "\n    with scopes.unit(): pass\n    return user()",
            [("S101", "error")],
        ),
        ("\n    work = scopes.unit()\n    with work: return [user()]", []),
        ("\n    with job(): return [user()]", []),
        ("\n    with Job(): return [user()]", []),
        ("\n    with Longer(): return [user()]", []),
        ("\n    with hostile(): return [user()]", [("S101", "error")]),
        ("\n    with flask.g.job(): return [user()]", [("S101", "error")]),
        ("\n    with open(__file__): return [user()]", [("S101", "error")]),
        (
            "\n    with contextlib.ExitStack() as stack:"
            "\n        stack.enter_context(scopes.unit()); return [user()]",
            [("S101", "warn")],
        ),
        ("app.app_context().push(); return [user()]", [("S101", "warn")]),
        ("return user() if flask.has_request_context() else 1", [("S101", "warn")]),
        ("return user() if app.debug else 1", [("S101", "error")]),
        ("\n    if typing.TYPE_CHECKING: user()", []),
        (
            "\n    if flask.has_request_context(): pass\n    return user()",
            [("S101", "error")],
        ),
    ],
)
def test_only_what_is_certain_is_an_error(
    project: Write, body: str, expected: list[tuple[str, str]]
) -> None:
    text = f"{UNITS}{USER}@scopes.application\ndef kept(): {body}\n"
    assert codes(project, text) == expected


def test_what_was_seen_was_not_refused(project: Write) -> None:
    text = (
        "def run(work):\n    with scopes.unit(app): return work()\n"
        f"{USER}@scopes.application\ndef kept(): return run(lambda: [user()])\n"
    )
    module = project(text)
    assert [each.code for each in findings(module.app)][:1] == ["S101"]
    with module.app.app_context():
        module.kept()
    graph = graph_of(module.app)
    assert [(edge.user.name, edge.used.name) for edge in graph.edges if edge.seen] == [
        ("kept", "user")
    ]
    assert "S101" not in [each.code for each in findings(module.app)]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("return two()", "return one()", [("S102", "error")]),
        ("return two()", "return lambda: one()", [("S102", "warn")]),
        ("return two()", "return one", []),
        ("return one()", "return 1", [("S102", "error")]),
        ("return two()", "return 1", []),
    ],
)
def test_cycles(
    project: Write, one: str, two: str, expected: list[tuple[str, str]]
) -> None:
    text = f"@scopes.request\ndef one(): {one}\n@scopes.request\ndef two(): {two}\n"
    assert codes(project, text) == expected


def test_with_arguments_it_is_no_cycle(project: Write) -> None:
    text = (
        "@scopes.request\ndef one(): return two('b')\n"
        "@scopes.request\ndef two(a): return one() if a == 'a' else 1\n"
    )
    assert codes(project, text) == []


CLOSES = {
    "sqlite3.connect('x')": "S104",
    "[sqlite3.connect('x')][0]": "S104",
    "other()": "",
    "other()[0]": "",
    "other().a": "",
    "other().connect()": "S104",
    "GLOBAL": "",
    "GLOBAL.a or other()": "",
    "app.extensions['x']": "",
    "None": "",
}


@pytest.mark.parametrize("returned", CLOSES)
def test_what_is_somebody_elses_to_close(project: Write, returned: str) -> None:
    text = (
        "GLOBAL = None\n@scopes.application\ndef other(): return 1\n"
        f"@scopes.request\ndef looked() -> sqlite3.Connection: return {returned}\n"
    )
    assert [code for code, _ in codes(project, text)] == (
        [CLOSES[returned]] if CLOSES[returned] else []
    )


def test_what_a_name_stands_for(project: Write) -> None:
    text = (
        "@scopes.application\ndef other(): return 1\n"
        "@scopes.request\ndef looked() -> sqlite3.Connection:\n"
        "    found = {}\n    return found.part\n"
    )
    assert codes(project, text.format("other()")) == []
    assert codes(project, text.format("sqlite3.connect('x')")) == [("S104", "warn")]


def test_types_that_have_to_be_closed(project: Write) -> None:
    text = (
        "class A:\n    async def aclose(self): pass\n"
        "class B:\n    def __enter__(self): pass\n    def __exit__(self, *a): pass\n"
        "class Lock(B):\n    def acquire(self): pass\n"
        "@scopes.request\ndef a() -> A: return A()\n"
        "@scopes.request\ndef b() -> 't.Annotated[B, 1]': return B()\n"
        "@scopes.request\ndef c() -> Lock: return Lock()\n"
        "@scopes.application\ndef d(): return A()\n"
        "@scopes.request\ndef e() -> 'Missing': return A()\n"
        "f = scopes.request(B)\n"
    )
    module = project(text)

    def names() -> list[str]:
        found = findings(module.app)
        return [each.resource for each in found if each.code == "S104"]

    assert names() == ["B", "a", "b"]
    with module.app.app_context():
        module.d()
    assert names() == ["B", "a", "b", "d"]


AFTER = {
    "yield 1": "",
    "yield 1\nprint()": "S111",
    "yield 1\nreturn": "",
    "yield 1\n'text'": "",
    "if 1:\n    yield 1\nelse:\n    yield 2\nprint()": "S111",
    "if 1:\n    yield 1\n    print()": "S111",
    "with open('x'):\n    yield 1\n    print()": "",
    "try:\n    yield 1\nfinally:\n    print()": "",
    "try:\n    yield 1\nfinally:\n    pass\nprint()": "",
    "try:\n    yield 1\nexcept KeyError:\n    print()": "",
    "try:\n    x = 1\nexcept A:\n    raise\nelse:\n    yield 1\n    print()": "S111",
    "if 1:\n    with open('x'):\n        yield 1\nprint()": "",
    "yield 1\ndef later(): pass": "S111",
    "def inner(): yield 1\nyield 2": "",
}


@pytest.mark.parametrize("body", AFTER)
def test_code_after_the_yield(project: Write, body: str) -> None:
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    expected = [AFTER[body]] if AFTER[body] else []
    text = f"@scopes.request\ndef looked():\n{lines}\n"
    assert [code for code, _ in codes(project, text)] == expected
    # At the end of a process each is simply resumed.
    assert codes(project, text.replace("request", "application")) == []


def test_only_what_is_sent_late_commits_late(project: Write) -> None:
    text = (
        "@scopes.{}\ndef a():\n  with sqlite3.connect('x') as b, b.begin(): yield 1\n"
    )
    assert codes(project, text.format('request(until="sent")')) == [("S112", "warn")]
    assert codes(project, text.format("request")) == []


PARAMETERS = {
    "a": "S113",
    "a: str": "S113",
    "a: int = 1": "S113",
    "*a": "S113",
    "**a": "S113",
    "*, a: bool": "",
    "a: bool | None = None": "",
    "a: 't.Literal[1, 2]'": "",
    "a: Few": "",
    "a: Few, b: str": "S113",
}


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_arguments_without_bound(project: Write, parameters: str) -> None:
    text = (
        "class Few(enum.Enum):\n    A = 1\n"
        f"@scopes.application\ndef looked({parameters}): return 1\n"
    )
    expected = [("S113", "warn")] if PARAMETERS[parameters] else []
    assert codes(project, text) == expected
    # One object per request ends with it.
    assert codes(project, text.replace("application", "request")) == []


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("looked('a')\n    looked(name='b')", []),
        ("looked('a')\n    looked(calls)", ["S113"]),
        ("looked(*calls)", ["S113"]),
    ],
)
def test_arguments_that_are_written_down(
    project: Write, calls: str, expected: list[str]
) -> None:
    text = "@scopes.application\ndef looked(name): return 1\n"
    found = codes(project, f"{text}def calls():\n    {calls}\n")
    assert [code for code, _ in found] == expected


MENTIONS = {
    "": True,
    "def view(): return looked()": False,
    "def view(): return [looked]": False,
    "import looked_at\ndef view(): return looked_at.looked()": False,
    "kept = {'a': looked}": False,
    "def view(): return globals()['looked']()": False,
    "app.jinja_env.globals['any'] = looked": False,
    "@scopes.request\ndef other(): return looked()": False,
    "# looked()": True,
    "def looked_too(): pass": True,
}


@pytest.mark.parametrize("text", MENTIONS)
def test_what_nothing_mentions(project: Write, text: str) -> None:
    module = project(f"@scopes.request\ndef looked(): return 1\n{text}\n")
    found = [each.resource for each in findings(module.app)]
    assert ("looked" in found) is MENTIONS[text]


def test_what_was_built_is_used(project: Write) -> None:
    module = project("@scopes.application\ndef looked(): return 1\n")
    assert [each.code for each in findings(module.app)] == ["S107"]
    with module.app.app_context():
        module.looked()
    assert findings(module.app) == []


def test_what_is_eager_is_used(project: Write) -> None:
    text = "@scopes.application(eager=True)\ndef looked(): return 1\n"
    assert findings(project(text).app) == []


def test_another_module_of_the_project_mentions_it(project: Write) -> None:
    module = project("@scopes.request\ndef looked(): return 1\n")
    other = project(
        "import looked_at\ndef view(): return looked_at.looked()\n", "others", head=""
    )
    module.app.add_url_rule("/", view_func=other.view)
    assert findings(module.app) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_built_before_a_fork(project: Write) -> None:
    module = project(
        "@scopes.application\ndef looked(): return 1\n"
        "@scopes.application(fork='share')\ndef shared(): return 1\n"
    )
    home = module.app.extensions["scopes"]
    with module.app.app_context():
        module.looked(), module.shared()
    # As a fork finds it: what is there is another process's.
    home.stores[1] = home.stores.pop(os.getpid())
    assert [(each.code, each.resource) for each in findings(module.app)] == [
        ("S106", "looked")
    ]
    home.stores[os.getpid()] = home.stores.pop(1)


def test_no_secret_key(project: Write) -> None:
    pytest.importorskip("msgspec")
    module = project("@scopes.session\ndef cart() -> list[str]: return []\n")
    assert [each.code for each in findings(module.app)] == ["S107"]
    module.app.secret_key = None
    assert [each.code for each in findings(module.app)] == ["S105", "S107"]


def test_an_object_in_the_session_need_not_be_closed(project: Write) -> None:
    pytest.importorskip("msgspec")
    text = (
        "import dataclasses\n@dataclasses.dataclass\nclass Door:\n"
        "    def close(self): pass\n"
        "@scopes.session\ndef door() -> Door: return Door()\n"
    )
    assert codes(project, text) == []


def test_pings(project: Write) -> None:
    module = project(
        "def fails(made): raise OSError('no route')\n"
        "@scopes.application(ping=fails)\ndef looked(): return 1\n"
    )
    assert list(checks_run.ping(module.app, build=False)) == []
    (found,) = checks_run.ping(module.app, build=True)
    assert found.message == "looked is not well: OSError: no route"
    assert found.place == "looked_at.py:10"


def test_an_integration_is_not_blamed(project: Write) -> None:
    pytest.importorskip("pymongo")
    text = (
        "from flask_scopes.mongo import Mongo\nmongo = Mongo(scopes)\n"
        "one = mongo.database('a')\n"
        "two = mongo.database('a')\n"
        "@scopes.request\ndef looked(): return two()['x']\n"
    )
    assert codes(project, text) == []


def test_ready_for_production(project: Write) -> None:
    module = project(f"{USER}@scopes.application\ndef kept(): return user()\n")
    module.app.debug = True
    module.app.config["SCOPES_INSPECTOR"] = True
    with module.user.override(1), pytest.raises(AssertionError) as caught:
        assert_production_ready(module.app)
    text = str(caught.value)
    assert text.startswith("'looked_at' is not ready for production:\n\n")
    assert [line.split()[1] for line in text.splitlines()[2:]] == [
        "debug",
        "the",
        "S101",
        "S108",
    ]


def test_ready() -> None:
    assert_production_ready(shop.create_app())


def test_nothing_is_called(project: Write) -> None:
    module = project(
        "def fail(*a, **k): raise AssertionError('called')\n"
        "@scopes.application\ndef one(a: bool = False): return fail(two())\n"
        "@scopes.application\ndef two(): return fail()\n"
    )
    assert [each.code for each in findings(module.app)] == ["S107"]


def test_several_scopes_on_one_app(project: Write) -> None:
    module = project(
        "more = Scopes(app)\n@scopes.request\ndef one(): return 1\nfirst = one\n"
        "@more.request\ndef one(): return 2\n"
    )
    assert findings(module.app)[0].code == "S103"
