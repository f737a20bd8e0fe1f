"""What the sample's own processes share: a name to be seen by, an end when told or left alone.

Nothing here knows of databases.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

NAME_BYTES_MAX = 15  # of the kernel (prctl PR_SET_NAME)
_PR_SET_NAME = 15


def name_process(name: str) -> None:
    """Show the name in ps, top and /proc/PID/comm, on Linux; elsewhere the command line has it.

    Args:
        name: at most NAME_BYTES_MAX bytes are shown.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:NAME_BYTES_MAX], 0, 0, 0)


def stop_on_signals(stop: threading.Event) -> None:
    """Set the event on SIGTERM and SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())


class Parent:
    """The process that started this one.

    Make it first of all: a parent that ended before is not noticed, unless its pid is given.
    """

    def __init__(self, pid: int | None = None) -> None:
        """Remember it."""
        self._pid = os.getppid() if pid is None else pid

    @property
    def gone(self) -> bool:
        """Return whether it has ended: then someone else has taken this process over."""
        return os.getppid() != self._pid
