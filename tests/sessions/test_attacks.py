"""What attacks come to, and what the documentation says of them."""

from __future__ import annotations

import contextlib
import pathlib
import warnings

import pytest

from .attacks import ATTACKS
from .attacks import KINDS
from .attacks import Target

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "sessions.md"

WELL = [
    "nobody",
    "nobody",
    "nobody",
    "both are kept",
    "kept",
    "nobody, and a new id",
    "searches for a public id",
    "nothing",
]


def outcome(kind: str, attack: str, folder: pathlib.Path) -> str:
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # Of a cookie that is too large: the client never hears of it.
        warnings.simplefilter("ignore")
        target = Target(kind, folder)
        stack.callback(target.closing.close)
        return ATTACKS[attack](target)


@pytest.mark.parametrize(("attack", "well"), [*zip(ATTACKS, WELL, strict=True)])
def test_an_attack_fails(attack: str, well: str, tmp_path: pathlib.Path) -> None:
    assert outcome("ServerSessions", attack, tmp_path) == well


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_table_of_the_documentation(attack: str, tmp_path: pathlib.Path) -> None:
    cells = [outcome(kind, attack, tmp_path / str(at)) for at, kind in enumerate(KINDS)]
    rows = [line.split("|")[1:-1] for line in PAGE.read_text().splitlines()]
    said = {row[0].strip(): [each.strip() for each in row[1:]] for row in rows if row}

    assert said[attack] == cells
