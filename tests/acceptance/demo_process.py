"""The real demo in a child process, for stories."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from homeostat.cli.client import Client
from tests.servers import wait_until

USERS = "2000"  # seeded in a second, and enough for everything but a slow statement
STORY_USERS = {"sqlite": "40000", "postgresql": "16000"}  # an index is missed by so many sessions


class Demo:
    """`homeostat demo` as a person starts it; what it prints is kept."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "homeostat"),
                "demo",
                "--data",
                str(data),
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, pattern: str, seconds: float, *, times: int = 1) -> str:
        """Wait for so many lines that match; return the last of them."""
        found: list[str] = []

        def there() -> bool:
            found[:] = [line for line in list(self.lines) if re.search(pattern, line)]
            assert len(found) >= times or self._process.poll() is None, (
                f"the demo ended:\n{self.text}"
            )
            return len(found) >= times

        try:
            wait_until(there, seconds, f"a line like {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None
        return found[times - 1]

    def link(self) -> str:
        return self.until(r"http://127\.0\.0\.1:\d+/login", 60.0).split()[-1]

    def client(self) -> Client:
        self.link()
        return Client(self.data)

    def interrupt(self) -> float:
        """Press Ctrl-C; return the seconds until the demo was gone."""
        start = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20.0)
        self._reader.join(5.0)
        return time.monotonic() - start

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20.0)
        self._reader.join(5.0)
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextlib.contextmanager
def demo(data: Path, *arguments: str) -> Iterator[Demo]:
    """Run the demo until the end of the block."""
    running = Demo(data, *arguments)
    try:
        yield running
    finally:
        if running.exit_code is None:
            running.interrupt()
        running.kill()
