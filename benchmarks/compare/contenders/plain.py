"""The floor: module globals, functions that return them, and try/finally in the view.

It is no contender for use: two requests at once would share what is in the globals, and
two threads that are first would build the client twice.
"""

from __future__ import annotations

import collections.abc as c

import flask

from ..shop import Thing
from . import Contender
from . import Made
from . import View
from . import compiled
from . import view_of

_APPLICATION = """
{name}_ = None

def get_{name}():
    global {name}_
    if {name}_ is None:
        {name}_ = {name}()
    return {name}_
"""
_REQUEST = """
{name}_ = None

def get_{name}():
    return {name}_
"""


class Plain(Contender):
    name = "plain functions"
    setup = (
        "The floor. Module globals; the view builds and closes in `try` and `finally`. "
        "Not safe with threads."
    )

    def make(self, things: c.Sequence[Thing]) -> Made:
        names: dict[str, object] = {thing.name: thing.cls for thing in things}
        for thing in things:
            source = _APPLICATION if thing.application else _REQUEST
            compiled(source.format(name=thing.name), names, f"get_{thing.name}")
        registered = {thing.name: thing for thing in things}

        def view(wanted: c.Sequence[str], body: str) -> View:
            return _view(registered, names, wanted, body)

        return Made(flask.Flask(__name__), names, "get_{}()".format, view)


def _view(
    registered: dict[str, Thing],
    names: dict[str, object],
    wanted: c.Sequence[str],
    body: str,
) -> View:
    needed = set(wanted)
    for name in reversed(registered):
        if name in needed:
            needed.update(registered[name].needs)
    lines = ["opened = []", "try:"]
    for name, thing in registered.items():
        if name in needed and not thing.application:
            lines.insert(0, f"global {name}_")
            lines.append(f"    {name}_ = {name}({', '.join(map(_held, thing.needs))})")
            if thing.closes:
                lines.append(f"    opened.append({name}_)")
    lines += [f"    o{index} = get_{name}()" for index, name in enumerate(wanted)]
    lines += [f"    {line}" for line in body.splitlines()]
    lines += ["finally:", "    while opened:", "        opened.pop().close()"]
    return view_of("", lines, names)


def _held(name: str) -> str:
    return f"get_{name}()"


contender = Plain()
