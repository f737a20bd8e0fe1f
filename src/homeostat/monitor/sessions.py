"""Rules about a server's sessions: their number, transactions left open, statements that last."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.engine.engine import ConnectionLimit, Session
from homeostat.logbook.rows import Json
from homeostat.measure import Severity
from homeostat.operate.rule import Judgement, Undecided, View

SHARE = "postgresql.connections_used_share"
SESSIONS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ConnectionsNearLimit:
    """Opens when a server's connections have been nearly used up for long, or are used up."""

    name: str = "connections-near-limit"
    help: str = (
        "At least `monitor.connections_share_warning` of the connections that the server, the "
        "database or Homeostat's role permits are in use for `monitor.connections_seconds` (PMM, "
        "pgEdge: 80 % for 5 min), or all are. Close idle ones, put a pooler in between, or raise "
        "the limit that it names."
    )
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the readings of the last minutes."""
        monitor = view.config.monitor
        last = view.recent.last(SHARE, view.subject())
        if last is None:
            return  # the engine has no such limit
        if not isinstance(last.value, float):
            yield Undecided(view.subject())
            return
        ticks = math.ceil(monitor.connections_seconds / monitor.performance_seconds)
        values = view.recent.values(SHARE, view.subject(), ticks=ticks)
        full = last.value >= 1.0
        if not full and (len(values) < ticks or min(values) < monitor.connections_share_warning):
            return
        limit = view.activity.limits[0] if view.activity and view.activity.limits else None
        share, whose = (limit.share, limit.whose) if limit else (last.value, "the server")
        numbers = f"{share:.0%} of the connections that {whose} permits are in use"
        if limit is not None:
            numbers += f" ({limit.used:.0f} of {limit.used_max:.0f})"
        cause, applications = _who_holds(view, limit)
        yield Judgement(
            view.subject(),
            Severity.CRITICAL if full else Severity.WARNING,
            numbers + ("" if full else f", for {monitor.connections_seconds:.0f} s"),
            cause=cause,
            mend=f"Close connections that idle, put a pooler in between, or {_raise(limit)}.",
            evidence={"used_share": share, "limit": whose, "by_application": applications},
        )


@dataclass(frozen=True, slots=True)
class IdleTransaction:
    """Opens when a session keeps a transaction open and does nothing."""

    name: str = "idle-transaction"
    help: str = (
        "A session has been idle in a transaction for `monitor.idle_transaction_seconds` (pgEdge: "
        "300 s). It holds its locks and keeps vacuum from removing dead rows. Let the application "
        "commit or roll back, or set idle_in_transaction_session_timeout."
    )
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the sessions seen last."""
        subject = view.subject("session", "idle in transaction")
        if view.activity is None:
            yield Undecided(subject)
            return
        idle = [
            one
            for one in view.activity.sessions
            if one.state.startswith("idle in transaction")
            and one.state_seconds >= view.config.monitor.idle_transaction_seconds
        ]
        if not idle:
            return
        worst = max(idle, key=lambda one: one.state_seconds)
        blocking = {pid for one in view.activity.sessions for pid in one.blocked_by}
        blocks = any(one.pid in blocking for one in idle)
        more = f", and {len(idle) - 1} more" if len(idle) > 1 else ""
        yield Judgement(
            subject,
            Severity.HIGH if blocks else Severity.WARNING,
            f"{_name(worst)} has been idle in a transaction for {worst.state_seconds:.0f} s{more}"
            + ("; others wait for its locks" if blocks else ""),
            cause=f"the transaction was left open after: {worst.query}"
            if worst.query
            else "unknown",
            mend="Let the application commit or roll back before it waits for anything else; to "
            f"end it now: SELECT pg_terminate_backend({worst.pid}). "
            "idle_in_transaction_session_timeout ends such sessions by itself.",
            evidence={"sessions": [_told(one) for one in idle[:SESSIONS_SHOWN]]},
        )


@dataclass(frozen=True, slots=True)
class LongStatement:
    """Opens when a statement has been running for long."""

    name: str = "long-statement"
    help: str = (
        "A statement has been running for `monitor.long_query_seconds` (PgHero: 60 s). If it is "
        "not a report or a backup that may take so long, look at its plan, or end it."
    )
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the sessions seen last."""
        subject = view.subject("session", "long statement")
        if view.activity is None:
            yield Undecided(subject)
            return
        long = [
            one
            for one in view.activity.sessions
            if one.state == "active" and one.state_seconds >= view.config.monitor.long_query_seconds
        ]
        if not long:
            return
        worst = max(long, key=lambda one: one.state_seconds)
        more = f", and {len(long) - 1} more" if len(long) > 1 else ""
        cause = "unknown"
        if worst.blocked_by:
            pids = ", ".join(str(pid) for pid in worst.blocked_by)
            cause = f"it waits for a lock held by pid {pids}"
        yield Judgement(
            subject,
            Severity.WARNING,
            f"a statement of {_name(worst)} has been running for {worst.state_seconds:.0f} s"
            f"{more}: {worst.query}",
            cause=cause,
            mend="Look at its plan with EXPLAIN; to stop it: "
            f"SELECT pg_cancel_backend({worst.pid}).",
            evidence={"sessions": [_told(one) for one in long[:SESSIONS_SHOWN]]},
        )


def _raise(limit: ConnectionLimit | None) -> str:
    """Return how a limit is raised."""
    if limit is None or limit.scope == "server":
        return "raise max_connections"
    name = limit.name.replace('"', '""')
    return f'raise the limit: ALTER {limit.scope.upper()} "{name}" CONNECTION LIMIT n'


def _who_holds(view: View, limit: ConnectionLimit | None) -> tuple[str, Json]:
    """Return which application has most of a limit's connections, if one has, and all by count."""
    seen = view.activity.sessions if view.activity else ()
    sessions = [one for one in seen if limit is None or limit.counts(one)]
    counts = Counter(one.application or one.user or "unnamed" for one in sessions)
    if not counts:
        return "unknown", {}
    (name, most), *_ = counts.most_common(1)
    idle = sum(one.state == "idle" for one in sessions if (one.application or one.user) == name)
    cause = "unknown"
    if 2 * most > len(sessions):
        cause = f"{name} has {most} of the {len(sessions)} connections seen, {idle} of them idle"
    return cause, dict(counts.most_common(SESSIONS_SHOWN))


def _name(session: Session) -> str:
    return f"pid {session.pid} ({session.application or session.user or 'unnamed'})"


def _told(session: Session) -> Json:
    return {
        "pid": session.pid,
        "application": session.application,
        "user": session.user,
        "state": session.state,
        "state_seconds": session.state_seconds,
        "transaction_seconds": session.transaction_seconds,
        "wait": session.wait,
        "query": session.query,
    }
