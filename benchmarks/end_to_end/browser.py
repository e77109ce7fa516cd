"""A browser that costs little: a socket that is kept, and one cookie."""

from __future__ import annotations

import re
import socket
import typing as t
from urllib.parse import urlencode

_TOKEN: t.Final = re.compile(r'name="csrf_token" value="([^"]+)"')
PASSWORD: t.Final = "ink-and-paper"


class Answer(t.NamedTuple):
    status: int
    head: str
    body: str

    @property
    def location(self) -> str | None:
        return self.header("Location")

    def header(self, name: str) -> str | None:
        found = re.search(rf"(?im)^{name}: (.*?)\r?$", self.head)
        return found[1] if found else None


class Browser:
    """Somebody's; lives as long as a run. It is for one thread at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def request(self, method: str, path: str, **form: str) -> bytes:
        """What is to be sent."""
        body = urlencode(form)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: Bench/1"]
        if self.cookie:
            lines.append(f"Cookie: {self.cookie}")
        if method == "POST":
            lines.append("Content-Type: application/x-www-form-urlencoded")
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join([*lines, "", ""]) + body).encode()

    def send(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of what is answered."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), 30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._more()
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        if b"connection: close" in head.lower():
            self.close()
        return int(head[9:12]), head, body

    def _more(self) -> bytes:
        assert self._socket is not None
        more = self._socket.recv(65_536)
        if not more:
            self.close()
            raise ConnectionResetError
        return more

    def ask(self, method: str, path: str, **form: str) -> Answer:
        """Ask as a browser does, which keeps the cookie that it is given."""
        self.close()  # It may have been idle for longer than gunicorn waits.
        status, head, body = self.send(self.request(method, path, **form))
        answer = Answer(status, head.decode(), body.decode())
        set_cookie = answer.header("Set-Cookie")
        if set_cookie:
            self.cookie = set_cookie.partition(";")[0]
            if self.cookie.endswith("="):
                self.cookie = ""
        return answer

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def token(self, path: str = "/") -> str:
        """The secret that a form of *path* sends along."""
        found = _TOKEN.search(self.get(path).body)
        assert found, path
        return found[1]

    def post(
        self, path: str, *, form_of: str = "/entries/new", **fields: str
    ) -> Answer:
        return self.ask("POST", path, csrf_token=self.token(form_of), **fields)

    def sign_in(self, email: str) -> Answer:
        fields = {"email": email, "password": PASSWORD}
        answer = self.post("/", form_of="/", **fields)
        assert answer.status == 302, answer
        return answer
