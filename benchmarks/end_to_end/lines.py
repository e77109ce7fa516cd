"""How many lines of code the same views take, with Flask-Scopes and by hand.

    python -m benchmarks.end_to_end.lines

What is counted has a place in both: imports, docstrings, comments and blank lines are
left out, and so is what only the journal has (registering, letters, devices, tokens,
pictures).
"""

from __future__ import annotations

import ast
import sys
import typing as t
from pathlib import Path

from .served import ROOT

Parts: t.TypeAlias = dict[str, tuple[str, ...]]
"""By module, the names of what is counted; none, if that is all of it."""

# A module's other statements are counted where "" is among the names.
OURS: t.Final[dict[str, Parts]] = {
    "clients, databases, indexes": {
        "resources.py": ("mongo", "QUARTER", "people", "accounts", "events", "journal"),
        "seed.py": ("ready",),
    },
    "transactions": {"entries.py": (), "models.py": ()},
    "sessions": {"resources.py": ("store", "sessions", "looked_for")},
    "signing in and out": {
        "resources.py": ("login", "records", "current_user", "owner"),
        "auth.py": (
            *("bp", "NO_MATCH", "sign_in", "sign_out", "sign_in_page"),
            *("after_sign_in", "sign_in_first"),
        ),
        "models.py": ("Audit",),
    },
}


def table() -> list[tuple[str, int, int]]:
    return []


def main() -> None:
    for name, ours, by_hand in table():
        sys.stdout.write(f"{name:<40}{ours:>6}{by_hand:>6}\n")


if __name__ == "__main__":
    main()
