"""What is said of a test that has left something behind.

Each text has the four parts that ``messages.py`` tells of.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

if t.TYPE_CHECKING:
    from ..recording.leaks import Asked
    from ..recording.leaks import Leak
    from .left import Left


def left_behind(left: c.Sequence[Left], leaks: c.Sequence[Leak]) -> str:
    """All that one test has left behind; nothing, if there is nothing."""
    parts = [*map(_left_open, left), *map(_still_referenced, leaks)]
    if not parts:
        return ""
    return "\n\n".join([*parts, _MAY])


_MAY: t.Final = 'If the test means to, mark it: @pytest.mark.scopes_may_leak("why").'


def _left_open(left: Left) -> str:
    first = left.objects[0]
    more = f" and {len(left.objects) - 1} more" if len(left.objects) > 1 else ""
    what = (
        "left open by this test until the garbage collector came: no order was kept,"
        " and nothing committed"
        if left.is_lost
        else "left open by this test"
    )
    path = "".join(
        f"    {each.resource!r} ({each.place}), asked for at {each.asked_at}\n"
        for each in left.objects
    )
    return (
        f"{first.resource!r} ({first.place}){more} was {what}.\n\n"
        f"The context that it lives in was pushed at {left.pushed_at}, and never"
        f" popped:\n\n{path}\n"
        "To fix it, leave the context where it was entered: `with app.app_context():`,"
        " `with\napp.test_request_context():`, `with scopes.unit(app):`, or a pop() in"
        " the fixture that pushed it."
    )


def _still_referenced(leak: Leak) -> str:
    holders = "".join(f"    {each}\n" for each in leak.holders)
    path = holders or "    nobody that can be found: code that still runs, perhaps\n"
    return (
        f"{_named(leak)} was closed in this test, and is still referenced.\n\n"
        f"It is a {leak.type}, was asked for at {leak.asked_at}, and is held by:\n\n"
        f"{path}\n"
        "Whoever uses it there uses what is closed, or what was another visitor's.\nTo"
        " fix it, keep what you need of it (an id, a value), or keep the function, and"
        f" call\n{leak.resource}() where it is used."
    )


def _named(asked: Asked) -> str:
    return f"{asked.resource!r} ({asked.place})"
