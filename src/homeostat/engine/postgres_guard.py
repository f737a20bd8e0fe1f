"""What ends a copy that is in the way: whatever it is in the middle of, its locks go at once.

A dump holds ACCESS SHARE on every table until it ends, and so does the transaction that a sample is
read in. A change of a table waits for that, and every statement on the table waits behind the
change (PostgreSQL, Explicit Locking): what nobody notices for an hour stops an application the
moment somebody alters a table. An index that is built CONCURRENTLY waits for the copy's snapshot.

The guard looks from a thread of its own, so neither a long statement of the copy nor a slow server
for clones delays it: who waits for a copy is let through LOOK_SECONDS and the time of two short
queries later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter

from homeostat.driver.postgres import PostgresWire
from homeostat.engine.pace import TOO_LONG, Bounds
from homeostat.engine.statements import statement
from homeostat.errors import CloneRefusedError, DatabaseError, HomeostatError

LOOK_SECONDS = 0.5
LOOK_SECONDS_MAX = 5.0  # a source that does not answer for so long has other troubles
WAITED = (
    "A session waited for a lock that the copy held, as one that alters a table does, so "
    "the copy was given up. Copy it when no table is being changed."
)

Stop = Callable[[], object]


class Guard:
    """Looks whether one copy may go on, in a thread from `start` to `close`, and ends it if not."""

    def __init__(
        self, wire: PostgresWire, *, application: str, bounds: Bounds, seconds_max: float
    ) -> None:
        """Take what ends the copy.

        Args:
            wire: a connection to the source, closed by `close`.
            application: what the copy's sessions on the source are called, and no other.
            bounds: says when the copy is not wanted any more.
            seconds_max: how long it may take from now on.
        """
        self._wire = wire
        self._application = application
        self._bounds = bounds
        self._seconds_max = seconds_max
        self._until = perf_counter() + seconds_max
        self._why = ""
        self._stops: list[Stop] = []
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="copy-guard", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def check(self) -> None:
        """Look whether the copy was ended.

        Raises:
            CloneRefusedError: it was; says why.
        """
        if self._why:
            raise CloneRefusedError(self._why)

    @property
    def seconds_left(self) -> float:
        """Return how long the copy may still take."""
        return max(self._until - perf_counter(), 1.0)

    @contextmanager
    def stopping(self, stop: Stop) -> Iterator[None]:
        """Have something of the copy stopped when it ends within the block; may be called often.

        Raises:
            CloneRefusedError: the copy was ended; whatever failed with it is told as that.
        """
        with self._turn:
            self._stops.append(stop)
        try:
            yield
        except HomeostatError:
            self.check()
            raise
        finally:
            with self._turn:
                self._stops.remove(stop)

    def close(self) -> None:
        """Look no more, and close the connection."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._wire.close()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self._why = self._why or self._reason()
            if self._why:
                self._end()

    def _reason(self) -> str:
        """Return why the copy has to end now; empty: it goes on."""
        halted = self._bounds.halted()
        if halted:
            return f"The copy was given up: {halted}."
        if perf_counter() > self._until:
            return f"{TOO_LONG} ({self._seconds_max:g} s)"
        try:
            waits = self._asked("copy_waiters")
        except DatabaseError as error:
            return f"Whether anybody waits for the copy could not be asked: {error}"
        return WAITED if waits else ""

    def _end(self) -> None:
        """End what is under way; again at each look, for what was between two statements."""
        with suppress(DatabaseError):  # then its programs and connections, which hang up
            self._asked("copy_end")
        with self._turn:
            for stop in self._stops:
                with suppress(HomeostatError, OSError):
                    stop()

    def _asked(self, name: str) -> object:
        named = {"application": self._application}
        text = statement("postgresql", name)
        return self._wire.execute(text, named, deadline_ms=1000 * LOOK_SECONDS_MAX).scalar()
