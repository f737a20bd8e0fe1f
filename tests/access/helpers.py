"""What the tests of the data path share: waiting for a condition, and a small operator."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from homeostat.access import Caller, Database, Operation
from homeostat.access.agent import Agent
from homeostat.access.protocol import OperationReport, Reply, Report, Settings, unpack
from homeostat.measure import Histogram

READ = Operation("note.count", "SELECT count(*) FROM note")


def until(condition: Callable[[], object], *, seconds: float = 5.0) -> None:
    """Wait for a condition with a deadline."""
    limit = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < limit, "the condition was not met in time"
        pause.wait(0.005)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run work in a thread of its own."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class SmallOperator:
    """Takes reports over real HTTP as the operator does, and can misbehave in the ways it may.

    Attributes:
        taken: the reports that counted: each sequence of each boot once.
        posts: how many requests arrived.
        mode: `well`, `frozen` (takes the request, never answers), `lost` (counts the next report
            but hangs up instead of answering), or the bytes of an answer.
        status: the HTTP status of answers.
    """

    def __init__(self, directory: Path, *, epoch: int = 1, token: str = "secret-token") -> None:
        self.directory = directory
        self.epoch = epoch
        self.token = token
        self.settings = Settings(0, 60.0, {})
        self.next_seconds = 0.05
        self.taken: list[Report] = []
        self.posts = 0
        self.mode: str | bytes = "well"
        self.status = 200
        self.connections: set[socket.socket] = set()
        self._seen: set[tuple[str, int]] = set()
        self._thaw = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> SmallOperator:
        """Listen on a free port and write the two files."""
        self._thaw.clear()
        server = self._server = _Server(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        in_thread(lambda: server.serve_forever(poll_interval=0.01))
        self.publish(self.url)
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(self, url: str) -> None:
        """Write operator.json and the token as the operator does."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        token = self.directory / "token"
        token.write_text(self.token + "\n")
        token.chmod(0o600)
        found = {"url": url, "pid": os.getpid(), "started": time.time(), "epoch": self.epoch}
        new = self.directory / "operator.json.new"
        new.write_text(json.dumps(found))
        new.replace(self.directory / "operator.json")

    def stop(self) -> None:
        """End abruptly; the files stay, as after kill -9."""
        if self._server is not None:
            self._thaw.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in list(self.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def take(self, body: bytes) -> bytes | None:
        """Return the answer to a report; None: hang up."""
        self.posts += 1
        mode = self.mode
        if mode == "frozen":
            self._thaw.wait(30)
            return None
        if isinstance(mode, bytes):
            return mode
        report = msgspec.json.decode(body, type=Report)
        key = (report.boot, report.sequence)
        if key not in self._seen:
            self._seen.add(key)
            self.taken.append(report)
        if mode == "lost":
            self.mode = "well"
            return None
        reply = Reply(1, self.epoch, self.next_seconds, self.settings)
        return msgspec.json.encode(reply)

    def operations(self) -> list[OperationReport]:
        """Return what all reports that counted say of operations."""
        return [one for report in list(self.taken) for one in report.operations]

    def count(self, operation: str) -> int:
        """Return how often an operation was reported in all."""
        return sum(
            sum(one.latency.counts) for one in self.operations() if one.operation == operation
        )

    def waits(self) -> Histogram:
        """Return every reported wait for a connection."""
        whole = Histogram()
        for report in list(self.taken):
            for pool in report.pools:
                whole.merge(unpack(pool.wait))
        return whole


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of agents that hung up."""


def _handler(operator: SmallOperator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            operator.connections.add(self.connection)

        def finish(self) -> None:
            operator.connections.discard(self.connection)
            with contextlib.suppress(OSError):
                super().finish()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Authorization"] != f"Bearer {operator.token}":
                self._answer(401, b'{"error": "wrong token"}')
                return
            answer = operator.take(body)
            if answer is None:
                self.close_connection = True
                return
            self._answer(operator.status, answer)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


def agent_of(database: Database) -> Agent:
    """Return the agent of a handle."""
    assert database.agent is not None
    return database.agent


def read(database: Database, times: int, segment: str = "none") -> None:
    """Run the reading operation so many times."""
    for _ in range(times):
        database.execute("note.count", caller=Caller(segment=segment))
