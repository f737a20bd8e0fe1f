"""The trouble `lock-holder`: the process `nightly-report` takes the write lock and sits on it.

First for moments and after some seconds for long. Writers queue and fill the pool, whatever its
size: only the end of the holder helps.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass

REPORT_NAME = "nightly-report"
STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    strength: float


class LockHolder:
    """The nightly report: starts it, knows its pid, ends it."""

    def __init__(self, url: str) -> None:
        """Remember which database it is to lock; nothing runs yet."""
        self._url = url
        self._running: _Running | None = None

    @property
    def pid(self) -> int | None:
        """Return the process that holds the lock, or None when it does not run."""
        running = self._running
        return (
            None if running is None or running.process.poll() is not None else running.process.pid
        )

    @property
    def strength(self) -> float | None:
        """Return the part of the time that the lock is held; None: it does not run."""
        running = self._running
        return None if running is None or running.process.poll() is not None else running.strength

    def start(self, strength: float) -> None:
        """Start it, anew with another strength: the part of the time that the lock is held."""
        running = self._running
        if running is not None and running.process.poll() is None:
            if running.strength == strength:
                return
            self.stop()
        process = subprocess.Popen(  # noqa: S603  our own module with our own interpreter
            [
                sys.executable,
                "-m",
                "homeostat.sample.nightly_report",
                f"--name={REPORT_NAME}",
                f"--held-share={strength:g}",
                f"--parent={os.getpid()}",
                "-",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self._running = _Running(process, strength)
        assert process.stdin is not None, "it was asked for"  # noqa: S101
        process.stdin.write(self._url.encode() + b"\n")  # a URL may hold a password: not in argv
        process.stdin.flush()

    def stop(self) -> None:
        """End it, by its own pid; does nothing when it does not run."""
        running, self._running = self._running, None
        if running is None:
            return
        process = running.process
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # the disk has it: its end is sure
                process.wait(STOP_SECONDS)
