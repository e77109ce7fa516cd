"""The scopes, from the longest life to the shortest."""

from __future__ import annotations

import enum


class Scope(enum.Enum):
    """How long the objects of a resource live."""

    APPLICATION = "application"
    """One per Flask app and process: until the app is closed."""

    SESSION = "session"
    """One per visitor: as long as their session. In memory it is there, like those of
    :attr:`REQUEST`, until the work of a request is finished.
    """

    SENT = "until sent"
    """One per unit of work, like :attr:`REQUEST`; but what a request has of these
    is there until the body of its response was sent or dropped.
    """

    REQUEST = "request"
    """One per unit of work (a request, a command, an app context): until the work
    is finished, which is before the response leaves.
    """

    def outlives(self, other: Scope) -> bool:
        """Whether objects of this scope are still there when those of *other*
        are gone.
        """
        return _LIFE[self] > _LIFE[other]

    def __str__(self) -> str:
        return self.value


_LIFE = {
    Scope.APPLICATION: 3,
    Scope.SESSION: 2,
    Scope.SENT: 1,
    Scope.REQUEST: 0,
}
