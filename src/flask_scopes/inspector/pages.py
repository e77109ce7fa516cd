"""The pages of the inspector: a small app of its own, which reads and changes nothing.

It has no scripts, no session and no key. Who may look, and the headers that keep a
browser from doing more than it should, are cared for by what stands before it.
"""

from __future__ import annotations

import functools
import logging
import pathlib
import typing as t
import weakref

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import NotFound

from ..graph import formats as graph_formats
from . import drawing
from . import graph_drawing
from . import shown
from . import shown_app
from .axis import duration

if t.TYPE_CHECKING:
    import collections.abc as c

    from ..application import Application
    from ..recording.leaks import Watch
    from ..recording.record import Work
    from ..recording.recorder import Recorder
    from .verdict import Data

_log = logging.getLogger("flask_scopes")

_HERE: t.Final = pathlib.Path(__file__).parent
_ID: t.Final = "<string(length=12):name>"
"""What works.py makes."""


def make_pages(home: Application, recorder: Recorder, watch: Watch) -> flask.Flask:
    """The app with the pages; lives as long as *home*, which owns it.

    :param home: what the app that is looked at keeps.
    :param recorder: what was recorded of it.
    :param watch: what is known of leaks.
    """
    pages = flask.Flask("flask_scopes.inspector", root_path=str(_HERE))
    # (The next line makes the environment that these are of.)
    pages.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    # Not as FLASK_DEBUG says, which is meant for the app that is looked at.
    pages.debug = False
    config = t.cast("dict[str, t.Any]", pages.config)
    config.update(PROPAGATE_EXCEPTIONS=False, PROVIDE_AUTOMATIC_OPTIONS=False)
    pages.add_template_filter(duration, "duration")
    pages.add_template_filter(_took, "took")
    pages.add_template_filter(shown_app.clock, "clock")
    _Pages(home, recorder, watch).add_to(pages)
    return pages


