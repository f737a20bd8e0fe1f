"""What statements of a database cost, the costliest first, and one of them with its plan.

The last half hour is in memory, with all that agents and the server tell. Longer windows are read
from the samples, which keep cost and mean time of the costliest statements. Nothing is run: a
statement without a plan is planned when somebody looks at it, which only asks the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from homeostat.engine import Unsupported
from homeostat.errors import ConfigError, DatabaseError
from homeostat.operate.attached import Attached
from homeostat.operate.explaining import STATEMENT, explained
from homeostat.operate.insights import StatementRow, Statements
from homeostat.operate.operator import Operator
from homeostat.operate.statements import StatementView
from homeostat.operate.views import Explained

MEMORY_SECONDS = 1800.0  # what the statement book surely holds
COST, MEAN = "statement.cost", "statement.mean_ms"
KEPT_MAX = 200  # statements of a long window that are looked at
POINTS = 60
ONLY_KEPT = (
    "Of times past the last half hour only cost and mean time of the costliest statements are kept."
)
NO_STATEMENT = "No statement was seen in this time."

ORDERS: Mapping[str, Callable[[StatementRow], float]] = {
    "total": lambda row: row.cost_ms_per_second,
    "mean": lambda row: row.mean_ms,
    "calls": lambda row: row.calls_per_second or 0.0,
    "rows": lambda row: (row.rows_per_call or 0.0) * (row.calls_per_second or 0.0),
    "pages": lambda row: (row.pages_per_call or 0.0) * (row.calls_per_second or 0.0),
}
"""What statements may be ordered by, the largest first."""


def statements_of(
    operator: Operator, one: Attached, *, seconds: float, order: str, limit: int
) -> Statements:
    """Return the statements that ran in the last so many seconds, at most `limit`.

    Raises:
        ConfigError: there is no such order.
    """
    if order not in ORDERS:
        raise ConfigError(f"Statements are ordered by {', '.join(ORDERS)}.", where=order)
    now = operator.clock.now()
    findings = {f.name: f.id for f in one.findings.open() if f.kind == STATEMENT}
    short = seconds <= MEMORY_SECONDS
    rows = (
        _from_memory(one, findings, max(now - seconds, one.watch.view().since), now)
        if short
        else _from_samples(operator, one, findings, now - seconds, now)
    )
    rows.sort(key=ORDERS[order], reverse=True)
    workload = one.engine.workload
    reason = "" if short else ONLY_KEPT
    if isinstance(workload, Unsupported):
        if not rows:
            reason = f"{workload.reason} {workload.mend}"
    elif workload.note:
        reason = f"{reason} {workload.note}".strip()
    known = [
        first for metric, _, first, _ in operator.samples.subjects(one.row.key) if metric == COST
    ]
    return Statements(
        database=one.row.key,
        at=now,
        seconds=seconds,
        order=order,
        rows=rows[:limit],
        known_since=min(known, default=None),
        reason=reason if rows or reason else NO_STATEMENT,
    )


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
    one: Attached, findings: Mapping[str, int], start: float, end: float
) -> list[StatementRow]:
    views = one.watch.statements.views(start=start, end=end)
    whole = sum(view.spent.total_ms for view in views) or 1.0
    return [_row(view, whole, findings.get(view.key)) for view in views]


def _row(view: StatementView, whole_ms: float, finding: int | None) -> StatementRow:
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
    )


def _from_samples(
    operator: Operator, one: Attached, findings: Mapping[str, int], start: float, end: float
) -> list[StatementRow]:
    store, key = operator.samples, one.row.key
    kept = [
        label
        for metric, label, first, last in store.subjects(key)
        if metric == COST and first < end and last >= start
    ]
    means: dict[str, tuple[float, float]] = {}
    for label in kept[:KEPT_MAX]:
        cost = _mean(store.range(key, COST, label, start=start, end=end, points=POINTS))
        mean = _mean(store.range(key, MEAN, label, start=start, end=end, points=POINTS))
        if cost is not None and mean is not None:
            means[label.partition(":")[2]] = (cost, mean)
    whole = sum(cost for cost, _ in means.values()) or 1.0
    texts = {
        f.name: str(f.evidence.get("text", ""))
        for f in operator.logbook.findings(key, open_only=False)
    }
    return [
        _kept_row(one, statement, cost, mean, cost / whole, texts, findings.get(statement))
        for statement, (cost, mean) in means.items()
    ]


def _kept_row(
    one: Attached,
    statement: str,
    cost: float,
    mean: float,
    share: float,
    texts: Mapping[str, str],
    finding: int | None,
) -> StatementRow:
    view = one.watch.statements.view(statement, start=0.0, end=0.0001)
    text = view.text if view is not None else texts.get(statement, "")
    return StatementRow(
        statement=statement,
        name=view.name if view is not None else text or statement,
        text=text,
        applications=list(view.applications) if view is not None else [],
        write=view.write if view is not None else None,
        cost_ms_per_second=cost,
        share=share,
        mean_ms=mean,
        calls_per_second=None,
        rows_per_call=None,
        late_share=None,
        pages_per_call=None,
        waited_share=None,
        source="samples",
        finding=finding,
        planned=view is not None and bool(view.plans),
    )


def _mean(points: list[tuple[float, float, float, float]]) -> float | None:
    return sum(point[1] for point in points) / len(points) if points else None
