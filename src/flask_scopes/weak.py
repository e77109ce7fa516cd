"""What is kept without being held."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import weakref

T = t.TypeVar("T")


def keys(kept: weakref.WeakKeyDictionary[T, t.Any]) -> list[T]:
    """The keys of *kept* that are still there, in their order; all at once, as other
    threads may add to it meanwhile.
    """
    found = [reference() for reference in kept.keyrefs()]
    return [key for key in found if key is not None]
