"""Find a connection pool that is too small or too large, and tell why.

The cause is told from what the connections were doing while callers waited: waiting for locks,
held while idle, or kept from the CPU; else it is unknown.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from homeostat.logbook.rows import Finding
from homeostat.maintain.pooler import is_pooler
from homeostat.measure import Severity, Subject
from homeostat.operate.rule import AgentView, Judgement, Undecided, View, brief

IDLE_SHARE = 0.5  # more than half of the time held without a statement: held while idle
EXHAUSTED, OVERSIZED, NO_AGENT, LOCK_HOLDER = (
    "pool-exhausted",
    "pool-oversized",
    "no-agent",
    "lock-holder",
)


@dataclass(frozen=True, slots=True)
class PoolWindow:
    """One pool over the judged ticks; shares are means, None where nothing is known.

    Use and wait are of the exhausted ticks, if there are any.
    """

    limit: int
    ticks: int
    use_share: float
    wait_ms: float
    waiting: float
    exhausted_ticks: int
    exhausted_now: bool
    since: float  # the start of the first exhausted tick in the window
    idle_share: float | None
    lock_share: float | None
    cpu_share: float | None
    holders: str


def look(view: View, subject: Subject) -> PoolWindow | None:
    """Return a pool's window, or None when its newest reading is unknown or missing."""
    pool = view.config.pool
    interval = view.config.monitor.performance_seconds
    use = view.recent.window("pool.use_share", subject, ticks=pool.window_ticks)
    last = view.recent.last("pool.limit", subject)
    if not use or last is None or not isinstance(last.value, float):
        return None
    if use[-1].at < view.at - 2 * interval:
        return None  # the agent is silent
    waits = view.recent.values("pool.wait_ms", subject, ticks=len(use))
    # a pool made smaller keeps busy connections until they are freed: more than all are in use
    shares = [min(1.0, s.value) if isinstance(s.value, float) else 0.0 for s in use]
    exhausted = [
        share >= pool.use_share_high and wait >= pool.wait_ms
        for share, wait in zip(shares, waits, strict=False)
    ]
    troubled = [sample.at for sample, bad in zip(use, exhausted, strict=False) if bad]

    def mean(metric: str, of: Subject = subject) -> float | None:
        values = view.recent.values(metric, of, ticks=len(use))
        return statistics.mean(values) if values else None

    application = _application(view, subject)
    return PoolWindow(
        limit=int(last.value),
        ticks=len(use),
        use_share=_mean_where(shares, exhausted),
        wait_ms=_mean_where(waits, exhausted),
        waiting=mean("pool.waiting") or 0.0,
        exhausted_ticks=len(troubled),
        exhausted_now=bool(exhausted and exhausted[-1]),
        since=(troubled[0] if troubled else view.at) - interval,
        idle_share=mean("pool.idle_share"),
        lock_share=_lock_share(view, mean("pool.lock_share"), mean("pool.in_use_mean"), len(use)),
        cpu_share=None if application is None else mean("application.cpu_share", application),
        holders=use[-1].texts.get("holders", ""),
    )


def _mean_where(values: Sequence[float], chosen: Sequence[bool]) -> float:
    """Return the mean of the chosen values; of all when none is chosen."""
    found = [value for value, take in zip(values, chosen, strict=False) if take]
    return statistics.mean(found or values or [0.0])


def _application(view: View, subject: Subject) -> Subject | None:
    for agent in view.agents:
        if subject.instance == f"agent:{agent.name}":
            return Subject(subject.database, subject.instance, "application", agent.application)
    return None


def _lock_share(
    view: View, of_agent: float | None, in_use: float | None, ticks: int
) -> float | None:
    """Return the share of held time spent waiting for locks, as agent or server sees it."""
    if of_agent is not None:
        return of_agent
    blocked = view.recent.values("postgresql.blocked_sessions", view.subject(), ticks=ticks)
    if not blocked or not in_use:
        return None
    return min(1.0, statistics.mean(blocked) / in_use)


