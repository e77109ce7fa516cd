"""A shop whose visitors have carts, on any kind of session."""

from __future__ import annotations

import dataclasses

import flask

from flask_scopes import Scopes
from flask_scopes import SessionResource


@dataclasses.dataclass
class Line:
    name: str
    count: int = 1


@dataclasses.dataclass
class Cart:
    lines: list[Line] = dataclasses.field(default_factory=list[Line])
    note: str = ""


class Shop:
    """An app with a cart for each visitor."""

    def __init__(self, app: flask.Flask, scopes: Scopes) -> None:
        self.app = app
        self.scopes = scopes
        self.made = 0

        @scopes.session
        def cart() -> Cart:
            self.made += 1
            return Cart()

        self.cart: SessionResource[[], Cart] = cart

        @app.get("/")
        def show() -> str:
            return ",".join(f"{each.name}*{each.count}" for each in cart().lines)

        @app.post("/add/<name>")
        def add(name: str) -> str:
            lines = cart().lines
            for each in lines:
                if each.name == name:
                    each.count += 1
                    break
            else:
                lines.append(Line(name))
            status = flask.request.args.get("status", 200, int)
            if status == 500:
                raise LookupError(name)
            if status > 200:
                flask.abort(status)
            return "added"

        @app.post("/clear")
        def clear() -> str:
            cart.clear()
            return "cleared"

        @app.get("/about")
        def about() -> str:
            return "a shop"
