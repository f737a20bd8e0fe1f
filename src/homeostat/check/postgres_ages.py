"""How near PostgreSQL is to the end of its transaction ids and multixacts."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import Row, tables
from homeostat.check.report import Cost, Finding
from homeostat.check.words import listed
from homeostat.driver.tokens import comment
from homeostat.measure import Severity

LIMIT = 2_147_483_648.0  # 2^31
TABLES_NAMED_MAX = 5


def _wraparound(look: Look, *, age: str, what: str) -> Iterator[Finding]:
    limits = look.config.monitor
    old = [row for row in look.rows("ages") if row[age] / LIMIT >= limits.xid_share_warning]
    if not old:
        return
    share = max(row[age] for row in old) / LIMIT
    yield Finding(
        severity=Severity.CRITICAL if share >= limits.xid_share_critical else Severity.HIGH,
        what=f"{100 * share:.0f} % of the {what} are used; at 100 % the server refuses writes",
        where=listed([row["name"] for row in old]),
        cause=(
            "old rows were not frozen: autovacuum is off, too slow, or kept from it by an old "
            "transaction, a slot or a prepared transaction"
        ),
        evidence={
            f"{age}_max": max(row[age] for row in old),
            "limit": LIMIT,
            "databases": listed([row["name"] for row in old]),
        },
        mend_sql=_freeze(look, old, age),
        risk="Reads and may write every old table once; readers and writers go on.",
        cost=Cost(kind="risk", amount=share),
    )


def _freeze(look: Look, old: list[Row], age: str) -> str:
    """Return what freezes the oldest tables here, and what to do in other databases."""
    lines = []
    if any(row["is_here"] for row in old):
        oldest = sorted(
            (table for table in tables(look).values() if table["kind"] != "p"),
            key=lambda table: -table[age],
        )
        late = [one for one in oldest if one[age] / LIMIT >= look.config.monitor.xid_share_warning]
        lines += [f"VACUUM (FREEZE) {one['name']};" for one in late[:TABLES_NAMED_MAX]]
        lines.append("VACUUM (FREEZE);")
    elsewhere = [row["name"] for row in old if not row["is_here"] and row["is_open"]]
    lines += [comment(f"In database {name}: VACUUM (FREEZE);") for name in elsewhere]
    closed = [row["name"] for row in old if not row["is_open"]]
    lines += [
        comment(f"{name} lets nobody in; autovacuum has to do it: is it on?") for name in closed
    ]
    return "\n".join(lines)


def _transaction_ids(look: Look) -> Iterator[Finding]:
    yield from _wraparound(look, age="xid_age", what="transaction ids")


def _multixacts(look: Look) -> Iterator[Finding]:
    yield from _wraparound(look, age="multixact_age", what="multixact ids")


CHECKS = (
    Check(
        rule="transaction_ids",
        dialect="postgresql",
        sees="the age of transaction ids",
        help=(
            "Rows that old were not frozen; when all transaction ids are used up, the server "
            "refuses writes. Find what holds VACUUM back, then VACUUM (FREEZE)."
        ),
        judge=_transaction_ids,
    ),
    Check(
        rule="multixact_ids",
        dialect="postgresql",
        sees="the age of multixact ids",
        help=(
            "As transaction_ids, for the ids of rows that several transactions lock at once "
            "(foreign keys, SELECT FOR SHARE)."
        ),
        judge=_multixacts,
    ),
)
