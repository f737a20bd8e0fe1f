"""Sessions of PostgreSQL: how many there are, for how long, and who waits for whom.

What a statement said is redacted before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_activity import activity
from homeostat.check.postgres_catalogue import Row
from homeostat.check.report import Cost, Finding
from homeostat.check.words import listed, span
from homeostat.driver.redact import redact
from homeostat.driver.tokens import comment
from homeostat.engine.engine import ConnectionLimit
from homeostat.measure import Severity, Unknown

CONNECTIONS_SHARE_CRITICAL = 0.95
QUERY_CHARACTERS_MAX = 200
END_RISK = "What the session has not committed is lost; its application gets an error."


def _connections(look: Look) -> Iterator[Finding]:
    """Tell of the nearest limit that we meet, and of each role's that an application meets."""
    seen = activity(look)
    hidden = isinstance(seen.waiting, Unknown)
    roles = [
        ConnectionLimit("role", row["name"], row["used"], row["used_max"], row["idle"])
        for row in look.rows("role_limits")
    ]
    for limit in [*seen.limits[:1], *roles]:
        if limit.share >= look.config.monitor.connections_share_warning:
            yield _used_up(limit, hidden=hidden)


def _used_up(limit: ConnectionLimit, *, hidden: bool) -> Finding:
    if hidden:
        cause = "unknown: this role does not see what the sessions of others do"
    elif limit.idle > limit.used / 2:
        cause = f"{limit.idle:.0f} of them are idle: pools are larger than their use"
    else:
        cause = "sessions hold their connection and work"
    return Finding(
        severity=Severity.CRITICAL if limit.share >= CONNECTIONS_SHARE_CRITICAL else Severity.HIGH,
        what=f"{limit.used:.0f} of {limit.used_max:.0f} connections of {limit.whose} are taken",
        where="max_connections" if limit.scope == "server" else limit.whose,
        cause=cause,
        evidence={
            "used": limit.used,
            "used_max": limit.used_max,
            "idle": None if hidden else limit.idle,
        },
        mend_sql=(
            "-- Make the applications' pools smaller, or put PgBouncer (pool_mode = transaction) "
            "before the server. Meanwhile this ends what was idle for 10 minutes:\n"
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle'"
            f" AND state_change < now() - interval '10 minutes'{_within(limit)};"
        ),
        risk="An application that keeps idle connections has to open new ones.",
        cost=Cost(kind="risk", amount=limit.share),
    )


def _within(limit: ConnectionLimit) -> str:
    """Return the condition that keeps to the sessions that count against a limit."""
    if limit.scope == "server":
        return ""
    column = "datname" if limit.scope == "database" else "usename"
    name = limit.name.replace("'", "''")
    return f" AND {column} = '{name}'"


def _sessions(look: Look) -> list[Row]:
    """Return sessions in a transaction, and say if those of others are hidden."""
    if not look.row("database")["sees_all"]:
        look.miss(
            "what sessions of other users do",
            reason="this role sees its own sessions only",
            mend=f"GRANT pg_read_all_stats TO {look.role};",
        )
    return look.rows("sessions")


def _idle_in_transaction(look: Look) -> Iterator[Finding]:
    for row in _sessions(look):
        if not row["state"].startswith("idle in transaction"):
            continue
        if row["state_seconds"] < look.config.monitor.idle_transaction_seconds:
            continue
        yield Finding(
            severity=Severity.HIGH,
            what=f"session {row['pid']} is idle in a transaction for {span(row['state_seconds'])}",
            where=_who(row),
            cause=(
                "the application began a transaction and does something else; its locks stay and "
                "dead rows cannot be removed"
            ),
            evidence=_evidence(row),
            mend_sql=(
                f"SELECT pg_terminate_backend({row['pid']});\n"
                f"ALTER ROLE {_quoted(row['role'])}"
                " SET idle_in_transaction_session_timeout = '5min';"
            ),
            risk=END_RISK,
            cost=Cost(kind="risk", amount=min(1.0, row["state_seconds"] / 3600)),
        )


def _long_transaction(look: Look) -> Iterator[Finding]:
    limits = look.config.monitor
    for row in _sessions(look):
        if row["state"] != "active" or row["blocked_by"]:
            continue
        if row["query_seconds"] < limits.long_query_seconds:
            continue
        yield Finding(
            severity=Severity.WARNING,
            what=f"session {row['pid']} runs a statement for {span(row['query_seconds'])}",
            where=_who(row),
            cause="a statement of a report or a maintenance job, or one without an index",
            evidence=_evidence(row),
            mend_sql=f"SELECT pg_cancel_backend({row['pid']});",
            risk="The statement is stopped; its application gets an error.",
            cost=Cost(kind="time", amount=1000.0),
        )


