"""Every exception that a user can meet. What they say is in ``messages.py``.

The exceptions keep the facts of their texts as attributes, so that code need not
read the text.
"""

from __future__ import annotations

import collections.abc as c
import typing as t


class ScopesError(RuntimeError):
    """The base of all errors of Flask-Scopes.

    :param text: what the user reads.
    :param path: the names of the resources that led here, the failing one last.
    """

    def __init__(self, text: str, path: c.Iterable[str] = ()) -> None:
        super().__init__(text)
        self.path: tuple[str, ...] = tuple(path)
        """The names of the resources that led here, the failing one last."""


class SetupError(ScopesError):
    """Raised while an app is being set up: at decoration or in ``init_app``."""


class ArgumentsError(ScopesError, TypeError):
    """Raised at the call: arguments that do not fit, or that are not hashable."""


class OutsideScopeError(ScopesError):
    """Raised at the call, where there is nothing that the object could live with."""


class ScopeMismatchError(ScopesError):
    """Raised at the call: a longer life would keep an object of a shorter one."""


class CycleError(ScopesError):
    """Raised at the call: building the object needs the object itself."""


class YieldError(ScopesError):
    """Raised when a generator factory yields no object, or more than one."""


class ClosedError(ScopesError):
    """Raised at the call: the objects of this scope are already torn down, or the
    unit of work is already finished.
    """


class StartError(ScopesError):
    """Raised when a process is about to serve: an eager object cannot be built."""


class CloseTimeout(ScopesError, TimeoutError):
    """Raised when the application is closed: the teardown of an object took longer
    than ``SCOPES_CLOSE_TIMEOUT`` allows, and was interrupted.
    """


class ForkWarning(UserWarning):
    """Shown once in a forked process, at its first use of an application object, if
    others had been built before the fork.
    """


class ReadOnlyError(ScopesError):
    """Raised where a read-only request is about to write: see
    :meth:`~flask_scopes.Scopes.read_only`.
    """


class UnitFailed(ScopesError):
    """Raised at each ``yield`` of a unit that fails without an exception of its own:
    because of the response's status, or of :meth:`~flask_scopes.Scopes.doom`.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The status of the response, if that is why."""


class CommitFailed(ScopesError, ExceptionGroup[Exception]):
    """Raised when a unit that had succeeded so far could not be finished: the group
    of what the teardowns raised. All that was built before the one that failed
    first is rolled back.

    In a request, it reaches ``@app.errorhandler(CommitFailed)`` or else becomes a
    500; elsewhere it is raised where the unit ends.
    """

    # The base refuses to be made by way of RuntimeError, which comes first.
    def __new__(
        cls,
        text: str,
        failures: c.Sequence[Exception],
        resource: str,
        committed: c.Iterable[str] = (),
    ) -> t.Self:
        return ExceptionGroup.__new__(cls, text, failures)

    def __init__(
        self,
        text: str,
        failures: c.Sequence[Exception],
        resource: str,
        committed: c.Iterable[str] = (),
    ) -> None:
        super().__init__(text, [resource])
        self.resource = resource
        """The name of the resource whose teardown failed first."""
        self.committed = tuple(committed)
        """The names of those that had been finished before it, which stay so."""

    @property
    def cause(self) -> Exception:
        """What that teardown raised."""
        return self.exceptions[0]

    def __reduce__(self) -> tuple[object, ...]:
        arguments = (self.message, self.exceptions, self.resource, self.committed)
        return type(self), arguments

    def __str__(self) -> str:
        # Without the number of exceptions, which would follow the last sentence.
        return self.message


class RetryError(ScopesError):
    """Raised when a view that is to be retried answers in a way that cannot be."""


class SessionValueError(ScopesError, TypeError):
    """Raised where a session object is made, set or saved: it is no plain data, or not
    of the type that its factory is annotated to return.
    """


class SessionTooLarge(ScopesError):
    """Raised in debug mode, and logged otherwise: the session has become larger than
    browsers keep. It is not changed then.
    """

    def __init__(self, text: str, size: int, limit: int) -> None:
        super().__init__(text)
        self.size = size
        """How large the cookie would be, in bytes."""
        self.limit = limit
        """How large it may be: ``MAX_COOKIE_SIZE`` in the app's config."""
