"""Watch the pools of the PgBouncer before a database, over its console.

Its numbers go under the same names as those of an application's pool, for an instance of their own:
the same rule finds a pool that is too small, and the same remedy sizes it. What PgBouncer tells are
running totals, so a tick needs the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from homeostat.driver.pgbouncer import PoolerReading
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import Pooler
from homeostat.errors import DatabaseError, SecretError
from homeostat.measure import Bad, Kind, MetricSpec, Sample, Severity, Subject, Unknown
from homeostat.operate.probe import Watched
from homeostat.operate.rule import Judgement, Undecided, View

INSTANCE = "pgbouncer"
KIND = "pool"
NAME = "pooler"
SILENT = "pooler-silent"
CANNOT = "cannot"  # a text of `pool.limit`: why the size cannot be changed
BEFORE = "before"  # in the probe's memory
FIRST = Unknown("needs two readings; this is the first")
METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "pool.limit_default",
        "count",
        Kind.GAUGE,
        Bad.NONE,
        "PgBouncer: connections that the pool might hold before Homeostat changed that.",
    ),
    MetricSpec(
        "pool.wait_oldest_ms",
        "ms",
        Kind.GAUGE,
        Bad.UP,
        "PgBouncer: how long the first of the waiting clients has waited (maxwait).",
    ),
    MetricSpec(
        "pool.connected",
        "count",
        Kind.GAUGE,
        Bad.NONE,
        "PgBouncer: connections to the server that are open.",
    ),
    MetricSpec(
        "pool.transactions", "count", Kind.COUNTER, Bad.NONE, "PgBouncer: transactions asked for."
    ),
    MetricSpec(
        "pool.transaction_ms",
        "ms",
        Kind.GAUGE,
        Bad.UP,
        "PgBouncer: mean time of a transaction, waiting for a connection included.",
    ),
)
LEVELS = ("pool.limit", "pool.limit_default", "pool.waiting", "pool.wait_oldest_ms",
          "pool.connected", "pool.in_use_max")  # fmt: skip
FLOWS = ("pool.transactions", "pool.transaction_ms", "pool.in_use_mean", "pool.use_share",
         "pool.wait_ms", "pool.idle_share")  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolerProbe:
    """Asks at `monitor.performance_seconds`."""

    interval_seconds: float
    name: str = NAME
    help: str = "The pools of the PgBouncer before the database: size, use, who waits for how long."

    def read(self, watched: Watched) -> Iterable[Sample]:
        """Read; nothing without a PgBouncer, unknown when its console does not answer."""
        pooler = watched.engine.pooler
        if isinstance(pooler, Unsupported):
            return
        subject = Subject(watched.identity.key, INSTANCE, KIND, pooler.database)
        try:
            now = pooler.reading()
            levels = _levels(pooler, now)
            cannot = pooler.cannot_size()
        except (DatabaseError, SecretError) as error:
            watched.memory.pop(BEFORE, None)
            unknown = Unknown(str(error))
            yield from (Sample(subject, one, watched.at, unknown) for one in LEVELS + FLOWS)
            return
        before = watched.memory.get(BEFORE)
        watched.memory[BEFORE] = (watched.at, now)
        for metric, level in levels.items():
            texts = {CANNOT: cannot} if metric == "pool.limit" and cannot else {}
            yield Sample(subject, metric, watched.at, level, texts)
        flows = None
        if before is not None and before[1].transactions <= now.transactions:
            flows = _flows(before[1], now, seconds=watched.at - before[0])
        for metric in FLOWS:
            value = FIRST if flows is None else flows[metric]
            yield Sample(subject, metric, watched.at, value)


def _levels(pooler: Pooler, now: PoolerReading) -> dict[str, float]:
    return {
        "pool.limit": float(now.size),
        "pool.limit_default": float(pooler.size_before() or now.size),
        "pool.waiting": float(now.waiting),
        "pool.wait_oldest_ms": now.waiting_oldest_seconds * 1000,
        "pool.connected": float(now.connected),
        "pool.in_use_max": float(now.active_most),
    }


def _flows(old: PoolerReading, now: PoolerReading, *, seconds: float) -> dict[str, float | Unknown]:
    """Return what happened between two readings.

    By Little's law the time spent in transactions, by the time that passed, is the mean number of
    connections in use. It is counted when a transaction ends: while clients wait, all are in use.
    """
    room = max(1, now.size * max(1, now.pools))
    count = now.transactions - old.transactions
    inside = now.transaction_seconds - old.transaction_seconds
    waited = now.wait_seconds - old.wait_seconds
    mean = min(float(room), inside / seconds) if seconds > 0 else 0.0
    if now.waiting:
        mean = max(mean, float(min(now.active, room)))
    asked = now.query_seconds - old.query_seconds
    nothing = Unknown("no transaction was asked for since the reading before")
    return {
        "pool.transactions": count,
        "pool.transaction_ms": 1000 * (inside + waited) / count if count else nothing,
        "pool.in_use_mean": mean,
        "pool.use_share": mean / room,
        "pool.wait_ms": 1000 * (waited / count if count else now.waiting_oldest_seconds),
        "pool.idle_share": max(0.0, 1 - asked / inside) if inside > 0 else nothing,
    }


def is_pooler(subject: Subject) -> bool:
    """Return whether a subject is a pool of PgBouncer's."""
    return (subject.instance, subject.kind) == (INSTANCE, KIND)


@dataclass(frozen=True, slots=True)
class PoolerSilent:
    """Opens while PgBouncer's console cannot be asked."""

    name: str = SILENT
    help: str = (
        "The console of the PgBouncer that is configured for the database does not answer, or not "
        "this user, so its pools cannot be seen or sized. Applications behind it may stand still. "
        "Look whether it runs, and at `pooler` and `pooler_password` of `[databases.NAME]`."
    )
    after: str = NAME
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterator[Judgement | Undecided]:
        """Judge the newest reading."""
        for subject in view.recent.subjects("pool.limit"):
            last = view.recent.last("pool.limit", subject)
            if not is_pooler(subject) or last is None or not isinstance(last.value, Unknown):
                continue
            yield Judgement(
                subject,
                Severity.WARNING,
                f"PgBouncer's console cannot be asked about {subject.name}",
                cause=last.value.reason,
                mend="Look whether PgBouncer runs, and whether `pooler` and `pooler_password` of "
                "[databases.NAME] are right.",
                evidence={"reason": last.value.reason},
            )
