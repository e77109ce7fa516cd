"""Health views, for those who decide whether a process gets requests, or is replaced.

::

    app.register_blueprint(health(scopes))

``/healthz`` says that the process answers, and asks nothing: a database that is away is
no reason to restart what waits for it. ``/readyz`` says whether it can do its work.
"""

from __future__ import annotations

import typing as t

import flask

from .messages import in_short

if t.TYPE_CHECKING:
    from .extension import Scopes
    from .pings import Ping


def health(
    scopes: Scopes, *, timeout: float = 2.0, build: bool = False
) -> flask.Blueprint:
    """A blueprint with ``/healthz`` and ``/readyz``.

    ``/readyz`` asks, at each request, all objects of *scopes* that have a ``ping``.
    It answers 200 if all are well, otherwise 503, in JSON: for each resource its name,
    its status and the milliseconds that it took. What went wrong is logged; the
    answer names the type of the error alone, as its text may quote a password.

    :param timeout: how many seconds each object has to answer.
    :param build: whether to build what nobody has used yet, and ask that too.
    """
    blueprint = flask.Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def live() -> flask.Response:
        return _answer({"status": "alive"}, 200)

    @blueprint.get("/readyz")
    def ready() -> flask.Response:
        pings = scopes.pings(timeout=timeout, build=build)
        unwell = [ping for ping in pings if not ping.is_well]
        for ping in unwell:
            reason = "" if ping.error is None else f": {in_short(ping.error)}"
            flask.current_app.logger.warning(
                "Not ready: %s is %s%s", ping.name, ping.status, reason
            )
        status = "unavailable" if unwell else "ready"
        resources = [_described(ping) for ping in pings]
        return _answer(
            {"status": status, "resources": resources}, 503 if unwell else 200
        )

    return blueprint


def _described(ping: Ping) -> dict[str, t.Any]:
    told: dict[str, t.Any] = {"name": ping.name, "status": ping.status}
    if ping.seconds is not None:
        told["ms"] = round(ping.seconds * 1000, 1)
    if ping.error is not None:
        told["error"] = type(ping.error).__name__
    return told


def _answer(content: dict[str, t.Any], status: int) -> flask.Response:
    response = flask.jsonify(content)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
