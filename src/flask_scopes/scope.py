"""The scopes, from the longest life to the shortest."""

from __future__ import annotations

import enum


class Scope(enum.Enum):
    """How long the objects of a resource live."""

    APPLICATION = "application"
    """One per Flask app and process: until the app is closed."""

    REQUEST = "request"
    """One per unit of work (a request, a command, an app context): until it ends."""

    def outlives(self, other: Scope) -> bool:
        """Whether objects of this scope are still there when those of *other*
        are gone.
        """
        return self is Scope.APPLICATION and other is not Scope.APPLICATION

    def __str__(self) -> str:
        return self.value
