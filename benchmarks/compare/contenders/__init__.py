"""The contenders, one module each.

A contender registers a list of things (see `shop.py`) with an app in its own way, as
its documentation says, and tells two things by source, because a call of a function
around them would cost as much as what is measured:

- ``made.ask("Db")``, the expression by which code anywhere asks for an object;
- ``made.view(["Db"], "return o0.number")``, a view that gets what it wants in the
  contender's own way, be it by asking or as arguments, names it ``o0``, ``o1`` and so
  on, and goes on with that body.

Both are compiled in ``made.names``. ``made.ready()`` is called when all views are
there.
"""

from __future__ import annotations

import abc
import collections.abc as c
import dataclasses
import functools
import importlib
import textwrap
import typing as t

import flask

if t.TYPE_CHECKING:
    from ..shop import Thing

View = c.Callable[..., str]


@dataclasses.dataclass
class Made:
    """An app with things that are registered, and how its code gets at them."""

    app: flask.Flask
    names: dict[str, t.Any]
    ask: c.Callable[[str], str]
    view: c.Callable[[c.Sequence[str], str], View] = None  # type: ignore[assignment]  # set below
    ready: c.Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        if self.view is None:
            self.view = functools.partial(asking_view, self)


class Contender(abc.ABC):
    """One way to do it."""

    name: t.ClassVar[str]
    setup: t.ClassVar[str]
    """In a sentence, for the report."""

    imports: t.ClassVar[str] = ""
    """What a program has to import besides Flask."""

    serves: t.ClassVar[bool] = True
    """Whether it ends what a request has built: else only reads are measured."""

    @abc.abstractmethod
    def make(self, things: c.Sequence[Thing]) -> Made:
        """A new app with these registered."""


def compiled(source: str, names: dict[str, t.Any], name: str) -> t.Any:
    """What *source* defines as *name*; *names* are its globals."""
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), names)
    return names[name]


def asking_view(made: Made, wanted: c.Sequence[str], body: str) -> View:
    """For who takes no arguments, a view that asks for everything."""
    lines = [f"o{index} = {made.ask(name)}" for index, name in enumerate(wanted)]
    return view_of("", [*lines, *body.splitlines()], made.names)


def injected_view(
    names: dict[str, t.Any],
    parameter: str,
    decorator: str,
    wanted: c.Sequence[str],
    body: str,
) -> View:
    """A view that is passed everything: *parameter* has ``{name}`` for the class."""
    parameters = [
        f"o{index}{parameter.format(name=name)}" for index, name in enumerate(wanted)
    ]
    return view_of(", ".join(parameters), body.splitlines(), names, decorator)


def view_of(
    parameters: str,
    lines: c.Sequence[str],
    names: dict[str, t.Any],
    decorator: str = "",
) -> View:
    inside = textwrap.indent("\n".join(lines), "    ")
    source = f"{decorator}\ndef view({parameters}):\n{inside}"
    return t.cast(View, compiled(source, names, "view"))


def asking_factory(
    thing: Thing, names: dict[str, t.Any], ask: c.Callable[[str], str], parameters: str
) -> c.Callable[..., t.Any]:
    """The factory of *thing* as it is written where it has to ask for what it needs."""
    made = f"{thing.name}({', '.join(map(ask, thing.needs))})"
    lines = [f"return {made}"]
    if thing.closes:
        lines = [f"made = {made}", "try:", "    yield made", "finally:"]
        lines.append("    made.close()")
    inside = textwrap.indent("\n".join(lines), "    ")
    names[thing.name] = thing.cls
    name = f"build_{thing.name}"
    source = f"def {name}({parameters}):\n{inside}"
    return t.cast("c.Callable[..., t.Any]", compiled(source, names, name))


_MODULES = [
    "plain",
    "cached",
    "by_hand",
    "proxies",
    "with_svcs",
    "with_dishka",
    "with_wireup",
    "with_flask_injector",
    "with_dependency_injector",
    "with_scopes",
]


def contender(module: str) -> Contender:
    return t.cast(Contender, importlib.import_module(f"{__name__}.{module}").contender)


def all_contenders() -> dict[str, Contender]:
    """By the names of their modules, in the order of the report."""
    return {each: contender(each) for each in _MODULES}
