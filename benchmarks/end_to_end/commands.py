"""What a view asks of MongoDB, as the server counts it: nothing in the applications has
a part in that.
"""

from __future__ import annotations

import collections
import typing as t

if t.TYPE_CHECKING:
    from .data import Client
    from .views import Visitor

_REQUESTS: t.Final = 20
# What drivers say of themselves to the server, at any time; and what asks for this.
_APART: t.Final = {"hello", "isMaster", "ping", "serverStatus", "endSessions"}


def asked(client: Client, visitor: Visitor) -> dict[str, float]:
    """Commands, and documents in and out, for each request of *visitor*."""
    visitor.browser.send(visitor.request)  # A connection may be opened for it.
    before = _counted(client)
    for _ in range(_REQUESTS):
        visitor.browser.send(visitor.request)
    visitor.browser.close()
    after = _counted(client)
    after.subtract(before)
    return {name: n / _REQUESTS for name, n in sorted(after.items()) if n}


def _counted(client: Client) -> collections.Counter[str]:
    metrics = client.admin.command("serverStatus")["metrics"]
    counted = collections.Counter[str]()
    for name, numbers in metrics["commands"].items():
        if isinstance(numbers, dict) and name not in _APART:
            counted[name] = int(numbers.get("total", 0))
    for name in ("returned", "inserted", "updated", "deleted"):
        counted[f"documents {name}"] = int(metrics["document"][name])
    return counted
