"""The page "Errors" has every message of the library, in the words that it has now."""

from __future__ import annotations

import ast
import functools
import importlib
import pathlib
import re
import typing as t

import pytest

from flask_scopes import errors

from .messages import texts

TESTS = pathlib.Path(__file__).parent
PAGE = TESTS.parent / "docs" / "errors.md"
SOURCE = TESTS.parent / "src" / "flask_scopes"
GOLDEN = sorted(TESTS.rglob("messages/*.txt"))

# Which headings have what each function says: the one of its name, if none is named.
HEADINGS: dict[str, str] = {
    "config.bad_config": "bad-config",
    "extras.brought_by": "not-installed",
    "inspector._not_in_debug_mode": "not-in-debug-mode",
    "messages.outside": "outside",
    "messages.no_g": "g-in-an-application-factory",
    "messages.closed": "after-close after-the-end after-sending gone streamed",
    "messages.bad_arguments": "missing-argument",
    "messages.bad_override": "override-with-nothing",
    "messages.bad_factory": "async-factory",
    "unit_messages.refused": "cannot-be-committed",
    "unit_messages.no_unit": "doom-nothing",
    "unit_messages.unit_over": "doom-too-late",
    "unit_messages.streamed_retry": "retry-a-stream",
    "unit_messages.bad_statuses": "commit-on-success",
    "unit_messages.bad_retry": "retry-never",
    "unit_messages.bad_until": "until-later",
    "unit_messages.known_app": "init-twice",
    "unit_messages.app_not_set_up": "close-unknown",
    "unit_messages.no_app": "unit-of-what",
    "process_messages.close_timeout": "not-closed",
    "process_messages.bad_close_timeout": "no-close-timeout",
    "process_messages.bad_options": "check-without-every",
    "session_messages.bad_type": "of-a-lock",
    "session_messages.not_annotated": "of-who-knows-what",
    "session_messages.yields": "of-a-generator",
    "session_messages.name_taken": "of-the-same-name",
    "session_messages.bad_key": "no-name",
    "session_messages.not_plain": "a-lock",
    "session_messages.other_type": "spoilt",
    "session_messages.no_visitor": "without-a-context",
    "session_messages.no_secret_key": "without-a-key",
    "teardown.raise_together": "teardown-failed raised-when-torn-down",
    "mongo.messages.bad_tenant": "mongodb-tenant-of-text",
    "mongo.indexes._not_indexes": "mongodb-indexes-of-what",
    "mongo.indexes._bad_index": "mongodb-index-twice",
    "mongo.indexes.declared_twice": "mongodb-index-declared-twice",
    "sessions.messages.store_down": "sessions-store-away",
    "sessions.messages.saved_too_late": "sessions-store-away",
    "sessions.messages.bad_client": "sessions-client-in-bytes",
    "login.messages.missing": "login-no-records",
    "login.messages.log_unknown_hash": "login-unknown-hash",
    "login.messages.log_theft": "login-theft",
    "login.messages.log_cross_site": "login-cross-site",
    "pytest_plugin.messages.left_behind": "left-open still-referenced",
    **{
        f"login.messages.{name}": "login-bad-option"
        for name in (
            *("bad_passwords", "bad_times", "bad_prefix", "bad_token_scopes"),
            *("bad_age", "bad_scopes", "bad_end", "bad_model", "bad_throttle"),
        )
    },
    "embedded._error": "mongodb-no-server-program mongodb-folder-in-use",
}
# They make parts of what others say, or none of it.
PARTS = {"own_unit", "in_short", "named", "called", "page_for"}
CLASS = r"^[A-Z]\w+(Error|Failed|Refused|Timeout|Large|Conflict|Attempts|Busy|Taken)$"
PREFIXES = {
    "mongo": "mongodb-",
    "sqlalchemy": "sql-",
    "sessions": "sessions-",
    "login": "login-",
}


def sections() -> dict[str, str]:
    """What stands below each heading, by its anchor."""
    parts = re.split(r"^### (.+)\n", PAGE.read_text(), flags=re.M)[1:]
    titles, bodies = parts[::2], parts[1::2]
    anchors = [
        re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles
    ]
    assert len(set(anchors)) == len(anchors)
    return {
        anchor: re.split(r"^## ", body, flags=re.M)[0]
        for anchor, body in zip(anchors, bodies, strict=True)
    }


SECTIONS = sections()


def quotes(anchor: str) -> list[str]:
    """What a section shows: paragraphs, or one line each."""
    shown: str
    (shown,) = re.findall(r"^```\n(.*?)\n```$", SECTIONS[anchor], re.M | re.S)
    return shown.splitlines() if is_list(shown) else shown.split("\n\n")


def is_list(shown: str) -> bool:
    """Whether each line is a message of its own, as it ends like one."""
    return all(line.endswith((".", ": …", "'")) for line in shown.splitlines())


def fits(quote: str, text: str) -> bool:
    """Whether *quote* begins *text*: but for line numbers, and ``…``."""
    first = text.strip().split("\n\n")[0]
    quote, first = (re.sub(r"\.py:\d+", ".py:0", each) for each in (quote, first))
    pattern = ".*".join(map(re.escape, quote.split("…")))
    return re.fullmatch(pattern, first, re.S) is not None


