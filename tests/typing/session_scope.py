"""What type checkers make of ``@scopes.session``. Checked by mypy and pyright, never
run; an ignore that is not needed is an error in both.
"""

from __future__ import annotations

import dataclasses
import typing as t

from flask_scopes import Scopes
from flask_scopes import SessionResource


@dataclasses.dataclass
class Cart:
    note: str = ""


scopes = Scopes()


@scopes.session
def cart() -> Cart:
    return Cart()


@scopes.session(name="basket")
def named(shop: str, floor: int = 0) -> list[Cart]:
    return []


t.assert_type(cart(), Cart)
t.assert_type(cart().note, str)
t.assert_type(named("a", floor=1), list[Cart])
resource: SessionResource[[], Cart] = cart

cart.clear()
cart.set(Cart())
cart.override(Cart())
named.clear("a")
named.set([], "a", floor=1)

cart(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
cart.set("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
cart.clear("x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
named.set([])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
named.clear()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
scopes.session(name=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
