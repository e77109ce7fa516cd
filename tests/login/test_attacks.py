"""What attacks come to, and what the documentation says of them."""

from __future__ import annotations

import contextvars
import functools
import importlib.metadata
import pathlib
import tempfile
import warnings

import pytest

from .attacks import ATTACKS
from .targets import TARGETS

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "attacks.md"

WELL = {
    "A streamed page, closed on another thread": "nobody",
    "Two requests in a context pushed by hand": "nobody",
    "What somebody leaves in the session": "gone",
    "Another signs in, and restarts the browser": "as nobody",
    "A copied remember-me cookie, after logout": "nobody",
    "... and used before that": "nobody",
    "... after a new password, chosen elsewhere": "nobody",
    "... after a new password, chosen there": "nobody",
    "... after its owner used it": "both are signed out",
    # For requests that were on their way.
    "... within ten seconds of that": "signed in",
    "... for one page, before its owner": "nobody",
    # Where SQLite is in use already, there is no room to write another one.
    "... after its owner did, on SQLite, late": "signed in",
    "... after 366 days": "nobody",
    "An honest one, after the key was rotated": "signed in",
    # Whoever has all that a browser sends is that browser.
    "A copied session, before and after logout": "signed in, until then",
    "A login of three hours ago, as a fresh one": "asked again",
    "50 guesses in a row": "5 were tried",
    "50 guesses, X-Forwarded-For forged": "5 were tried",
    "48 guesses, the address spelled anew": "5 were tried",
    "50 guesses, on SQLite, after a query": "5 were tried",
    "30 guesses at once": "up to 5 were tried",
    "A stranger's guesses keep the owner out": "only where she never was",
    "Who has an account, by the work": "the same work",
    "`next` to another site": "stays here",
    "A link that signs out": "refused",
    "A form elsewhere signs in as the attacker": "refused",
    "A form elsewhere sends as the victim": "refused",
    "A reset link, used again": "refused",
    "A reset for an address that looks alike": "goes to the victim",
    "Secrets in a copy of the database": "hashes",
    "A token to read, elsewhere": "refused",
    "A token beside somebody's cookie": "the token counts",
    "A public page, kept by a cache": "yes",
}

FLASK = importlib.metadata.version("flask")
OLDER = {"3.1.0", "3.1.1", "3.1.2"}


@functools.cache
def outcome(kind: str, attack: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[kind](pathlib.Path(folder))
        with target.closing, warnings.catch_warnings():
            # Flask-Login's cookie is made with a function that Python gives up.
            warnings.filterwarnings("ignore", "datetime.datetime.utcnow")
            # Contexts that are left behind, are left in there.
            return contextvars.copy_context().run(ATTACKS[attack], target)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_fails(attack: str) -> None:
    assert outcome("flask_scopes.login", attack) == WELL[attack]


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_table_of_the_documentation(attack: str) -> None:
    if attack == "A public page, kept by a cache" and FLASK in OLDER:
        pytest.skip("for them, to ask whether a name is in a session is no look at it")
    rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines()]
    said = {row[0].strip(): [each.strip() for each in row[1:]] for row in rows if row}

    assert said[attack] == [outcome(kind, attack) for kind in TARGETS]


def test_the_documentation_tells_of_no_other_attack() -> None:
    lines = PAGE.read_text().splitlines()
    rows = [line.split("|")[1].strip() for line in lines if line.startswith("|")]

    assert rows[2:] == list(ATTACKS)
    assert list(WELL) == list(ATTACKS)
