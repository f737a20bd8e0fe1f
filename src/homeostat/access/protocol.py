"""What an agent and the operator say to each other: JSON over loopback HTTP, version 1.

The agent (inside the application) posts a Report every `next_seconds`; the answer is a Reply. All
histograms are of microseconds and hold what happened since the report before. A report that got no
answer is sent again unchanged, with its sequence, before the next one is made; the operator drops a
sequence it has already taken, so nothing is lost or counted twice. Values that the agent cannot
know are null. Settings expire: an agent that hears nothing for `expires_seconds` returns to the
application's own defaults. An operator with a lower epoch than the agent has seen is refused.
"""

from __future__ import annotations

import msgspec

from homeostat.measure import Histogram

PROTOCOL_VERSION = 1
REPORT_PATH = "/agent/v1/report"
REPORT_BYTES_MAX = 1_000_000
AGENT_SETTINGS_EXPIRE_SECONDS = 60.0


class HistogramWire(msgspec.Struct, frozen=True, array_like=True):
    """A measure.Histogram on the wire: bucket indexes, their counts, the sum and the maximum."""

    buckets: list[int]
    counts: list[int]
    total: float
    maximum: float


def pack(histogram: Histogram) -> HistogramWire:
    """Return a histogram as it goes over the wire."""
    counts = histogram.counts
    return HistogramWire(list(counts), list(counts.values()), histogram.total, histogram.max)


def unpack(wire: HistogramWire) -> Histogram:
    """Return the histogram that was packed.

    Raises:
        ValueError: buckets and counts differ in number.
    """
    counts = dict(zip(wire.buckets, wire.counts, strict=True))
    return Histogram(counts, total=wire.total, maximum=wire.maximum)


class LeakReport(msgspec.Struct, frozen=True):
    """A connection that was not given back.

    Attributes:
        name: the operation, transaction or session that took it.
        seconds: how long it was held without a statement.
        stack: where it was taken, `folder/file.py:line function`, the innermost first.
        lost: nobody could have given it back any more, so the pool took it.
    """

    name: str
    seconds: float
    stack: list[str]
    lost: bool = False


class PoolReport(msgspec.Struct, frozen=True):
    """One pool since the last report; shares and means are over `seconds`.

    Attributes:
        name: `main`, unless the application has several.
        limit: the most connections it may hold now.
        limit_default: the application's own limit.
        in_use: connections taken at the moment of the report.
        in_use_mean: time-weighted mean.
        in_use_max: the most at one moment.
        waiting: callers waiting at the moment of the report.
        wait: time from arrival to having a connection, of every acquisition, us; those that gave
            up are in it with the time they waited.
        held_seconds: sum over connections of time taken.
        busy_seconds: the part of it with a statement under way.
        lock_seconds: the part of it spent waiting for database locks; null if not known here.
        in_use_seconds: time (s) spent with exactly n connections in use, index n; so that the time
            above any old limit can be computed.
        timeouts: acquisitions that gave up.
        holders: operation name -> seconds held while idle, the largest 8.
        limit_max: the application lets no operator raise the limit past this; null: not said.
        waiting_oldest_seconds: how long the first in the queue has waited at the moment of the
            report; its wait is in `wait` only when it ends.
        leaks: connections held without a statement for longer than the application finds right,
            at the moment of the report, and those taken back within the last minute; at most 10.
        leaked: how many were taken back.
        shed: callers refused because of overload, by criticality.
    """

    name: str
    limit: int
    limit_default: int
    seconds: float
    in_use: int
    in_use_mean: float
    in_use_max: int
    waiting: int
    wait: HistogramWire
    held_seconds: float
    busy_seconds: float
    lock_seconds: float | None
    in_use_seconds: list[float]
    timeouts: int
    holders: dict[str, float]
    limit_max: int | None = None
    waiting_oldest_seconds: float = 0.0
    leaks: list[LeakReport] = []
    leaked: int = 0
    shed: dict[str, int] = {}


class OperationReport(msgspec.Struct, frozen=True):
    """One (operation, segment) since the last report; latency runs from arrival to result.

    `late` counts calls that took longer than the operation's own `expected_ms`. A transaction
    counts as one call under its name; its latency leaves out the application's own time.

    Attributes:
        received_bytes: of the values of its rows, sent_bytes: of its parameters, both estimated
            from some of the calls (see access/volume.py).
        waits: calls that waited for a connection, those that got none included.
        waited_seconds: how long they waited in all.

    None: the agent is older and does not tell.
    """

    operation: str
    segment: str
    latency: HistogramWire
    errors: int = 0
    rows: int = 0
    late: int = 0
    received_bytes: int | None = None
    sent_bytes: int | None = None
    waits: int | None = None
    waited_seconds: float | None = None


