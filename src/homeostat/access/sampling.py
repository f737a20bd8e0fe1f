"""Which calls are kept whole for the operator: a few of each operation at random, and slow ones.

A call is chosen by a counter, so that the calls that are not chosen cost one comparison. Each
operation has a reservoir of its own between two reports (Vitter's reservoir, filled by Li's skips:
"Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", 1994), and the slowest of its
slow calls are kept besides. Weights say how many calls a sample stands for; the weights of an
operation add up to its calls. Nothing here waits, and `Statistics` changes it under its lock.

It never keeps a parameter that the operation declares private or any of a call of enhanced privacy,
nor a value that is too large.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from homeostat.access.caller import NO_SEGMENT
from homeostat.access.operation import Operation
from homeostat.access.protocol import CallSample, CostReport
from homeostat.access.values import PARAMETER_BYTES_MAX, encoded
from homeostat.driver.redact import redact
from homeostat.driver.sqlite_meter import Meter
from homeostat.driver.wire import Params

Capture = Literal["values", "shapes", "off"]
CAPTURES = ("values", "shapes", "off")

RESERVOIR = 2  # calls kept at random, an operation and report: 12 operations are 12 a second
SLOW_KEPT = 2  # slow calls kept besides, the slowest
SAMPLES_MAX = 100  # in one report
SAMPLES_BYTES_MAX = 200_000  # in one report, of protocol.REPORT_BYTES_MAX
SQL_BYTES_MAX = 10_000  # calls of larger statements are not kept
TALLIES_MAX = 256  # as statistics.SERIES_MAX; further operations are not sampled
SLOW_MS = 100.0  # without a word from the application: twice the 50 ms that are promised to users
SLOW_MS_MIN = 10.0  # the p99 the data path aims at; a p99 below it makes no call slow
SLOW_CALLS_MIN = 100  # fewer calls in a report tell no p99
MEASURED_US_MIN = 5_000.0  # to measure a call takes 0.1 ms, 2 % of this
NEVER = math.inf


@dataclass(slots=True)
class Call:
    """One call as it was seen; `params` holds what may be needed to explain it here.

    `params` never holds values larger than PARAMETER_BYTES_MAX; their names are in `omitted`.
    """

    operation: Operation | None  # None: plain SQL
    name: str
    sql: str
    params: dict[str, object]
    omitted: list[str]
    at: float
    latency_us: float
    rows: int
    write: bool
    segment: str
    transaction: str = ""
    weight: float = 1.0
    slow: bool = False
    plan: str = ""
    private: bool = False  # no value and no segment of it leaves the process
    cost: CostReport | None = None  # of calls of this statement that were measured


@dataclass(slots=True)
class Tally:
    """One operation's counter and what is kept of it.

    Attributes:
        seen: calls since the last report.
        next_at: the call, counted by `seen`, that is kept next.
        slow_us: a call that took longer is looked at; an operation that declares `expected_ms` is
            judged by that instead.
        slow_seen: slow calls since the last report.
    """

    slow_us: float
    next_at: float
    seen: int = 0
    slow_seen: int = 0
    kept: list[Call] = field(default_factory=list)
    slowest: list[Call] = field(default_factory=list)
    skip: float = 1.0  # Li's W

    def add(self, call: Call, threshold_us: float) -> None:
        """Keep a call that was chosen, or not, when it turns out not to be slow."""
        if call.slow or call.latency_us > threshold_us:
            self._add_slow(call)
        elif self.seen >= self.next_at:
            self._add_chosen(call)

    def _add_slow(self, call: Call) -> None:
        call.slow = True
        self.slow_seen += 1
        if len(self.slowest) < SLOW_KEPT:
            self.slowest.append(call)
            return
        least = min(range(SLOW_KEPT), key=lambda i: self.slowest[i].latency_us)
        if self.slowest[least].latency_us < call.latency_us:
            self.slowest[least] = call

    def _add_chosen(self, call: Call) -> None:
        if len(self.kept) < RESERVOIR:
            self.kept.append(call)
            if len(self.kept) < RESERVOIR:
                self.next_at = self.seen + 1
                return
        else:
            self.kept[random.randrange(RESERVOIR)] = call  # noqa: S311  no secret
        self.skip *= random.random() ** (1.0 / RESERVOIR)  # noqa: S311
        chance = 1.0 - random.random()  # noqa: S311  above 0, so that it has a logarithm
        steps = math.log(chance) / math.log1p(-self.skip) if self.skip < 1.0 else 0.0
        self.next_at = self.seen + int(min(steps, 1e15)) + 1

    def take(self) -> list[Call]:
        """Return what was kept, with weights, and begin anew."""
        calls = self.slowest + self.kept
        for part, count in (
            (self.slowest, self.slow_seen),
            (self.kept, self.seen - self.slow_seen),
        ):
            for call in part:
                call.weight = max(1.0, count / len(part))
        self.seen = self.slow_seen = 0
        self.kept, self.slowest = [], []
        self.skip, self.next_at = 1.0, min(self.next_at, 1)
        return calls


class Sampler:
    """The tallies of all operations; `Statistics` holds its lock around every call."""

    def __init__(self, *, capture: Capture = "off", slow_ms: float = SLOW_MS) -> None:
        """Choose what is kept; see `AgentOptions`."""
        if capture not in CAPTURES:
            message = f"capture is one of {', '.join(CAPTURES)}, not {capture!r}"
            raise ValueError(message)
        self.capture: Capture = capture
        self.slow_us = slow_ms * 1000
        self._tallies: dict[str | tuple[str, str], Tally] = {}
        self._rest = Tally(NEVER, NEVER)  # of operations past TALLIES_MAX, and of all when off

    def tally(self, name: str | tuple[str, str]) -> Tally:
        """Return the tally of an operation, or of a transaction's statement (both names)."""
        tally = self._tallies.get(name)
        if tally is None:
            if self.capture == "off" or len(self._tallies) >= TALLIES_MAX:
                return self._rest
            tally = self._tallies[name] = Tally(self.slow_us, 1)
        return tally

    def add(self, tally: Tally, call: Call) -> None:
        """Keep a call that its tally's counter or its own time chose."""
        if tally is self._rest:
            return
        if len(call.sql) > SQL_BYTES_MAX:
            tally.next_at = NEVER  # until the next report
            return
        expected_ms = None if call.operation is None else call.operation.expected_ms
        if expected_ms is not None:
            tally.slow_us = NEVER  # calls later than expected are told by the caller
            tally.add(call, expected_ms * 1000)
        else:
            tally.add(call, tally.slow_us)

    @property
    def on(self) -> bool:
        """Return whether anything is kept."""
        return self.capture != "off"

    def take(self) -> list[Call]:
        """Return what was kept since the last time, in no order that prefers some; begin anew."""
        calls = [call for tally in self._tallies.values() for call in tally.take()]
        random.shuffle(calls)
        return calls

    def learn(self, name: str, *, count: int, p99_us: float) -> None:
        """Take an operation's own p99 for what is slow, if it is lower than `slow_ms`."""
        tally = self._tallies.get(name)
        if tally is not None and tally.slow_us != NEVER and count >= SLOW_CALLS_MIN:
            tally.slow_us = min(self.slow_us, max(p99_us, SLOW_MS_MIN * 1000))