class _Pages:
    """What the pages show; lives as long as their app."""

    def __init__(self, home: Application, recorder: Recorder, watch: Watch) -> None:
        # Weak: *home* owns us.
        self._home = weakref.ref(home)
        self.recorder = recorder
        self.watch = watch
        self.referenced = 0
        """How many objects were still referenced when somebody looked last."""

    def add_to(self, pages: flask.Flask) -> None:
        pages.register_error_handler(Exception, self.failed)
        routes: list[tuple[str, c.Callable[..., t.Any]]] = [
            ("requests", self.requests),
            ("resources", self.resources),
            ("graph", self.graph),
            ("leaks", self.leaks),
            ("health", self.health),
            ("request", self.request),
        ]
        for name, view in routes:
            path = {"requests": "/", "request": f"/requests/{_ID}"}.get(
                name, f"/{name}"
            )
            twin = "/requests" if path == "/" else path
            page = functools.partial(view, as_data=False)
            data = functools.partial(view, as_data=True)
            pages.add_url_rule(path, name, page, methods=["GET"])
            pages.add_url_rule(f"{twin}.json", f"{name}_data", data, methods=["GET"])
        pages.add_url_rule(
            f"/requests/{_ID}.html", "saved", self.saved, methods=["GET"]
        )

    @property
    def home(self) -> Application:
        home = self._home()
        if home is None:
            # It is being taken down.
            raise NotFound
        return home

    # ---- The pages -------------------------------------------------------------

    def requests(self, as_data: bool) -> t.Any:
        works = self.recorder.works
        every = [shown.listed(work, works.running) for work in works.all()]
        text = flask.request.args.get("text", "")[:100].strip()
        show = flask.request.args.get("show", "all")
        by_id = {work.id: work for work in works.all()}
        chosen = [
            each for each in every if shown.is_like(each, by_id[each["id"]], text, show)
        ]
        if as_data:
            return self._data({"requests": chosen})
        longest = max((each["ms"] for each in chosen), default=0.0)
        bars = {
            each["id"]: drawing.small(
                by_id[each["id"]], each["ms"] / 1000, longest / 1000
            )
            for each in chosen
        }
        return self._page(
            "requests.html",
            works=chosen,
            bars=bars,
            every=len(every),
            text=text,
            show=show,
        )

    def request(self, name: str, as_data: bool) -> t.Any:
        work = self._find(name)
        found = shown.in_full(work, self.recorder)
        if as_data:
            return self._data(found)
        names = [each.id for each in self.recorder.works.all()]
        here = names.index(name) if name in names else 0
        return self._page(
            "request.html",
            newer=names[here - 1] if here else None,
            older=names[here + 1] if here + 1 < len(names) else None,
            **self._timeline(work, found),
        )

    def saved(self, name: str) -> flask.Response:
        """One request as a file that needs nothing else: to be attached to an issue."""
        work = self._find(name)
        found = shown.in_full(work, self.recorder)
        style = (_HERE / "static" / "inspector.css").read_text(encoding="utf-8")
        text = self._page("saved.html", style=style, **self._timeline(work, found))
        response = flask.make_response(text)
        response.headers.set(
            "Content-Disposition", "attachment", filename=f"scopes-{work.id}.html"
        )
        return response

    def resources(self, as_data: bool) -> t.Any:
        graph = shown_app.graph(self.home, self.recorder)
        found = shown_app.resources(graph, self.recorder)
        if as_data:
            return self._data(found)
        return self._page("resources.html", **found)

    def graph(self, as_data: bool) -> t.Any:
        graph = shown_app.graph(self.home, self.recorder)
        if as_data:
            return self._data(shown_app.graph_data(graph))
        picture = graph_drawing.draw(graph)
        return self._page(
            "graph.html",
            picture=picture,
            nodes=graph_drawing.nodes(picture, graph_formats.ids_of(graph)),
            wrong=[line.edge for line in picture.lines if line.is_wrong],
            mermaid=graph_formats.mermaid(graph),
        )

    def leaks(self, as_data: bool) -> t.Any:
        found = shown_app.leaks(self.home, self.recorder, self.watch)
        self.referenced = len(found["still_referenced"])
        if as_data:
            return self._data(found)
        return self._page("leaks.html", **found)

    def health(self, as_data: bool) -> t.Any:
        asks = flask.request.args.get("ask") == "1"
        found = shown_app.health(self.home, asks)
        if as_data:
            return self._data(found)
        return self._page("health.html", **found)

    # ---- What they have in common ------------------------------------------------

    def _find(self, name: str) -> Work:
        work = self.recorder.works.find(name)
        if work is None:
            raise NotFound
        return work

    def _timeline(self, work: Work, found: Data) -> Data:
        now = None
        if found["in_progress"]:
            now = shown.length(work, self.recorder.works.running)
        picture = drawing.draw(work, now)
        # It may go on meanwhile, and have more lines by now.
        told = {each["number"]: each for each in found["objects"]}
        rows = [
            (told[line.row.number], line)
            for line in picture.lines
            if line.row.number in told
        ]
        return {"work": found, "picture": picture, "rows": rows}

    def failed(self, error: Exception) -> t.Any:
        """What fails here reaches nobody but who looks."""
        if isinstance(error, NotFound):
            return self._page("missing.html"), 404
        if isinstance(error, HTTPException) and error.code != 500:
            return error.get_response()
        _log.error("A page of the inspector failed", exc_info=error)
        cause = getattr(error, "original_exception", None) or error
        text = f"inspector page failed: {type(cause).__name__}\n"
        return flask.Response(text, 500, mimetype="text/plain")

    def _frame(self) -> Data:
        several = bool(flask.request.environ.get("wsgi.multiprocess"))
        return shown_app.frame(self.home, self.recorder, several)

    def _data(self, found: Data) -> flask.Response:
        return flask.jsonify({**self._frame(), **found})

    def _page(self, template: str, **context: t.Any) -> str:
        frame = self._frame()
        problems = self.referenced + shown_app.known_problems(
            self.home, self.recorder, self.watch
        )
        counts = {
            "requests": frame["kept"],
            "resources": shown_app.how_many(self.home),
            "leaks": problems,
        }
        return flask.render_template(template, frame=frame, counts=counts, **context)


def _took(ms: float | None) -> str:
    """Milliseconds for people."""
    return "\N{EN DASH}" if ms is None else duration(ms / 1000)
