"""What ``flask scopes check`` reports. Each code has a section in docs/findings.md."""

from __future__ import annotations

import dataclasses
import typing as t

Level: t.TypeAlias = t.Literal["error", "warn", "note"]
"""``error``: it fails, or does harm, as soon as it is used. ``warn``: it may. ``note``:
worth a look.
"""

LEVELS: t.Final[tuple[Level, ...]] = t.get_args(Level)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be."""

    code: str
    """``S101`` and so on. What it stands for does not change."""
    level: Level
    resource: str
    """The name of the resource that it is about; empty if it is about the app."""
    place: str
    """The ``file:line`` to look at; empty if there is none."""
    message: str
    """What was found, as a sentence without a full stop."""
    advice: str = ""
    """How to fix it."""
    chain: tuple[str, ...] = ()
    """The names of the resources that led there, the one in question last."""

    @property
    def anchor(self) -> str:
        """Where the docs tell of it."""
        return f"findings.md#{self.code.lower()}"
