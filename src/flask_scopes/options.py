"""How an application resource is kept, beyond its factory."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import typing as t


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What ``@scopes.application(...)`` was given."""

    eager: bool = False
    """Whether it is built when a process begins to serve."""
    fork: str = "rebuild"
    """What a forked process does: ``"rebuild"``, or ``"share"`` the parent's."""
    ping: c.Callable[[t.Any], object] | None = None
    """Asks an object whether it is well."""
    check: c.Callable[[t.Any], object] | None = None
    """Asks an object whether it may be handed out once more."""
    every: float = math.inf
    """How often *check* is asked at most, in seconds."""

    def problem(self) -> str | None:
        """What is wrong with them, as the end of a sentence; None if nothing is."""
        if self.fork not in ("rebuild", "share"):
            return f'fork is "rebuild" or "share", not {self.fork!r}'
        for name in ("ping", "check"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                return f"{name} is called with the object, and {value!r} cannot be"
        if not _is_time(self.every):
            return f"every is a number of seconds from 0 on, not {self.every!r}"
        if self.check is None and self.every != math.inf:
            return "every says how often check is asked, and there is no check"
        if self.check is not None and self.every == math.inf:
            return "there is a check, and every does not say how often it is asked"
        return None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


NONE: t.Final = Options()
"""Those of a resource that was given none."""


def is_well(ask: c.Callable[[t.Any], object], made: object) -> bool:
    """What a *ping* or a *check* means by its answer: only False is a no. A driver's
    command returns what it likes, and says by an exception that it failed.
    """
    return ask(made) is not False
