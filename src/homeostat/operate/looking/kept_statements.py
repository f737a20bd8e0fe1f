"""What the samples still say of statements, over any range that they are kept for.

The costliest statements of every look are kept as increases, which may be added up over any range
and however often an operator was started; percentiles come from the histograms of their operations,
added up too. At most so many statements of a range are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.measure import Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.statements import StatementView

CALLS, TOTAL = "statement.calls", "statement.total_ms"
LATENCY = "operation.latency_us"
KEPT_MAX = 100  # statements of a range that are looked at


@dataclass(frozen=True, slots=True)
class Kept:
    """What a statement did over a range; None: nobody told.

    `cost`: ms spent in it per second of the range. `p95_ms`, `p99_ms`: of its operation.
    """

    statement: str
    name: str
    text: str
    cost: float
    mean_ms: float
    calls_per_second: float
    rows_per_call: float | None
    pages_per_call: float | None
    late_share: float | None
    p95_ms: float | None
    p99_ms: float | None


def kept_statements(operator: Operator, one: Attached, *, start: float, end: float) -> list[Kept]:
    """Return the statements of which samples with start <= time < end are kept."""
    key, seconds = one.row.key, end - start
    spans = [
        (last - first, label)
        for metric, label, first, last in operator.samples.subjects(key)
        if metric == CALLS and first < end and last >= start
    ]
    texts = operator.samples.statement_texts.of(key) if spans else {}
    found = []
    for _, label in sorted(spans, reverse=True)[:KEPT_MAX]:
        calls = _total(operator, key, CALLS, label, start, end)
        spent = _total(operator, key, TOTAL, label, start, end)
        if not calls or spent is None:
            continue
        statement = label.partition(":")[2]
        text = texts.get(statement)
        name = text.name if text is not None else statement
        rows, pages, late = (
            None if value is None else value / calls
            for value in (
                _total(operator, key, f"statement.{part}", label, start, end)
                for part in ("rows", "pages", "late")
            )
        )
        p95, p99 = _quantiles(operator, key, name, start, end) if late is not None else (None, None)
        found.append(
            Kept(
                statement,
                name,
                text.text if text is not None else "",
                spent / seconds,
                spent / calls,
                calls / seconds,
                rows,
                pages,
                late,
                p95,
                p99,
            )
        )
    return found


def percentiles(
    operator: Operator, one: Attached, view: StatementView, start: float, end: float
) -> tuple[float | None, float | None]:
    """Return the 95th and 99th percentile (ms) of a statement that agents tell of."""
    if not view.operations or one.watch.statements.key_of(view.operations[0]) != view.key:
        return None, None
    return _quantiles(operator, one.row.key, view.operations[0], start, end)


def _quantiles(
    operator: Operator, key: str, operation: str, start: float, end: float
) -> tuple[float | None, float | None]:
    label = f"operation:{operation}"
    found = operator.samples.histogram(key, LATENCY, label, start=start, end=end)
    values = found.quantile(0.95), found.quantile(0.99)
    p95, p99 = (None if isinstance(value, Unknown) else value / 1000 for value in values)
    return p95, p99


def _total(
    operator: Operator, key: str, metric: str, label: str, start: float, end: float
) -> float | None:
    return operator.samples.total(key, metric, label, start=start, end=end)
