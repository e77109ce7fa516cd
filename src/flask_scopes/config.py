"""What all that reads an app's config has to look at."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask

from .errors import SetupError
from .places import caller


def is_by_name(value: object) -> t.TypeGuard[c.Mapping[str, t.Any]]:
    """Whether *value* is a dictionary whose keys are text."""
    if not isinstance(value, c.Mapping):
        return False
    names = t.cast("c.Mapping[object, object]", value)
    return all(isinstance(name, str) for name in names)


def bad_config(name: str, what: str) -> SetupError:
    """What is said of a setting that cannot be used; never its value.

    :param what: it should be.
    """
    where = f"at {caller()}" if flask.has_app_context() else "as a request began"
    return SetupError(
        f"{name} in the app's config is not what it should be.\n\n"
        f"Read {where}.\n\n"
        f"To fix it, set it to {what}."
    )
