"""The agent: a thread in the application that reports to the operator and obeys its settings.

Invariants:
- Counters wait in the pool and the statistics until a report is made. At most one report is
  unanswered; it is sent again unchanged, with its sequence, before the next one is made. So nothing
  is lost or counted twice, and the memory is bounded however long the operator is away.
- Settings are taken only from an operator whose epoch is not lower than the highest one heard, and
  only if their version is newer. When no operator was heard for as long as they hold, the
  application's own defaults return, and the highest epoch is forgotten: by then the operator that
  had it is gone.
- The data path never waits for this thread. It shares only the pool's and the statistics' short
  locks, which are never held while something is sent.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from homeostat.access import sampling, statistics
from homeostat.access.channel import Channel
from homeostat.access.plans import Explainer
from homeostat.access.pool import Pool
from homeostat.access.protocol import (
    PROTOCOL_VERSION,
    REPORT_BYTES_MAX,
    CallSample,
    CommandDone,
    DatabaseReport,
    Reply,
    Report,
    Settings,
)
from homeostat.access.sampling import SLOW_MS, Capture
from homeostat.access.statistics import Statistics
from homeostat.clock import Clock, SystemClock
from homeostat.driver.sqlite_meter import Meter
from homeostat.driver.wire import Wire
from homeostat.errors import OperatorUnreachableError, ReportRefusedError, SecretError

CAPABILITIES = ("pool.limit",)
COMMANDS_MAX = 100  # acknowledged in one report
BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 2.0
INTERVAL_SECONDS_MIN = 0.05  # an operator can't make an agent spin
INTERVAL_SECONDS_MAX = 60.0
log = logging.getLogger("homeostat.agent")
_handles = itertools.count(1)  # a process may open several databases, or one several times


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an application's agent finds its operator.

    Attributes:
        directory: the operator's data directory; None: HOMEOSTAT_URL and HOMEOSTAT_TOKEN, else the
            default directory (`homeostat.config.data_directory`).
        timeout_seconds: the longest wait for each answer.
        close_seconds: the longest wait for the last report when the database is closed.
        capture: what the operator gets of single calls, to explain and replay them. `values`: the
            statement with its parameters, without those that an operation declares `private` and
            without large ones. Values leave this process over the authenticated channel only, and
            the operator keeps them encrypted. `shapes`: the statements without any value. `off`:
            no single calls; counts only.
        slow_ms: a call of an operation that declares no `expected_ms` is slow from here on, or from
            its own p99 on if that is less (but not below 10 ms).
    """

    directory: Path | None = None
    timeout_seconds: float = 1.0
    close_seconds: float = 0.5
    capture: Capture = "values"
    slow_ms: float = SLOW_MS


@dataclass(frozen=True, slots=True)
class _Pending:
    """A report that has no answer yet."""

    body: bytes
    done: int  # how many acknowledged commands it carries


