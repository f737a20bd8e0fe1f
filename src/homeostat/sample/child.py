"""A process of the demo: it is told things by lines and says things by lines, of JSON."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import IO

from homeostat.clock import Clock

STOP_SECONDS = 1.2  # of the 3 s promised; the next start puts right what is killed after it


class Child:
    """One of our modules in a process of its own; `end_all` ends it."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        heard: Callable[[bytes], None],
        errors: IO[bytes] | None = None,
    ) -> None:
        """Start it.

        Args:
            module: what `python -m` runs.
            arguments: of the command line; no secrets.
            heard: gets each line that it says, in a thread.
            errors: where its standard error goes; None: it is kept for `last_words`.
        """
        self._process = subprocess.Popen(  # noqa: S603  our own module with our own interpreter
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if errors is None else errors,
            start_new_session=True,  # Ctrl-C is for the parent, which ends the others in order
        )
        self._telling = threading.Lock()
        self._reader = threading.Thread(target=self._read, args=(heard,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Return whether it runs no more."""
        return self._process.poll() is not None

    def tell(self, line: bytes) -> None:
        """Write a line to its standard input; nothing happens when it does not listen any more."""
        pipe = self._process.stdin
        with self._telling, contextlib.suppress(OSError, ValueError):
            if pipe is not None:
                pipe.write(line.rstrip(b"\n") + b"\n")
                pipe.flush()

    def last_words(self) -> str:
        """Return what it wrote to standard error, once it has ended."""
        stderr = self._process.stderr
        said = stderr.read().decode(errors="replace").strip() if stderr else ""
        return said.removeprefix("error: ")

    def terminate(self) -> None:
        """Tell it to end."""
        if not self.has_ended:
            self._process.terminate()

    def join(self, seconds: float) -> None:
        """Wait for its end, at most so long; then kill it."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the disk has it: its end is sure
                self._process.wait(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._reader.join(STOP_SECONDS)

    def _read(self, heard: Callable[[bytes], None]) -> None:
        pipe = self._process.stdout
        if pipe is None:
            return
        with pipe:
            for line in pipe:
                heard(line)


def end_all(children: Iterable[Child], clock: Clock) -> None:
    """End processes side by side, all within STOP_SECONDS."""
    ending = list(children)
    until = clock.monotonic() + STOP_SECONDS
    for child in ending:
        child.terminate()
    for child in ending:
        child.join(until - clock.monotonic())