class RepeatReport(msgspec.Struct, frozen=True):
    """An operation that was run once for each row that another one returned, since the last report.

    Attributes:
        operation: its name, or that of a transaction.
        after: the operation that returned the rows, right before and for the same caller.
        runs: how many such runs of calls ended.
        calls: how many calls were in them.
    """

    operation: str
    after: str
    runs: int
    calls: int


class CostReport(msgspec.Struct, frozen=True):
    """What calls of a statement cost beside time, on SQLite where the system tells it.

    Attributes:
        calls: how many were measured.
        seconds: from beginning to end, without waiting for a connection; all are sums.
        cpu_seconds: on a processor.
        queued_seconds: ready to run with no processor free.
        lock_seconds: asleep for locks of the database.
        disk_bytes: that the disk gave.
        sleeps: how often the thread went to sleep, for whatever reason.
        others_cpu_seconds: on processors meanwhile, by the other threads of the process.
    """

    calls: int
    seconds: float
    cpu_seconds: float
    queued_seconds: float
    lock_seconds: float
    disk_bytes: float
    sleeps: float
    others_cpu_seconds: float


class CallSample(msgspec.Struct, frozen=True):
    """One call that was seen whole, for explaining and replaying; bounded per report.

    Attributes:
        operation: its name; statements of transactions carry the transaction's name too.
        sql: the statement with `:name` parameters.
        parameters: the values, JSON-ready (bytes as {"bytes": base64}); those that the operation
            declares private are left out and named in `private`.
        at: when it was called, seconds since 1970 UTC.
        latency_us: of the statement alone, without waiting for a connection.
        rows: returned or changed.
        write: whether it changes data.
        slow: kept because it took longer than expected; others are chosen at random.
        weight: how many calls of this statement it stands for; the weights of a report's samples
            of one statement add up to its calls.
        plan: the plan as the engine tells it in text, of slow ones, redacted; empty: not asked.
        omitted: parameters left out because they are too large, cannot be written as JSON, or
            because the application lets no values out (`AgentOptions.capture`).
        cost: what calls of this statement, not this one alone, cost since they were told last;
            null: not measured.

    Values that are not JSON are written as `access.sampling.encoded` does; `decoded` reads them.
    """

    operation: str
    sql: str
    parameters: dict[str, object]
    at: float
    latency_us: float
    rows: int
    write: bool
    slow: bool = False
    weight: float = 1.0
    private: list[str] = []
    transaction: str = ""
    segment: str = ""
    plan: str = ""
    omitted: list[str] = []
    cost: CostReport | None = None


class DatabaseReport(msgspec.Struct, frozen=True):
    """Which database the pools lead to, as the agent sees it (same fields as engine.Identity)."""

    dialect: str
    key: str
    label: str
    version: str


class CommandDone(msgspec.Struct, frozen=True):
    """An acknowledged command and what came of it."""

    id: str
    ok: bool
    detail: str = ""


class Report(msgspec.Struct, frozen=True):
    """What the agent says.

    `agent` is stable for the process and pool; `boot` is new at each start. `cpu_share` is the
    process's CPU since the last report, in cores; `cores` is how many it may use.
    """

    v: int
    agent: str
    boot: str
    sequence: int
    database: DatabaseReport
    application: str
    host: str
    pid: int
    capabilities: list[str]
    seconds: float
    cpu_share: float | None
    cores: int
    pools: list[PoolReport]
    operations: list[OperationReport]
    applied_version: int
    done: list[CommandDone] = []
    counters: dict[str, float] = {}
    samples: list[CallSample] = []
    repeats: list[RepeatReport] = []


class Settings(msgspec.Struct, frozen=True):
    """Settings for an agent: a version, how long they hold, and values by name.

    Known names: `pool.limit` (a whole number). An agent ignores names it does not know and says so
    in its capabilities. Empty values mean the application's own defaults.
    """

    version: int
    expires_seconds: float
    values: dict[str, float | int | str | bool]


class Command(msgspec.Struct, frozen=True):
    """Something to do once; `id` makes it idempotent."""

    id: str
    kind: str
    arguments: dict[str, float | int | str | bool] = {}


class Reply(msgspec.Struct, frozen=True):
    """What the operator answers.

    `error` non-empty: the report was not taken, and why.
    """

    v: int
    epoch: int
    next_seconds: float
    settings: Settings
    commands: list[Command] = []
    error: str = ""
