"""What all that reads an app's config has to look at."""

from __future__ import annotations

import collections.abc as c
import typing as t


def is_by_name(value: object) -> t.TypeGuard[c.Mapping[str, t.Any]]:
    """Whether *value* is a dictionary whose keys are text."""
    if not isinstance(value, c.Mapping):
        return False
    names = t.cast("c.Mapping[object, object]", value)
    return all(isinstance(name, str) for name in names)
