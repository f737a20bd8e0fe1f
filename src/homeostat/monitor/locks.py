"""The rule that names who holds a lock that others wait for.

PostgreSQL says who waits for whom. SQLite only shows, at each reading, which process holds the
write lock; that anybody waits is known from agents, in whose pools the time goes into waiting.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from homeostat.engine.engine import Activity, LockHolder
from homeostat.logbook.rows import Json
from homeostat.measure import Severity, Subject
from homeostat.monitor.metrics import BLOCKED, HOLDERS
from homeostat.monitor.performance import crowds, name_of
from homeostat.operate.rule import Judgement, Undecided, View, brief

NAME = "lock-holder"
BLOCKED_TICKS = 2  # at one reading a crowd may be chance
HOLDERS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LockHolderRule:
    """Opens when sessions wait for one holder, or load waits for locks."""

    clear_ticks: int = 3
    name: str = NAME
    help: str = (
        "At least `monitor.blocked_sessions` sessions wait for one holder in two ticks in a row, "
        "a session waits longer than `monitor.lock_wait_seconds`, or at least "
        "`monitor.lock_wait_share` of the time that connections are held goes into waiting for "
        "locks (pgEdge: 5 sessions, 60 s). The finding names the holder: end it or make its "
        "transaction shorter. More connections cannot help."
    )
    after: str = "performance"

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the newest ticks."""
        subject = view.subject("lock")
        if view.activity is None:
            yield Undecided(subject)
            return
        found = _crowd(view, view.activity) or _long_wait(view, view.activity) or _lock_bound(view)
        if found is None:
            return
        what, severity = found
        cause, mend = holder_in_words(view, view.activity)
        yield Judgement(
            subject,
            severity,
            what,
            cause=cause,
            mend=mend,
            evidence=_evidence(view, view.activity),
        )


def _crowd(view: View, activity: Activity) -> tuple[str, Severity] | None:
    limit = view.config.monitor.blocked_sessions
    counts = view.recent.values(BLOCKED, view.subject(), ticks=BLOCKED_TICKS)
    if len(counts) < BLOCKED_TICKS or min(counts) < limit or not activity.holders:
        return None
    return f"{counts[-1]:.0f} sessions wait for one lock holder", Severity.HIGH


def _long_wait(view: View, activity: Activity) -> tuple[str, Severity] | None:
    waiting = [session for session in activity.sessions if session.blocked_by]
    longest = max((session.state_seconds for session in waiting), default=0.0)
    if longest < view.config.monitor.lock_wait_seconds:
        return None
    who = "1 session waits" if len(waiting) == 1 else f"{len(waiting)} sessions wait"
    return f"{who} for a lock, the longest for {longest:.0f} s", Severity.WARNING


def _lock_bound(view: View) -> tuple[str, Severity] | None:
    worst = lock_share(view)
    if worst is None or worst[1] < view.config.monitor.lock_wait_share:
        return None
    subject, share = worst
    pool = f"the pool {subject.name}" if subject.kind == "pool" else "the pools"
    what = f"connections of {pool} wait for locks {share:.0%} of the time that they are held"
    return what, Severity.HIGH


def lock_share(view: View) -> tuple[Subject, float] | None:
    """Return where most of the held time goes into waiting for locks, and how much.

    As agents see it (SQLite), else sessions that wait over connections in use (PostgreSQL). A mean
    over `pool.window_ticks`, of which `promise_ticks` must be known; None: nothing is known.
    """
    ticks = view.config.pool.window_ticks
    least = view.config.monitor.promise_ticks
    since = view.at - 2 * view.config.monitor.performance_seconds
    found: list[tuple[Subject, float]] = []
    in_use = 0.0
    for subject in view.recent.subjects("pool.lock_share", since=since):
        shares = view.recent.values("pool.lock_share", subject, ticks=ticks)
        if len(shares) >= least:
            found.append((subject, statistics.mean(shares)))
        used = view.recent.values("pool.in_use_mean", subject, ticks=ticks)
        in_use += statistics.mean(used) if len(used) >= least else 0.0
    if found:
        return max(found, key=lambda one: one[1])
    blocked = view.recent.values("postgresql.blocked_sessions", view.subject(), ticks=ticks)
    if len(blocked) < least or not in_use:
        return None
    return view.subject(), min(1.0, statistics.mean(blocked) / in_use)


def holder_in_words(view: View, activity: Activity) -> tuple[str, str]:
    """Return who holds the lock, or `unknown`, and what to do about it."""
    if any(one.blocked is not None for one in activity.holders):
        holder = activity.holders[0]
        if not holder.pid:
            return holder.what, "Commit or roll back the prepared transaction."
        held = "" if holder.held_seconds is None else f" for {holder.held_seconds:.0f} s"
        user = f", user {holder.user}" if holder.user else ""
        cause = f"pid {holder.pid} ({name_of(holder)}{user}) holds it{held}: {brief(holder.what)}"
        end = f"SELECT pg_terminate_backend({holder.pid})"
        return cause, f"Make its transaction shorter, or end it: {end}."
    return _seen_holding(view)


def _seen_holding(view: View) -> tuple[str, str]:
    """Return which process held SQLite's write lock at most of the newest readings."""
    window = view.recent.window(HOLDERS, view.subject(), ticks=view.config.pool.window_ticks)
    seen: Counter[str] = Counter(pid for sample in window for pid in sample.texts)
    names = {pid: name for sample in window for pid, name in sample.texts.items()}
    own = {str(agent.pid): agent.application for agent in view.agents}
    for pid, count in sorted(seen.items(), key=lambda one: (one[0] in own, -one[1])):
        who = f"the application {own[pid]} itself" if pid in own else names[pid]
        cause = f"pid {pid} ({who}) held the write lock at {count} of {len(window)} readings"
        return cause, f"Make the write transactions of process {pid} shorter, or end it."
    return "unknown", "Look for a process that keeps a write transaction open."


def _evidence(view: View, activity: Activity) -> Json:
    waiting = crowds(activity)
    shown = activity.holders[:HOLDERS_SHOWN]
    evidence: Json = {"holders": [_told(one, waiting) for one in shown]}
    worst = lock_share(view)
    if worst is not None:
        evidence["lock_share"] = worst[1]
    if isinstance(activity.waiting, float):
        evidence["waiting"] = activity.waiting
    return evidence


def _told(holder: LockHolder, waiting: Mapping[int, int]) -> Json:
    return {
        "pid": holder.pid,
        "application": holder.application,
        "user": holder.user,
        "what": holder.what,
        "held_seconds": holder.held_seconds,
        "blocked": waiting.get(holder.pid, holder.blocked),
    }
