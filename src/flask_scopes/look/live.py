"""What a server that runs on this machine tells of its objects: its inspector."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import typing as t
import urllib.error
import urllib.parse
import urllib.request

_SECONDS: t.Final = 5
_LARGEST: t.Final = 16 * 1024 * 1024
_PATH: t.Final = "/_scopes/resources.json"


class NotLive(Exception):
    """There is no such server, or it does not tell."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} {why}")


@dataclasses.dataclass(frozen=True, slots=True)
class Alive:
    """What one resource has made in a process."""

    alive: int
    """How many objects there are now."""
    built: int
    """How many there have been."""
    median_ms: float | None
    """How long it took to build half of them, at most; None if none was."""


def ask(url: str) -> dict[tuple[str, str], Alive]:
    """What the inspector at *url* says, by the name and the place of each resource.

    :raises NotLive: with a text for the user.
    """
    address = _address(url)
    # No proxy, and nowhere else: what is asked for is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    try:
        with opener.open(address, timeout=_SECONDS) as response:
            text: bytes = response.read(_LARGEST)
    except urllib.error.HTTPError as error:
        with error:
            raise NotLive(address, f"answers with {error.code}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotLive(address, f"does not answer: {reason}") from None
    try:
        rows = json.loads(text)["resources"]
        return {(row["name"], row["place"]): _alive(row) for row in rows}
    except (ValueError, LookupError, TypeError):
        raise NotLive(address, "is not an inspector of Flask-Scopes") from None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: t.Any, **kwargs: t.Any) -> None:
        """Goes nowhere: it is an error then."""


def _address(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise NotLive(repr(url), "is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise NotLive(repr(url), "is no address such as http://127.0.0.1:5000")
    if not _is_here(host):
        only = "only localhost, 127.0.0.1 and ::1 are asked"
        raise NotLive(repr(host), f"is not this machine: {only}")
    base = parts.path.partition("/_scopes")[0].rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{base}{_PATH}"


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _alive(row: dict[str, t.Any]) -> Alive:
    median = row["build_median_ms"]
    return Alive(
        int(row["alive"]), int(row["built"]), None if median is None else float(median)
    )
