"""Where a request comes from, and where it may be sent.

Browsers say which site has made them send something: ``Sec-Fetch-Site`` (W3C, Fetch
Metadata), and ``Origin`` where they do not know that yet (RFC 6454, 7). What is sent
without both is no browser's, or an old one's, whose cookies ``SameSite`` does not keep
at home either: forms need a token of their own, as Flask-WTF's.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

if t.TYPE_CHECKING:
    import collections.abc as c

    from flask import Request

# They change nothing: RFC 9110, 9.2.1.
_SAFE: t.Final = {"GET", "HEAD", "OPTIONS", "TRACE"}
# One slash, and neither another one, in either direction, nor what browsers leave out.
_LOCAL: t.Final = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f-\x9f]*")


def is_cross_site(request: Request, trusted: c.Container[str]) -> bool:
    """Whether another site has made a browser send *request*, which may change
    something.

    :param trusted: origins that may, as in ``"https://admin.example.org"``.
    """
    origin = request.headers.get("Origin")
    if request.method in _SAFE or (origin is not None and origin in trusted):
        return False
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # "none" is what somebody has typed. (Another host of one site is another's.)
        return site not in ("same-origin", "none")
    # Without the scheme, which a proxy may have taken away.
    return origin is not None and _host(origin) != request.host


def _host(origin: str) -> str:
    """The host and the port of *origin*; nothing for "null", which hides it."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def local_path(target: str | None) -> str | None:
    """*target*, if it is a path on this site; None if it leads elsewhere, or a browser
    might think so.
    """
    if target is None or not _LOCAL.fullmatch(target):
        return None
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc else target


def is_program(request: Request) -> bool:
    """Whether *request* is for JSON, so that a page to sign in would be no answer."""
    given, accepted = request.authorization, request.accept_mimetypes
    if request.is_json or (given is not None and given.type == "bearer"):
        return True
    if any(kind == "text/html" for kind, _ in accepted):
        return accepted["application/json"] > accepted["text/html"]
    # By a script of a page, as `fetch()` does.
    by_script = request.headers.get("Sec-Fetch-Dest") == "empty"
    return by_script or accepted["application/json"] > accepted["text/html"]