class Agent:
    """Reports for one pool; `start` it once, `stop` it when the pool is closed."""

    def __init__(
        self,
        options: AgentOptions,
        *,
        application: str,
        pool: Pool,
        statistics: Statistics,
        database: Callable[[], DatabaseReport | None],
        connect: Callable[[], Wire] | None = None,
        meter: Meter | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take what it reports on.

        Args:
            options: how to find the operator.
            application: the name that settings are kept by.
            pool: whose limit the operator may set.
            statistics: what operations cost.
            database: says which database it is, or None as long as no connection was opened.
            connect: opens a connection on which slow statements are explained; None: they are not.
            meter: measures what slow statements cost beside time; None: nothing does.
            clock: tells the time.
        """
        self._options = options
        self._application = application
        self._pool = pool
        self._statistics = statistics
        self._database = database
        self._meter = meter
        self._clock = clock or SystemClock()
        self._explainer = Explainer(connect, clock=self._clock)
        self._channel = Channel(options.directory, timeout_seconds=options.timeout_seconds)
        self._boot = uuid.uuid4().hex
        self._host = socket.gethostname()
        self._name = self._new_name()
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pending: _Pending | None = None
        self._sequence = 0
        self._failures = 0
        self._trouble = ""
        self._epoch = 0
        self._version = 0
        self._expires_at: float | None = None
        self._done: list[CommandDone] = []
        self._counters: dict[str, float] = {}
        self._made_at = self._clock.monotonic()
        self._cpu_seconds = _cpu_seconds()

    def _new_name(self) -> str:
        """Return a name that no other handle of this process has, nor of another host's."""
        parts = [self._application, str(os.getpid())]
        if self._options.directory is None and "HOMEOSTAT_URL" in os.environ:
            parts.insert(1, self._host)
        number = next(_handles)
        if number > 1:
            parts.append(str(number))
        return "-".join(parts)

    @property
    def name(self) -> str:
        """Return what reports call this agent."""
        return self._name

    @property
    def applied_version(self) -> int:
        """Return the version of the operator's settings in force; 0: the application's own."""
        return self._version

    @property
    def failures(self) -> int:
        """Return how many reports in a row got no usable answer."""
        return self._failures

    def start(self) -> None:
        """Begin to report; does nothing when already begun."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="homeostat-agent", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Report once more if the operator answers quickly, then end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._options.close_seconds)

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._clock.wait(self._stop, self._guarded())
        for _ in range(2):  # the unanswered report, then the last one
            if not self._failures:
                self._guarded()
        self._channel.close()

    def _guarded(self) -> float:
        """Take a turn; whatever goes wrong in it, the application and the agent go on."""
        try:
            return self.turn()
        except Exception as error:
            self._failed(f"a defect in the agent: {type(error).__name__}: {error}")
            log.debug("The agent's turn failed.", exc_info=True)
            return BACKOFF_SECONDS_MAX

    def turn(self) -> float:
        """Send what is to be sent, obey the answer; return how long to wait, in seconds."""
        self._expire()
        wait = self._exchange()
        if self._expires_at is not None:
            wait = min(wait, max(INTERVAL_SECONDS_MIN, self._expires_at - self._clock.monotonic()))
        return wait

    def _exchange(self) -> float:
        resent = self._pending is not None
        pending = self._pending or self._make()
        if pending is None:
            return BACKOFF_SECONDS_MIN
        self._pending = pending
        try:
            reply = _decoded(self._channel.post(pending.body))
        except ReportRefusedError as error:
            self._pending = None
            return self._failed(str(error))
        except (OperatorUnreachableError, SecretError) as error:
            return self._failed(str(error))
        refused = self._refused(reply)
        if refused:
            self._channel.close()  # look for the operator anew
            return self._failed(refused)
        self._pending = None
        del self._done[: pending.done]
        self._succeeded()
        changed = self._obey(reply)
        if changed or resent:  # acknowledge at once; what was held up follows at once
            return 0.0
        return min(max(reply.next_seconds, INTERVAL_SECONDS_MIN), INTERVAL_SECONDS_MAX)

    def _make(self) -> _Pending | None:
        """Take the counters into a new report; None as long as the database is unknown."""
        database = self._database()
        if database is None:
            return None
        self._sequence += 1
        now = self._clock.monotonic()
        seconds = max(now - self._made_at, 1e-3)
        cpu_seconds = _cpu_seconds()
        series = self._statistics.take()
        done = self._done[:COMMANDS_MAX]
        report = Report(
            v=PROTOCOL_VERSION,
            agent=self._name,
            boot=self._boot,
            sequence=self._sequence,
            database=database,
            application=self._application,
            host=self._host,
            pid=os.getpid(),
            capabilities=list(CAPABILITIES),
            seconds=seconds,
            cpu_share=(cpu_seconds - self._cpu_seconds) / seconds,
            cores=_cores(),
            pools=[self._pool.report()],
            operations=statistics.reports(series),
            applied_version=self._version,
            done=done,
            counters=self._counters,
            samples=self._samples(series),
            repeats=self._statistics.take_repeats(),
        )
        self._made_at, self._cpu_seconds, self._counters = now, cpu_seconds, {}
        body = msgspec.json.encode(report)
        if len(body) > REPORT_BYTES_MAX:
            report = msgspec.structs.replace(report, samples=[])
            body = msgspec.json.encode(report)
        if len(body) > REPORT_BYTES_MAX:
            operations = statistics.reports(statistics.folded(series))
            body = msgspec.json.encode(msgspec.structs.replace(report, operations=operations))
        return _Pending(body, len(done))

    def _samples(self, series: dict[statistics.Key, statistics.Series]) -> list[CallSample]:
        """Return the calls that were kept; slow ones come a report later, with their plan."""
        capture = self._options.capture
        if capture == "off":
            return []
        calls = self._statistics.take_calls(series)
        if self._meter is not None:
            sampling.measured(calls, self._meter)
        ready = self._explainer.explained(
            [call for call in calls if call.slow], last=self._stop.is_set()
        )
        return sampling.samples(ready + [call for call in calls if not call.slow], capture=capture)

    # -- the answer -------------------------------------------------------------------------

    def _refused(self, reply: Reply) -> str:
        """Return why an answer doesn't count, or nothing."""
        if reply.v != PROTOCOL_VERSION:
            return f"the operator speaks version {reply.v} of the agent protocol"
        if reply.error:
            return f"the operator refused the report: {reply.error}"
        if reply.epoch < self._epoch:
            return f"an operator that was replaced (epoch {reply.epoch}) answered"
        return ""

    def _obey(self, reply: Reply) -> bool:
        """Take over settings and commands; return whether there is something to acknowledge."""
        newer = (reply.epoch, reply.settings.version) > (self._epoch, self._version)
        self._epoch = reply.epoch
        self._expires_at = self._clock.monotonic() + reply.settings.expires_seconds
        changed = newer and reply.settings.version != self._version
        if newer:
            changed = self._apply(reply.settings) and changed
        elif reply.settings.version < self._version:
            self._count("settings_stale")
        known = {done.id for done in self._done}
        for command in reply.commands[:COMMANDS_MAX]:
            if command.id not in known:
                detail = f"this agent knows no command {command.kind}"
                self._done.append(CommandDone(command.id, ok=False, detail=detail))
        return changed

    def _apply(self, settings: Settings) -> bool:
        """Put settings in force; return whether they were usable."""
        limits = self._pool.limits
        limit = settings.values.get("pool.limit", limits.limit)
        whole = isinstance(limit, int) and not isinstance(limit, bool)
        if not whole or not 1 <= limit <= limits.limit_max:  # type: ignore[operator]
            self._count("settings_refused")
            log.warning(
                "Refused the operator's pool.limit %r: it must be 1 to %d (PoolLimits.limit_max).",
                limit,
                limits.limit_max,
            )
            return False
        self._resize(int(limit), f"settings {settings.version}")
        self._version = settings.version
        return True

    def _expire(self) -> None:
        """Return to the application's own defaults when no operator was heard for too long."""
        if self._expires_at is None or self._clock.monotonic() < self._expires_at:
            return
        if self._version:
            self._count("settings_expired")
        self._expires_at = None
        self._epoch = self._version = 0
        self._resize(self._pool.limits.limit, "no operator was heard")

    def _resize(self, limit: int, why: str) -> None:
        if limit != self._pool.limit:
            log.info("Pool %s: %d connections (%s).", self._pool.limits.name, limit, why)
            self._pool.resize(limit)

    # -- trouble ----------------------------------------------------------------------------

    def _failed(self, trouble: str) -> float:
        """Log a new trouble once; return how long to wait before the next try, in seconds."""
        if trouble != self._trouble:
            log.warning("No report to the operator: %s", trouble)
            self._trouble = trouble
        self._count("failures")
        wait = BACKOFF_SECONDS_MIN * 2.0 ** min(self._failures, 10)
        self._failures += 1
        return min(wait, BACKOFF_SECONDS_MAX) * random.uniform(0.5, 1.0)  # noqa: S311  no secret

    def _succeeded(self) -> None:
        if self._trouble:
            log.info("The operator answers again.")
        self._failures, self._trouble = 0, ""

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0.0) + 1.0


def _decoded(answer: bytes) -> Reply:
    try:
        return msgspec.json.decode(answer, type=Reply)
    except msgspec.DecodeError as error:
        message = "What answered is not an operator, or another version."
        raise OperatorUnreachableError(message, detail=str(error)[:200]) from None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system
