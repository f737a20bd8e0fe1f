"""What statements of a database cost, the costliest first, and one of them with its plan.

The last half hour is in memory, with all that agents and the server tell. Longer windows, and the
range that a window is compared with, are added up from the samples (kept_statements.py). Nothing is
run: a statement without a plan is planned when somebody looks at it, which only asks the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from homeostat.engine import Unsupported
from homeostat.errors import ConfigError, DatabaseError
from homeostat.operate.attached import Attached
from homeostat.operate.explaining import STATEMENT, explained
from homeostat.operate.insights import StatementBefore, StatementRow, Statements
from homeostat.operate.looking.kept_statements import Kept, KeptStatements, percentiles
from homeostat.operate.operator import Operator
from homeostat.operate.statements import StatementView
from homeostat.operate.views import Explained

MEMORY_SECONDS = 1800.0  # what the statement book surely holds
ONLY_KEPT = "Of times past the last half hour, the costliest statements of each look are kept."
EARLIER_UNKNOWN = "Nothing is known of the earlier time, so nothing can be compared."
NO_STATEMENT = "No statement was seen in this time."

ORDERS: Mapping[str, Callable[[StatementRow], float]] = {
    "total": lambda row: row.cost_ms_per_second,
    "mean": lambda row: row.mean_ms,
    "p99": lambda row: row.p99_ms or 0.0,
    "calls": lambda row: row.calls_per_second or 0.0,
    "rows": lambda row: (row.rows_per_call or 0.0) * (row.calls_per_second or 0.0),
    "pages": lambda row: (row.pages_per_call or 0.0) * (row.calls_per_second or 0.0),
    "grown": lambda row: (
        row.cost_ms_per_second - (row.before.cost_ms_per_second if row.before else 0.0)
    ),
}
"""What statements may be ordered by, the largest first; `grown`: by the cost that came about."""


def statements_of(
    operator: Operator,
    one: Attached,
    kept: KeptStatements,
    *,
    seconds: float,
    order: str,
    limit: int,
    shift: float = 0.0,
) -> Statements:
    """Return the statements that ran in the last so many seconds, at most `limit`.

    Args:
        operator: has the samples.
        one: the database.
        kept: what the samples say of statements.
        seconds: how far back.
        order: one of ORDERS.
        limit: at most so many.
        shift: so many seconds earlier lies the range that they are compared with; 0: none.

    Raises:
        ConfigError: there is no such order.
    """
    if order not in ORDERS:
        raise ConfigError(f"Statements are ordered by {', '.join(ORDERS)}.", where=order)
    now = operator.clock.now()
    start = now - seconds
    findings = {f.name: f.id for f in one.findings.open() if f.kind == STATEMENT}
    short = seconds <= MEMORY_SECONDS
    if short:
        begin = max(start, one.watch.view().since)
        known_seconds = now - begin
        rows = _from_memory(operator, one, findings, begin, now)
    else:
        found = kept.of(one, start=start, end=now)
        known_seconds = found.seconds
        rows = _from_samples(one, findings, found.statements)
    earlier = kept.of(one, start=start - shift, end=now - shift, brief=True) if shift else None
    if earlier is not None:
        rows = _beside(rows, earlier.statements)
    rows.sort(key=ORDERS[order], reverse=True)
    workload = one.engine.workload
    reason = "" if short and not shift else ONLY_KEPT
    if isinstance(workload, Unsupported):
        if not rows:
            reason = f"{workload.reason} {workload.mend}"
    elif workload.note:
        reason = f"{reason} {workload.note}".strip()
    if earlier is not None and not earlier.seconds:
        reason = f"{EARLIER_UNKNOWN} {reason}".strip()
    known = [
        first
        for metric, _, first, _ in operator.samples.subjects(one.row.key)
        if metric == "statement.calls"
    ]
    return Statements(
        database=one.row.key,
        at=now,
        seconds=seconds,
        order=order,
        rows=rows[:limit],
        known_since=min(known, default=None),
        known_seconds=known_seconds,
        reason=reason if rows or reason else NO_STATEMENT,
        compared_start=start - shift if shift else None,
        compared_known_seconds=earlier.seconds if earlier is not None else None,
    )


def _beside(rows: list[StatementRow], kept: list[Kept]) -> list[StatementRow]:
    """Return the rows with what each cost in the earlier range."""
    earlier = {
        one.statement: StatementBefore(
            cost_ms_per_second=one.cost,
            mean_ms=one.mean_ms,
            calls_per_second=one.calls_per_second,
            p99_ms=one.p99_ms,
        )
        for one in kept
    }
    return [msgspec.structs.replace(row, before=earlier.get(row.statement)) for row in rows]


def statement_of(operator: Operator, one: Attached, key: str) -> Explained:
    """Return what is known of a statement of a database; without a plan it is planned now.

    Raises:
        NotFoundError: it was never seen.
    """
    found = explained(operator, key, database=one.row.key)
    if found.plan is None and _plan_now(operator, one, found.statement):
        found = explained(operator, key, database=one.row.key)
    return found


def _plan_now(operator: Operator, one: Attached, key: str) -> bool:
    now = operator.clock.now()
    view = one.watch.statements.view(key, start=now, end=now)
    explain = one.engine.explain
    if view is None or isinstance(explain, Unsupported):
        return False
    try:
        plan = explain.estimate(view.sql)
    except DatabaseError:
        return False  # a text that was cut, or a statement that has no plan
    one.watch.statements.note_plan(key, plan, now)
    return True


def _from_memory(
    operator: Operator, one: Attached, findings: Mapping[str, int], start: float, end: float
) -> list[StatementRow]:
    views = one.watch.statements.views(start=start, end=end)
    whole = sum(view.spent.total_ms for view in views) or 1.0
    return [
        _row(view, whole, findings.get(view.key), percentiles(operator, one, view, start, end))
        for view in views
    ]


def _row(
    view: StatementView,
    whole_ms: float,
    finding: int | None,
    quantiles: tuple[float | None, float | None],
) -> StatementRow:
    spent, calls = view.spent, view.spent.calls
    pages = None
    if spent.blocks_hit is not None and spent.blocks_read is not None:
        pages = (spent.blocks_hit + spent.blocks_read) / calls
    return StatementRow(
        statement=view.key,
        name=view.name,
        text=view.text,
        applications=list(view.applications),
        write=view.write,
        cost_ms_per_second=view.cost,
        share=spent.total_ms / whole_ms,
        mean_ms=view.mean_ms,
        calls_per_second=calls / view.seconds,
        rows_per_call=spent.rows / calls,
        late_share=view.late_share if view.source == "agents" else None,
        pages_per_call=pages,
        waited_share=view.waited_share,
        source=view.source,
        finding=finding,
        planned=bool(view.plans),
        p95_ms=quantiles[0],
        p99_ms=quantiles[1],
    )


def _from_samples(
    one: Attached, findings: Mapping[str, int], kept: list[Kept]
) -> list[StatementRow]:
    whole = sum(statement.cost for statement in kept) or 1.0
    return [_kept_row(one, row, row.cost / whole, findings.get(row.statement)) for row in kept]


def _kept_row(one: Attached, kept: Kept, share: float, finding: int | None) -> StatementRow:
    view = one.watch.statements.view(kept.statement, start=0.0, end=0.0001)
    return StatementRow(
        statement=kept.statement,
        name=kept.name,
        text=kept.text,
        applications=list(view.applications) if view is not None else [],
        write=view.write if view is not None else None,
        cost_ms_per_second=kept.cost,
        share=share,
        mean_ms=kept.mean_ms,
        calls_per_second=kept.calls_per_second,
        rows_per_call=kept.rows_per_call,
        late_share=kept.late_share,
        pages_per_call=kept.pages_per_call,
        waited_share=None,
        source="samples",
        finding=finding,
        planned=view is not None and bool(view.plans),
        p95_ms=kept.p95_ms,
        p99_ms=kept.p99_ms,
    )
