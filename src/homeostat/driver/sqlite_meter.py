"""What chosen statements of SQLite cost beside time: processor, locks, and reading from the disk.

SQLite counts pages that its own cache lacks, but not whether the disk had to be asked: most come
from the machine's memory in a microsecond. Linux tells that of each thread (getrusage(2) with
RUSAGE_THREAD: `ru_inblock`, blocks of 512 bytes that the disk gave), together with how often it
went to sleep, its time on the processor, and its time in the queue for one (proc(5), `schedstat`).
What the process spends on processors beside the thread is read too: who waits for Python's lock
sleeps while another thread runs.

Only statements that somebody wants are measured, and of these so many calls: two readings take
0.1 ms together. Elsewhere nothing is measured. Any thread may use it; nothing waits.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time, thread_time

if sys.platform == "linux":
    import resource

CALLS_MAX = 16  # of a statement that are measured until they are taken
WANTED_MAX = 64  # statements
BLOCK_BYTES = 512  # what Linux counts in, whatever the disk's own blocks are
_QUEUE = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True, slots=True)
class Reading:
    """A thread's counts, or the increase of them over one or several calls.

    Attributes:
        calls: how many they are.
        seconds: from beginning to end.
        cpu_seconds: on a processor.
        queued_seconds: ready to run, with no processor free.
        lock_seconds: asleep for locks of the database.
        disk_bytes: that the disk gave.
        sleeps: how often it went to sleep, for whatever reason.
        others_cpu_seconds: on processors, by the other threads of the process.
    """

    calls: int
    seconds: float
    cpu_seconds: float
    queued_seconds: float
    lock_seconds: float
    disk_bytes: int
    sleeps: int
    others_cpu_seconds: float

    def since(self, before: Reading) -> Reading:
        """Return the increase since an earlier reading of the same thread, as of one call."""
        return Reading(
            1,
            self.seconds - before.seconds,
            self.cpu_seconds - before.cpu_seconds,
            max(0.0, self.queued_seconds - before.queued_seconds),
            self.lock_seconds - before.lock_seconds,
            self.disk_bytes - before.disk_bytes,
            self.sleeps - before.sleeps,
            max(0.0, self.others_cpu_seconds - before.others_cpu_seconds),
        )

    def plus(self, other: Reading) -> Reading:
        """Return the sums."""
        return Reading(
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.queued_seconds + other.queued_seconds,
            self.lock_seconds + other.lock_seconds,
            self.disk_bytes + other.disk_bytes,
            self.sleeps + other.sleeps,
            self.others_cpu_seconds + other.others_cpu_seconds,
        )


class Meter:
    """Measures the calls of statements that are wanted; shared by all connections of a database."""

    def __init__(self) -> None:
        """Want nothing yet."""
        self.wanted: dict[str, deque[Reading]] = {}  # by SQL; another dictionary when that changes

    def want(self, statements: Iterable[str]) -> None:
        """Measure these statements besides those that are wanted, the newest `WANTED_MAX`."""
        if sys.platform != "linux":
            return
        known = dict(self.wanted)
        for sql in statements:
            kept = known.pop(sql) if sql in known else deque[Reading](maxlen=CALLS_MAX)
            known[sql] = kept
        self.wanted = {sql: known[sql] for sql in list(known)[-WANTED_MAX:]}

    def take(self, sql: str) -> Reading | None:
        """Return the sums of what was measured of a statement since the last time, if anything."""
        found = self.wanted.get(sql)
        whole: Reading | None = None
        while found:
            one = found.popleft()
            whole = one if whole is None else whole.plus(one)
        return whole

    def begin(self, sql: str, lock_seconds: float) -> Reading | None:
        """Return the thread's counts before a call of a wanted statement; None: enough is known."""
        found = self.wanted.get(sql)
        return None if found is None or len(found) >= CALLS_MAX else _reading(lock_seconds)

    def end(self, sql: str, before: Reading, lock_seconds: float) -> None:
        """Note what a call took since `before`, on the same thread."""
        found = self.wanted.get(sql)
        if found is not None:
            found.append(_reading(lock_seconds).since(before))


if sys.platform == "linux":

    def _reading(lock_seconds: float) -> Reading:
        usage = resource.getrusage(resource.RUSAGE_THREAD)
        own = thread_time()
        return Reading(
            1,
            perf_counter(),
            own,
            _queued_seconds(),
            lock_seconds,
            usage.ru_inblock * BLOCK_BYTES,
            usage.ru_nvcsw,
            process_time() - own,
        )

else:

    def _reading(lock_seconds: float) -> Reading:
        return Reading(1, perf_counter(), thread_time(), 0.0, lock_seconds, 0, 0, 0.0)


def _queued_seconds() -> float:
    try:
        return int(_QUEUE.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):  # a kernel without it
        return 0.0
