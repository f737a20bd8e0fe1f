"""Sessions of PostgreSQL: how many there are, for how long, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.measure import Severity

NO_OTHERS = "this role sees its own sessions only"


def _connections(look: Look) -> Iterator[Finding]:
    row = look.row("connections")
    share = row["used"] / row["used_max"]
    if share < look.config.monitor.connections_share_warning:
        return
    yield Finding(
        severity=Severity.CRITICAL if share >= 0.95 else Severity.HIGH,
        what=f"{row['used']:.0f} of {row['used_max']:.0f} connections are taken",
        where="max_connections",
        cause=(
            f"{row['idle']:.0f} of them are idle: pools are larger than their use"
            if row["idle"] > row["used"] / 2
            else "sessions hold their connection and work"
        ),
        evidence={
            "used": row["used"],
            "used_max": row["used_max"],
            "idle": row["idle"],
            "active": row["active"],
        },
        mend_sql=(
            "-- Make the applications' pools smaller, or put PgBouncer (pool_mode = transaction) "
            "before the server."
        ),
        risk="None for the server; an application whose pool is too small waits inside it.",
        cost=Cost(kind="risk", amount=share),
    )


CHECKS = (
    Check(
        rule="connections",
        dialect="postgresql",
        sees="how many connections are taken",
        help=(
            "Most connections of the server (or of the database or role, where those have limits) "
            "are taken; the next ones are refused. Make pools smaller or put a pooler before it."
        ),
        judge=_connections,
    ),
)
