"""Ends what is tried on a copy once nobody wants it any more: the database was detached, say.

A replay is many short statements and an index one long one, so the statement under way is cancelled
again and again until whoever runs them has let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from homeostat.driver.wire import Wire
from homeostat.engine.pace import LOOK_SECONDS
from homeostat.errors import CloneRefusedError, StatementCancelledError

CANCEL_SECONDS = 0.02  # between statements there is nothing to cancel: soon after one is under way


@contextmanager
def while_wanted(wire: Wire, halted: Callable[[], str]) -> Iterator[Wire]:
    """Yield the connection to a copy until `halted` says why it is not wanted any more.

    Args:
        wire: leads to the copy; nobody else cancels its statements.
        halted: as of `Bounds.halted`; asked in a thread of its own.

    Raises:
        CloneRefusedError: a statement was ended for that.
    """
    over = threading.Event()
    why = ""

    def look() -> None:
        nonlocal why
        while not over.wait(CANCEL_SECONDS if why else LOOK_SECONDS):
            why = why or halted()
            if why:
                wire.cancel()

    watching = threading.Thread(target=look, name="wanted", daemon=True)
    watching.start()
    try:
        yield wire
    except StatementCancelledError:
        if not why:
            raise
        raise CloneRefusedError(f"What was tried on the copy was given up: {why}.") from None
    finally:
        over.set()
        watching.join()
