"""A running web server around a fake operator, and small clients for it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.applications import Starlette

from homeostat.clock import Clock, SystemClock
from homeostat.config import WebConfig
from homeostat.web import Server, create_app, listen
from homeostat.web.auth import Access
from homeostat.web.stream import Pump
from homeostat.web.troubles import Troubles
from tests.web.fake import FakeConsole

TOKEN = "token-of-the-test-" + "x" * 20
DEADLINE_SECONDS = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def decode(self, shape: type[T]) -> T:
        return msgspec.json.decode(self.body, type=shape)

    @property
    def cookie(self) -> str:
        """The cookie that was set, as `name=value`."""
        return self.headers.get("set-cookie", "").split(";")[0]


@dataclass
class Site:
    """A server that runs."""

    console: FakeConsole
    app: Starlette
    server: Server
    access: Access
    pump: Pump
    clock: Clock

    @property
    def port(self) -> int:
        return self.server.port

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send exactly this."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def program(self, method: str, path: str, *, body: object = None) -> Answer:
        """Ask as a program does, with the token."""
        data = b"" if body is None else json.dumps(body).encode()
        return self.request(method, path, body=data, headers={"Authorization": f"Bearer {TOKEN}"})

    def sign_in(self) -> str:
        """Use a new link; return the cookie."""
        split = urlsplit(self.access.new_link())
        answer = self.request("GET", f"{split.path}?{split.query}")
        assert answer.status == 303
        return answer.cookie

    def page(self, path: str, *, cookie: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Get a page as a signed-in browser does."""
        return self.request("GET", path, headers={"Cookie": cookie, **(headers or {})})

    def form(
        self, path: str, *, cookie: str, headers: Mapping[str, str] | None = None, **fields: str
    ) -> Answer:
        """Send a form as our own page does; headers given replace."""
        sent = {
            "Cookie": cookie,
            "Origin": self.server.url,
            "Content-Type": "application/x-www-form-urlencoded",
            **(headers or {}),
        }
        return self.request("POST", path, body=urlencode(fields), headers=sent)

    def csrf(self, cookie: str) -> str:
        """The token that this session's pages carry."""
        session = cookie.split("=", 1)[1].split(".", maxsplit=1)[0]
        return self.access.csrf(session)


@contextmanager
def running_site(
    console: FakeConsole,
    directory: Path,
    *,
    clock: Clock | None = None,
    config: WebConfig | None = None,
    port: int = 0,
    troubles: Troubles | None = None,
) -> Iterator[Site]:
    """Run a server until the block ends."""
    clock = clock or SystemClock()
    listener = listen(port)
    app = create_app(
        console,
        token=TOKEN,
        config=config or WebConfig(),
        port=listener.getsockname()[1],
        clock=clock,
        directory=directory,
        troubles=troubles,
    )
    server = Server(app, listener)
    server.start()
    try:
        yield Site(console, app, server, app.state.access, app.state.pump, clock)
    finally:
        server.stop()


@dataclass(frozen=True)
class Message:
    """One server-sent message."""

    event: str
    data: Any
    id: str = ""


class Stream:
    """An open event stream, read as far as a test asks."""

    def __init__(self, site: Site, path: str = "/api/v1/events", *, last: str = "") -> None:
        self._socket = socket.create_connection(("127.0.0.1", site.port), DEADLINE_SECONDS)
        resume = f"Last-Event-ID: {last}\r\n" if last else ""
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            f"Authorization: Bearer {TOKEN}\r\n{resume}\r\n".encode()
        )
        self._response = http.client.HTTPResponse(self._socket)
        self._response.begin()
        self.status = self._response.status

    def messages(self) -> Iterator[Message]:
        """Yield messages as they come; ends with the stream."""
        fields: dict[str, str] = {}
        while line := self._response.readline():
            text = line.decode().rstrip("\n")
            if text and not text.startswith(":"):
                name, _, value = text.partition(": ")
                fields[name] = value
            elif not text and "event" in fields:
                data = json.loads(fields["data"])
                yield Message(fields["event"], data, fields.get("id", ""))
                fields = {}

    def take(self, count: int, *, event: str = "finding") -> list[Message]:
        """Return so many messages of a kind."""
        found: list[Message] = []
        for message in self.messages():
            if message.event == event:
                found.append(message)
            if len(found) == count:
                break
        return found

    def close(self) -> None:
        self._response.close()
        self._socket.close()


def until(condition: Any, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
