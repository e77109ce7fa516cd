"""Requests that are not to write: by a decorator of their view, or by their method."""

from __future__ import annotations

import typing as t

from . import contexts

# "Safe", by RFC 9110, 9.2.1. (TRACE comes to no view.)
_SAFE: t.Final = ("GET", "HEAD", "OPTIONS")


def forbid_writes() -> None:
    """From now on the current request, if there is one, is not to write."""
    request = contexts.innermost_request.get(None)
    if request is not None:
        request.scopes_read_only = True


def writes_are_forbidden() -> bool:
    """Whether code here is part of a request that is not to write. What it does in a
    unit of its own is not.
    """
    context = contexts.app_context.get(None)
    if context is None:
        return False
    inner, _ = contexts.locate(context)
    known: bool | None = getattr(inner, "scopes_read_only", None)
    if known is None:
        known = inner.scopes_read_only = _is_safe(inner)
    return known


def _is_safe(context: contexts.Context) -> bool:
    config = t.cast("dict[str, t.Any]", context.app.config)
    # On Flask 3.2 a context may be without a request.
    if not config.get("SCOPES_READ_ONLY_GET") or not contexts.has_request(context):
        return False
    return context.request.method in _SAFE
