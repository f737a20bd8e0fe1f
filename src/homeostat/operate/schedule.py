"""When tasks run: fixed intervals without drift, each task isolated from the others.

A task's n-th run is due at start + n * interval, whatever the runs before took. A task that is
still running when it is due again is not started twice: the run is missed and counted. A task that
raises is reported and goes on at its next time; the others never notice.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from homeostat.clock import Clock

log = logging.getLogger(__name__)
IDLE_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do at fixed intervals."""

    name: str
    interval_seconds: float
    action: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Routine:
    """A set of tasks under one name, e.g. `monitoring`."""

    name: str
    tasks: Sequence[Task]


@dataclass(slots=True)
class _Entry:
    task: Task
    routine: str
    start: float
    count: int = 0  # runs that were due so far
    missed: int = 0
    running: bool = False
    removed: bool = False


@dataclass(slots=True)
class TaskState:
    """How a task is doing, for people."""

    routine: str
    task: str
    interval_seconds: float
    runs: int
    missed: int
    error: str


@dataclass(slots=True)
class Scheduler:
    """Runs routines by a clock.

    `on_error(routine, task, error)` hears of a task that raised; `on_success` of one that did not
    after it had raised before. Both run in the task's thread.
    """

    clock: Clock
    on_error: Callable[[str, str, Exception], None]
    on_success: Callable[[str, str], None]
    executor: Executor | None = None  # None: run in place, for simulations
    _heap: list[tuple[float, int, _Entry]] = field(default_factory=list)
    _serial: int = 0
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _errors: dict[tuple[str, str], str] = field(default_factory=dict)
    _under_way: set[Future[None]] = field(default_factory=set)

    def add(self, routine: Routine) -> None:
        """Start a routine: every task is due now, then at its interval."""
        now = self.clock.monotonic()
        with self._lock:
            for task in routine.tasks:
                self._push(now, _Entry(task, routine.name, now))
        self._wake.set()

    def remove(self, name: str) -> None:
        """Stop a routine; what is running ends by itself."""
        with self._lock:
            for _, _, entry in self._heap:
                entry.removed = entry.removed or entry.routine == name
            self._heap = [item for item in self._heap if not item[2].removed]
            heapq.heapify(self._heap)
            self._errors = {k: v for k, v in self._errors.items() if k[0] != name}

    def states(self) -> list[TaskState]:
        """Return how every task is doing."""
        with self._lock:
            return [
                TaskState(
                    entry.routine,
                    entry.task.name,
                    entry.task.interval_seconds,
                    entry.count - entry.missed,
                    entry.missed,
                    self._errors.get((entry.routine, entry.task.name), ""),
                )
                for _, _, entry in self._heap
            ]

    def step(self) -> float:
        """Start what is due; return the seconds until the next task is due."""
        while True:
            now = self.clock.monotonic()
            with self._lock:
                if not self._heap:
                    return IDLE_SECONDS_MAX
                due, _, entry = self._heap[0]
                if due > now:
                    return min(due - now, IDLE_SECONDS_MAX)
                heapq.heappop(self._heap)
                start = self._take(entry, now)
            if start:
                self._start(entry)

    def run(self) -> None:
        """Run until `stop` is called."""
        while not self._stopped:
            seconds = self.step()
            self.clock.wait(self._wake, seconds)
            self._wake.clear()

    def stop(self) -> None:
        """Make `run` return; tasks under way end by themselves."""
        self._stopped = True
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait for the tasks under way to end, at most so long."""
        with self._lock:
            under_way = set(self._under_way)
        wait(under_way, timeout=seconds)

    def _take(self, entry: _Entry, now: float) -> bool:
        passed = math.floor((now - entry.start) / entry.task.interval_seconds) + 1
        entry.missed += passed - entry.count - 1  # the machine slept, or the clock jumped
        entry.count = passed
        start = not entry.running
        if start:
            entry.running = True
        else:
            entry.missed += 1
        self._push(entry.start + passed * entry.task.interval_seconds, entry)
        return start

    def _push(self, due: float, entry: _Entry) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, entry))

    def _start(self, entry: _Entry) -> None:
        if self.executor is None:
            self._run(entry)
        else:
            future = self.executor.submit(self._run, entry)
            with self._lock:
                self._under_way.add(future)
            future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        with self._lock:
            self._under_way.discard(future)

    def _run(self, entry: _Entry) -> None:
        key = (entry.routine, entry.task.name)
        try:
            if not entry.removed:
                entry.task.action()
        except Exception as error:  # noqa: BLE001  # isolation is this class's purpose
            log.warning("task %s of %s failed: %s", entry.task.name, entry.routine, error)
            self._errors[key] = str(error)
            self.on_error(*key, error)
        else:
            if self._errors.pop(key, None) is not None:
                self.on_success(*key)
        finally:
            entry.running = False


def thread_executor(*, threads_max: int = 8) -> ThreadPoolExecutor:
    """Return the executor that tasks run in."""
    return ThreadPoolExecutor(threads_max, thread_name_prefix="task")
