"""What time it is. Tests put another clock in its place."""

from __future__ import annotations

import datetime
import time


def now() -> float:
    """Seconds since 1970, in UTC."""
    return time.time()


def date_of(seconds: float) -> datetime.datetime:
    """The same moment, as people write it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