def home_of(text: str) -> list[str]:
    return [
        anchor
        for anchor in SECTIONS
        if any(fits(quote, text) for quote in quotes(anchor))
    ]


@pytest.mark.parametrize(
    "path", GOLDEN, ids=lambda path: f"{path.parts[-3]}-{path.stem}"
)
def test_each_message_that_a_test_has_brought_about_is_there_once(
    path: pathlib.Path,
) -> None:
    assert len(home_of(path.read_text())) == 1, path


@pytest.mark.parametrize("anchor", sorted(texts.TEXTS))
def test_each_message_that_is_made_here_is_under_its_heading(anchor: str) -> None:
    assert home_of(str(texts.TEXTS[anchor]())) == [anchor]


@pytest.mark.parametrize("anchor", sorted(texts.EMBEDDED))
def test_what_is_said_of_a_server_that_cannot_be_started(
    anchor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    for use in texts.EMBEDDED[anchor]:
        with monkeypatch.context() as patch:
            text = texts.raised(functools.partial(use, patch, tmp_path))
        assert home_of(text) == [anchor]


def said_in_the_source() -> str:
    """All text in the source, with `…` for what is filled in."""
    found: list[str] = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    str(each.value) if isinstance(each, ast.Constant) else "…"
                    for each in node.values
                )
                found.append("".join(parts))
    return "\n".join(found)


def test_nothing_on_the_page_is_said_by_nobody() -> None:
    known = [path.read_text() for path in GOLDEN]
    known += [str(make()) for make in texts.TEXTS.values()]
    source = said_in_the_source()
    for anchor in SECTIONS:
        for quote in quotes(anchor):
            by_a_test = any(fits(quote, text) for text in known)
            plain = re.sub(r": …$|…", "", quote)
            assert by_a_test or plain in source or quote in source, quote


def message_functions() -> dict[str, list[str]]:
    """What makes messages, and of which classes these are (none, if it is text)."""
    found: dict[str, list[str]] = {}
    kinds = [name for name, each in vars(errors).items() if isinstance(each, type)]
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.name in PARTS:
                continue
            public = path.stem.endswith("messages") and not node.name.startswith("_")
            makes = [
                each.func.id
                for each in ast.walk(node)
                if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
            ]
            if public or {*kinds, "MongodError"}.intersection(makes):
                own = [each for each in makes if re.search(CLASS, each)]
                found[f"{module}.{node.name}"] = own
    return found


def headings_of(function: str) -> list[str]:
    package, _, name = function.rpartition(".")
    prefix = PREFIXES.get(package.partition(".")[0], "")
    return HEADINGS.get(function, prefix + name.replace("_", "-")).split()


def test_each_function_that_makes_a_message_has_its_heading() -> None:
    functions = message_functions()
    assert len(functions) > 80
    # One that is for a unit of the pytest plugin, and is seen by nobody.
    del functions["pytest_plugin.units.rolled_back"]
    for function, classes in functions.items():
        for anchor in headings_of(function):
            assert anchor in SECTIONS, function
            said = SECTIONS[anchor].lstrip().splitlines()[0]
            for name in classes:
                assert re.search(rf"`([\w.]+\.)?{name}`", said), function
    assert HEADINGS.keys() <= functions.keys() | {
        "extras.brought_by",
        "teardown.raise_together",
    }


LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def logged() -> list[str]:
    """The formats of all that is logged, but for what is a message as a whole."""
    found: list[str] = []
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
            ):
                found += [
                    text for first in node.args[:1] for text in _texts(tree, first)
                ]
    return [each for each in found if each not in ("%s", "%s: %s")]


def _texts(tree: ast.Module, node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.Starred):
        # A tuple, whose first part is a name.
        return _of_name(tree, "text")
    return _of_name(tree, node.id) if isinstance(node, ast.Name) else []


def _of_name(tree: ast.Module, name: str) -> list[str]:
    return [
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and any(isinstance(each, ast.Name) and each.id == name for each in node.targets)
    ]


def test_everything_that_is_logged_is_there() -> None:
    shown = [quote for anchor in SECTIONS for quote in quotes(anchor)]
    found = logged()
    assert len(found) > 20
    for text in found:
        assert text in shown
    assert "Answered %s [%s] with %d" in found


def test_all_classes_are_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*? \|(?: `(\w+)`)?", PAGE.read_text(), re.M)
    public: dict[str, t.Any] = vars(importlib.import_module("flask_scopes"))
    made = {
        name: each
        for name, each in public.items()
        if isinstance(each, type)
        and issubclass(each, errors.ScopesError)
        and each is not errors.ScopesError
    }
    assert {name for name, _ in rows} == made.keys()
    for name, base in rows:
        bases = {each.__name__ for each in made[name].__mro__}
        assert not base or base in bases
        further = {"TypeError", "TimeoutError", "ExceptionGroup"} & bases
        assert further == ({base} if base else set())


def test_each_link_leads_somewhere() -> None:
    for page, anchor in re.findall(r"\]\(([\w-]+\.md)?#?([\w-]*)\)", PAGE.read_text()):
        target = PAGE.parent / (page or PAGE.name)
        assert target.exists(), page
        if anchor:
            titles = re.findall(r"^#{1,3} (.+)$", target.read_text(), re.M)
            known = [
                re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-")
                for each in titles
            ]
            assert anchor in known, (page, anchor)