def small(params: Params) -> tuple[dict[str, object], list[str]]:
    """Return a copy of the parameters without the large ones, and the names of these."""
    kept: dict[str, object] = {}
    omitted: list[str] = []
    for name, value in params.items():
        sized = isinstance(value, str | bytes | bytearray | memoryview | list | tuple | dict)
        if sized and len(value) > PARAMETER_BYTES_MAX:  # type: ignore[arg-type]
            omitted.append(name)
        else:
            kept[name] = value
    return kept, omitted


def sample(call: Call, *, capture: Capture) -> CallSample:
    """Return a call as it goes over the wire."""
    secret = frozenset() if call.operation is None else frozenset(call.operation.private)
    if call.private:
        secret |= call.params.keys() | set(call.omitted)
    plain = capture == "values" and not call.private
    parameters: dict[str, object] = {}
    omitted = list(call.omitted)
    for name, value in call.params.items():
        if name in secret:
            continue
        try:
            if capture != "values":
                raise ValueError  # noqa: TRY301
            parameters[name] = encoded(value)
        except ValueError:
            omitted.append(name)
    return CallSample(
        operation=call.name,
        sql=call.sql if call.operation is not None or plain else redact(call.sql),
        parameters=parameters,
        at=call.at,
        latency_us=call.latency_us,
        rows=call.rows,
        write=call.write,
        slow=call.slow,
        weight=call.weight,
        private=sorted(secret & (call.params.keys() | set(call.omitted))),
        transaction=call.transaction,
        segment=NO_SEGMENT if call.private else call.segment,
        plan=call.plan,
        omitted=sorted(set(omitted) - secret),
        cost=call.cost,
    )


def measured(calls: list[Call], meter: Meter) -> None:
    """Add to the calls what was measured of their statements; ask for it of slow ones."""
    meter.want({call.sql for call in calls if call.latency_us >= MEASURED_US_MIN})
    for call in calls:
        found = meter.take(call.sql)
        if found is not None:
            call.cost = CostReport(
                calls=found.calls,
                seconds=found.seconds,
                cpu_seconds=found.cpu_seconds,
                queued_seconds=found.queued_seconds,
                lock_seconds=found.lock_seconds,
                disk_bytes=found.disk_bytes,
                sleeps=found.sleeps,
                others_cpu_seconds=found.others_cpu_seconds,
            )


def samples(calls: list[Call], *, capture: Capture) -> list[CallSample]:
    """Return what fits into a report, the first before the others.

    At most SAMPLES_MAX and SAMPLES_BYTES_MAX; the weights of what did not fit are lost.
    """
    made: list[CallSample] = []
    left = SAMPLES_BYTES_MAX
    for call in calls:
        one = sample(call, capture=capture)
        left -= len(msgspec.json.encode(one))
        if left < 0 or len(made) >= SAMPLES_MAX:
            break
        made.append(one)
    return made