@dataclass(frozen=True, slots=True)
class PoolExhausted:
    """Opens when callers wait for connections in most of the window's ticks."""

    name: str = EXHAUSTED
    help: str = (
        "An application's pool, or PgBouncer's, is used past `pool.use_share_high` while callers "
        "wait, in `pool.exhausted_ticks` of `pool.window_ticks` ticks (VISION: pool exhaustion > "
        "80 %). The cause is told from what the connections were doing. Remedy: grow-pool."
    )
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge every pool that an agent reports."""
        silent = {finding_subject(f) for f in view.findings if self._may_come_back(f, view)}
        for subject in silent.union(view.recent.subjects("pool.use_share")):
            window = look(view, subject)
            if window is None or window.ticks < view.config.pool.exhausted_ticks:
                yield Undecided(subject)
            elif window.exhausted_now and (
                window.exhausted_ticks >= view.config.pool.exhausted_ticks
            ):
                yield self._judgement(view, subject, window)

    def _may_come_back(self, finding: Finding, view: View) -> bool:
        """Return whether a finding's application may report again, so that nothing is clear yet."""
        pool, monitor = view.config.pool, view.config.monitor
        grace = monitor.agent_silent_seconds + pool.window_ticks * monitor.performance_seconds
        lately = view.at - finding.updated < grace
        return finding.rule == self.name and (lately or view.is_young)

    def _judgement(self, view: View, subject: Subject, window: PoolWindow) -> Judgement:
        cause, mend = cause_of(view, window)
        agent = agent_of(view, subject.instance)
        who = agent.application if agent else subject.instance
        if is_pooler(subject):
            who = f"PgBouncer, {subject.name}"
        return Judgement(
            subject,
            Severity.HIGH,
            f"{who}: the pool of {window.limit} connections is exhausted: "
            f"{window.use_share:.0%} in use, callers wait {window.wait_ms:,.0f} ms",
            cause=cause,
            mend=mend,
            evidence={
                "limit": window.limit,
                "use_share": round(window.use_share, 3),
                "wait_ms": round(window.wait_ms, 1),
                "waiting": round(window.waiting, 1),
                "idle_share": _round(window.idle_share),
                "lock_share": _round(window.lock_share),
                "cpu_share": _round(window.cpu_share),
                "held_while_idle_by": window.holders,
                "since": window.since,
            },
        )


def cause_of(view: View, window: PoolWindow) -> tuple[str, str]:
    """Return the likely cause of an exhausted pool and what mends it."""
    if (window.lock_share or 0.0) >= view.config.monitor.lock_wait_share:
        who = holder_of(view)
        cause = f"lock-bound: {window.lock_share:.0%} of the time held is waiting for locks"
        return cause + (f"; {who}" if who else ""), "End or shorten the lock; growing cannot help."
    if (window.cpu_share or 0.0) >= view.config.pool.cpu_share_max:
        cause = f"the CPU is used up ({window.cpu_share:.0%} of the cores)"
        return cause, "Make the statements cheaper; more connections would only queue for the CPU."
    if (window.idle_share or 0.0) >= IDLE_SHARE:
        cause = f"connections are held while idle ({window.idle_share:.0%} of the time held)"
        if window.holders:
            cause += f", most by {window.holders}"
        mend = "Give connections back before waiting for anything else; until then more may help."
        return cause, mend
    return "unknown", "Look at which operations hold the connections, and for how long."


def holder_of(view: View) -> str:
    """Return who holds the lock that others wait for, in words; empty when nobody is seen."""
    for finding in view.findings:
        if finding.rule == LOCK_HOLDER:
            return finding.cause if finding.cause != "unknown" else finding.what
    if view.activity is not None and view.activity.holders:
        holder = view.activity.holders[0]
        return (
            f"pid {holder.pid} ({holder.application or holder.user}) holds it: {brief(holder.what)}"
        )
    return ""


@dataclass(frozen=True, slots=True)
class PoolOversized:
    """Opens when a grown pool was hardly used for long."""

    name: str = OVERSIZED
    help: str = (
        "A pool that was grown past the application's own limit, or PgBouncer's, used at most "
        "`pool.shrink_use_share` of it for `pool.shrink_after_seconds`. Remedy: shrink-pool."
    )
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge every pool that stands above its default."""
        for agent in view.agents:
            for report in agent.report.pools:
                subject = Subject(view.identity.key, f"agent:{agent.name}", "pool", report.name)
                if report.limit > report.limit_default:
                    yield from self._judged(view, subject, agent.application, report.limit)
        for subject in view.recent.subjects("pool.limit_default"):
            limit, own = (
                view.recent.values(metric, subject, ticks=1)
                for metric in ("pool.limit", "pool.limit_default")
            )
            if limit and own and limit[0] > own[0]:
                yield from self._judged(view, subject, "PgBouncer", int(limit[0]))

    def _judged(
        self, view: View, subject: Subject, who: str, limit: int
    ) -> Iterator[Judgement | Undecided]:
        pool = view.config.pool
        ticks = max(
            1, math.ceil(pool.shrink_after_seconds / view.config.monitor.performance_seconds)
        )
        peaks = view.recent.values("pool.in_use_max", subject, ticks=ticks)
        limits = view.recent.values("pool.limit", subject, ticks=ticks)
        if len(peaks) < ticks or len(set(limits)) != 1:
            return
        if max(peaks) <= pool.shrink_use_share * limit:
            yield Judgement(
                subject,
                Severity.INFO,
                f"{who}: of {limit} connections at most {max(peaks):.0f} were in use for "
                f"{pool.shrink_after_seconds:.0f} s",
                cause="the need that it was grown for is over",
                mend="Shrink the pool towards its own limit.",
                evidence={
                    "limit": limit,
                    "in_use_max": max(peaks),
                    "since": view.at - pool.shrink_after_seconds,
                },
            )


def finding_subject(finding: Finding) -> Subject:
    """Return what a finding is about."""
    return Subject(finding.database, finding.instance, finding.kind, finding.name)


def agent_of(view: View, instance: str) -> AgentView | None:
    """Return the agent that an instance name means, if it is alive."""
    return next((agent for agent in view.agents if instance == f"agent:{agent.name}"), None)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
