"""What a project has decided about its sessions."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import typing as t

from . import messages

# Last-seen is written down at most this often, in seconds.
_TOUCH_EVERY: t.Final = 60.0
# There is a last date that can be written.
_LONGEST: t.Final = datetime.timedelta(days=36_525)


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What :class:`~flask_scopes.sessions.ServerSessions` was given. Times in
    seconds.
    """

    user_key: str
    privileged_keys: tuple[str, ...]
    idle: float
    lifetime: float
    grace: float
    refuses_conflicts: bool
    reads_on: bool

    @property
    def touch_every(self) -> float:
        return min(_TOUCH_EVERY, self.idle / 2)

    def expires(self, seen: float, limit: float) -> float:
        """When a session is over, if it is not used any more."""
        return min(seen + self.idle, limit)


def make_policy(
    user_key: str,
    privileged_keys: c.Collection[str],
    times: c.Mapping[str, object],
    on_conflict: str,
    when_down: str,
) -> Policy:
    """
    :raises SetupError: something is not what it should be.
    """
    problem = (
        _problem_of_keys([user_key, privileged_keys])
        or _problem_of_times(times)
        or _problem_of("on_conflict", on_conflict, ("overwrite", "error"))
        or _problem_of("when_down", when_down, ("refuse", "read-only"))
    )
    if problem:
        raise messages.bad_option(problem)
    spans = t.cast("c.Mapping[str, datetime.timedelta]", times)
    return Policy(
        user_key=user_key,
        privileged_keys=tuple(privileged_keys),
        refuses_conflicts=on_conflict == "error",
        reads_on=when_down == "read-only",
        **{name: each.total_seconds() for name, each in spans.items()},
    )


def _problem_of_keys(given: list[t.Any]) -> str | None:
    user_key, privileged = given
    if not isinstance(user_key, str):
        return f"user_key is text, not {user_key!r}"
    if isinstance(privileged, str) or not all(
        isinstance(key, str) for key in privileged
    ):
        return f"privileged_keys are several texts, not {privileged!r}"
    return None


def _problem_of_times(times: c.Mapping[str, object]) -> str | None:
    for name, value in times.items():
        least = 0 if name == "grace" else 1
        if not isinstance(value, datetime.timedelta) or value.total_seconds() < least:
            return f"{name} is a timedelta of {least} seconds or more, not {value!r}"
        if value > _LONGEST:
            return f"{name} is a timedelta of at most a century, not {value!r}"
    return None


def _problem_of(name: str, value: str, known: tuple[str, ...]) -> str | None:
    return None if value in known else f"{name} is one of {known}, not {value!r}"
