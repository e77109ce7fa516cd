"""Who may look at the inspector: whoever sits at this machine, or has the key.

The socket's address alone says little. A page of another site may make a browser here
ask (DNS rebinding: then ``Host`` is not ours), and what a proxy passes on comes from
this machine too (then a header says for whom).
"""

from __future__ import annotations

import collections.abc as c
import hmac
import ipaddress
import secrets
import typing as t

from werkzeug.http import parse_cookie
from werkzeug.sansio.utils import host_is_trusted

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

COOKIE: t.Final = "scopes_inspector"

# As Werkzeug's debugger has them. The third one of these is not for its function.
_LOCAL = (".localhost", "127.0.0.1")
_LOCAL_6 = "[::1]"
# They begin like that.
_OF_A_PROXY = (
    "HTTP_CF_CONNECTING_IP",
    "HTTP_FORWARDED",
    "HTTP_TRUE_CLIENT_IP",
    "HTTP_VIA",
    "HTTP_X_FORWARDED",
    "HTTP_X_REAL_IP",
)
_ATTEMPTS: t.Final = 10


class Guard:
    """Decides on each request; lives as long as the inspector, and so its key.

    :param hosts: by which names the app is reached from elsewhere, if it may be. Then
        a key is asked for, of everybody.
    """

    def __init__(self, hosts: c.Collection[str] = ()) -> None:
        self.hosts = hosts
        self.key = secrets.token_urlsafe(24) if hosts else ""
        self._wrong: set[str] = set()

    def lets_in(self, environ: WSGIEnvironment) -> bool:
        """Whether whoever sends *environ* may look."""
        if not self.hosts:
            return _is_from_here(environ) and _is_local(_raw(environ, "HTTP_HOST"))
        if not self._knows(environ):
            return False
        try:
            cookies = parse_cookie(environ)
        except UnicodeDecodeError:
            return False
        return COOKIE in cookies and self.is_key(cookies[COOKIE])

    def may_show_key(self, environ: WSGIEnvironment) -> bool:
        """Whether a key may be shown there at all."""
        return bool(self.hosts) and self._knows(environ)

    def _knows(self, environ: WSGIEnvironment) -> bool:
        host = environ.get("HTTP_HOST", "")
        return _is_local(host) or host_is_trusted(host, self.hosts)

    def is_key(self, shown: str) -> bool:
        """Whether *shown* is the key. After ten others nothing is any more, until the
        process is started anew. (One that is shown again is counted once: browsers
        keep what an earlier process gave them.)
        """
        if len(self._wrong) >= _ATTEMPTS:
            return False
        if hmac.compare_digest(shown.encode(), self.key.encode()):
            return True
        self._wrong.add(shown[:100])
        return False


def _raw(environ: WSGIEnvironment, name: str) -> str:
    """What the server itself has put into *environ*: a header of the client's may have
    replaced it since.
    """
    before: dict[str, str | None] = environ.get("werkzeug.proxy_fix.orig", {})
    value = before.get(name) or environ.get(name)
    return value if isinstance(value, str) else ""


def _is_from_here(environ: WSGIEnvironment) -> bool:
    if any(name.startswith(_OF_A_PROXY) for name in environ):
        return False
    try:
        address = ipaddress.ip_address(_raw(environ, "REMOTE_ADDR"))
    except ValueError:
        # A socket in the file system, or nothing that we know.
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_local(host: str) -> bool:
    name, _, port = host.partition("]")
    if f"{name}]" == _LOCAL_6:
        return not port or (port[0] == ":" and port[1:].isdigit())
    return host_is_trusted(host, _LOCAL)
