"""A contender's app with its views, and requests to it, without a test client."""

from __future__ import annotations

import collections.abc as c
import typing as t

from werkzeug.test import EnvironBuilder

from .contenders import compiled
from .contenders import plain

if t.TYPE_CHECKING:
    from flask import Flask

    from .contenders import Contender
    from .contenders import Made
    from .shop import Thing

Views = c.Mapping[str, tuple[c.Sequence[str], str]]
"""Of each path, what the view wants and what it does with it."""

GRAPH_VIEWS: Views = {
    "db": (["Db"], "o0.query()\nreturn 'ok'"),
    "graph": (["Repository"], "return page(o0)"),
    "held": (["Client", "Db"], "return held(o0, o1)"),
    "two": (["Db", "User"], "return held(o0, o1)"),
    "fails": (["Db"], "o0.query()\nraise LookupError('on purpose')"),
}
# The view has a repository; its helpers ask again, as helpers do.
_PAGE = """
def is_open():
    return {Client}.number > 0

def greeting():
    return {User}.name

def note():
    {Db}.query()

def page(repository):
    if not is_open() or not repository.rows():
        return "nothing"
    note()
    return greeting()
"""


class Serving:
    """An app of *contender* with *things*, ready to be asked."""

    def __init__(
        self, contender: Contender, things: c.Sequence[Thing], views: Views
    ) -> None:
        self.name = contender.name
        self.made: Made = contender.make(things)
        self.app: Flask = self.made.app
        self.app.logger.disabled = True
        self.made.names["held"] = self._held
        self._doing: c.Callable[..., object] = lambda *objects: None
        if "graph" in views:
            asks = {thing.name: self.made.ask(thing.name) for thing in things}
            compiled(_PAGE.format_map(asks), self.made.names, "page")
        self.app.add_url_rule("/empty", "empty", lambda: "ok")
        for path, (wanted, body) in views.items():
            self.app.add_url_rule(f"/{path}", path, self.made.view(wanted, body))
        self.made.ready()
        self._environs = {
            path: EnvironBuilder(f"/{path}").get_environ() for path in ["empty", *views]
        }

    def _held(self, *objects: object) -> str:
        self._doing(*objects)
        return "ok"

    def request(self, path: str) -> bytes:
        """The body that a request gets, which is read and closed."""
        body: t.Any = self.app.wsgi_app(dict(self._environs[path]), _start_response)
        try:
            return b"".join(body)
        finally:
            body.close()

    def doing(self, doing: c.Callable[..., object]) -> None:
        """What "/held" calls from now on."""
        self._doing = doing

    def while_holding(self, doing: c.Callable[..., object], path: str = "held") -> None:
        """Call *doing* with the client and the db, in a request of their own."""
        self.doing(doing)
        assert self.request(path) == b"ok", self.name

    def loop(self, name: str) -> c.Callable[[c.Iterable[None]], None]:
        """A loop that asks for *name* each time, and reads an attribute of it."""
        source = (
            f"def loop(repeats):\n for _ in repeats:\n  {self.made.ask(name)}.number"
        )
        return t.cast(
            "c.Callable[[c.Iterable[None]], None]",
            compiled(source, self.made.names, "loop"),
        )

    def ask(self, name: str) -> t.Any:
        """What an ask finds, here and now."""
        return compiled(
            f"def ask():\n return {self.made.ask(name)}", self.made.names, "ask"
        )()


def _start_response(status: str, headers: object, exc_info: object = None) -> t.Any:
    return _write


def _write(data: bytes) -> None:
    pass


class Bare(Serving):
    """Plain Flask with one empty view: what requests are measured against."""

    def __init__(self) -> None:
        super().__init__(plain.contender, (), {})
        self.name = "plain Flask"
