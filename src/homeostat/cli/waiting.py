"""Says on a terminal that something is under way, and for how long; in a pipe it says nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

FIRST_SECONDS = 1.0  # what ends sooner needs no word
EVERY_SECONDS = 1.0
CLEAR = "\r\x1b[K"


@contextmanager
def waiting(what: str, *, stream: TextIO | None = None) -> Iterator[None]:
    """Show `what` and the seconds passed while in the context; the line is gone afterwards.

    Args:
        what: what is under way, e.g. `looking`.
        stream: where to; None: standard error.
    """
    out = sys.stderr if stream is None else stream
    if not out.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    done = threading.Event()
    begun = monotonic()

    def show() -> None:
        pause = FIRST_SECONDS
        while not done.wait(pause):
            out.write(f"{CLEAR}{what}: {monotonic() - begun:.0f} s")
            out.flush()
            pause = EVERY_SECONDS

    thread = threading.Thread(target=show, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        out.write(CLEAR if monotonic() - begun >= FIRST_SECONDS else "")
        out.flush()