def _lock_chain(look: Look) -> Iterator[Finding]:
    """Name those who hold locks that others wait for, and do not wait themselves."""
    limits = look.config.monitor
    sessions = {row["pid"]: row for row in _sessions(look)}
    for holder, waiting in _waiters(list(sessions.values())).items():
        longest = max(row["query_seconds"] for row in waiting)
        if longest < limits.lock_wait_seconds and len(waiting) < limits.blocked_sessions:
            continue
        row = sessions.get(holder)
        told = _evidence(row) if row else {}
        yield Finding(
            severity=Severity.CRITICAL
            if len(waiting) >= limits.blocked_sessions
            else Severity.HIGH,
            what=(
                f"{len(waiting)} sessions wait for session {holder}"
                if holder
                else f"{len(waiting)} sessions wait for a prepared transaction"
            ),
            where=_who(row) if row else f"session {holder}",
            cause=(
                f"it is {row['state']} and holds a lock that they need"
                if row
                else "it holds a lock that they need"
            ),
            evidence={
                **told,
                "waiting": len(waiting),
                "waiting_pids": listed([str(one["pid"]) for one in waiting]),
                "waiting_seconds": round(longest, 1),
            },
            mend_sql=(
                f"SELECT pg_terminate_backend({holder});"
                if holder
                else "-- See prepared_transaction: ROLLBACK PREPARED ends it."
            ),
            risk=END_RISK,
            cost=Cost(kind="time", amount=1000.0 * len(waiting)),
        )


def _waiters(sessions: list[Row]) -> dict[int, list[Row]]:
    """Return who waits, directly or not, for each session that waits for nobody itself."""
    blocked_by = {row["pid"]: row["blocked_by"] for row in sessions if row["blocked_by"]}
    found: dict[int, list[Row]] = {}
    for row in sessions:
        roots: set[int] = set()
        seen: set[int] = set()
        todo = list(row["blocked_by"])
        while todo:
            pid = todo.pop()
            if pid in seen:
                continue
            seen.add(pid)
            if pid in blocked_by:
                todo += blocked_by[pid]
            else:
                roots.add(pid)
        for root in roots:
            found.setdefault(root, []).append(row)
    return found


def _prepared(look: Look) -> Iterator[Finding]:
    for row in look.rows("prepared"):
        if row["seconds"] < look.config.monitor.idle_transaction_seconds:
            continue
        name = row["gid"].replace("'", "''")
        where = "" if row["is_here"] else f" (in database {row['database']})"
        yield Finding(
            severity=Severity.HIGH,
            what=f"transaction {row['gid']} is prepared for {span(row['seconds'])}{where}",
            where=row["gid"],
            cause="its coordinator is gone, or was never there: it holds its locks for ever",
            evidence={
                "role": row["role"],
                "prepared_seconds": row["seconds"],
                "held_transactions": row["held_transactions"],
            },
            mend_sql=(
                f"ROLLBACK PREPARED '{name}';"
                if row["is_here"]
                else comment(f"In database {row['database']}: ROLLBACK PREPARED '{name}';")
            ),
            risk="Its changes are lost: ask its coordinator first whether it has to be committed.",
            cost=Cost(kind="risk", amount=0.8),
        )


def _who(row: Row) -> str:
    application = f", {row['application']}" if row["application"] else ""
    return f"pid {row['pid']} ({row['role']} from {row['client']}{application})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _evidence(row: Row) -> dict[str, float | str | None]:
    return {
        "database": row["database"],
        "state": row["state"],
        "state_seconds": round(row["state_seconds"], 1),
        "transaction_seconds": round(row["transaction_seconds"], 1),
        "statement": redact(row["query"])[:QUERY_CHARACTERS_MAX],
        "held_transactions": row["held_transactions"],
    }


CHECKS = (
    Check(
        rule="connections",
        dialect="postgresql",
        sees="how many connections are taken",
        help=(
            "Most connections of the server (or of the database or a role, if those have limits) "
            "are taken; the next ones are refused. Make pools smaller or put a pooler before it."
        ),
        judge=_connections,
    ),
    Check(
        rule="lock_chain",
        dialect="postgresql",
        sees="who waits for whom",
        help=(
            "Sessions wait for a lock, directly or behind others, for one that waits for nobody. "
            "Have its application end its transaction, or end it."
        ),
        judge=_lock_chain,
    ),
    Check(
        rule="idle_in_transaction",
        dialect="postgresql",
        sees="sessions idle in a transaction",
        help=(
            "A session holds a transaction open and does nothing. Its locks stay, and VACUUM "
            "cannot remove what died since. End it and give its role a time-out."
        ),
        judge=_idle_in_transaction,
    ),
    Check(
        rule="long_statement",
        dialect="postgresql",
        sees="statements that run for long",
        help="A statement runs for minutes. Cancel it if nobody waits for its answer.",
        judge=_long_transaction,
    ),
    Check(
        rule="prepared_transaction",
        dialect="postgresql",
        sees="prepared transactions",
        help=(
            "A transaction was prepared for two-phase commit and nobody ended it. Commit or roll "
            "it back, as its coordinator says."
        ),
        judge=_prepared,
    ),
)
