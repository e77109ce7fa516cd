"""How times are told: round steps of an axis, and few digits."""

from __future__ import annotations

import typing as t

_STEPS: t.Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Round steps, for what takes longer than a second."""


def duration(seconds: float) -> str:
    """For people: ``0.05 ms``, ``5.8 ms``, ``118 ms``, ``4.1 s``, ``5 min``."""
    ms = seconds * 1000
    if ms < 0.0995:
        return f"{ms:.2f} ms"
    if ms < 99.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def step_of(least: float) -> float:
    """The first round step from *least* on."""
    if least > 1:
        return next((step for step in _STEPS if step >= least), _hours(least))
    size = 1.0
    while size > least:
        size /= 10
    return next(size * by for by in (1, 2, 5, 10) if size * by >= least * (1 - 1e-9))


def _hours(least: float) -> float:
    return (least // 3600 + 1) * 3600


def unit_of(length: float) -> tuple[float, str]:
    """In what an axis of *length* seconds is told: its seconds, and its name."""
    if length < 1.5:
        return 0.001, "ms"
    return (1, "s") if length < 180 else (60, "min")
