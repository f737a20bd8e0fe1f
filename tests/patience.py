"""Waits that end: for a line of a program, for threads; in vain is a failure that says so."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import IO, AnyStr

SECONDS_MAX = 60.0  # far more than anything takes; pytest's own limit ends the whole process


def line_of(stream: IO[AnyStr] | None, *, seconds: float = SECONDS_MAX) -> AnyStr:
    """Return the next line that a program says, empty at its end."""
    assert stream is not None, "its output is no pipe"
    said: SimpleQueue[AnyStr] = SimpleQueue()
    # a buffer may hold the line already, so waiting for the pipe would not do
    threading.Thread(target=lambda: said.put(stream.readline()), daemon=True).start()
    try:
        return said.get(timeout=seconds)
    except Empty:
        message = f"the program said nothing within {seconds} s"
        raise AssertionError(message) from None


def joined(*threads: threading.Thread, seconds: float = SECONDS_MAX) -> None:
    """Wait for the end of threads."""
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), f"the thread {thread.name} still runs after {seconds} s"
