"""What the samples still say of statements, over any range that they are kept for.

The costliest statements of every look are kept as increases, which may be added up over any range
and however often an operator was started. Beside them it is kept of how much time they tell: rates
are of that part of a range, since nothing is known of the rest. Percentiles come from the
histograms of their operations, added up too, past a month of the five costliest only. The 20
costliest of a range are told.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from homeostat.logbook.statement_texts import StatementText
from homeostat.measure import Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.statements import StatementView

CALLS, TOTAL = "statement.calls", "statement.total_ms"
KNOWN, WHOLE = "statements.seconds", "database"
LATENCY = "operation.latency_us"
KEPT_MAX = 100  # statements of a range that are looked at
SHOWN_MAX = 20  # as many as a look keeps
ANSWER_SHARE, ANSWER_SECONDS_MAX, ANSWERS_MAX = 1 / 200, 600.0, 64
# adding up a year of histograms takes 50 ms a statement, and a page is to be there within a second
LONG_SECONDS, QUANTILES_OF_LONG_MAX = 32 * 86_400.0, 5


@dataclass(frozen=True, slots=True)
class Kept:
    """What a statement did over a range; None: nobody told.

    `cost`: ms spent in it per second that is known. `p95_ms`, `p99_ms`: of its operation.
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


@dataclass(frozen=True, slots=True)
class KeptRange:
    """The costliest statements of a range, and of how many seconds of it they tell; 0: of none."""

    seconds: float
    statements: list[Kept]


class KeptStatements:
    """Answers are kept for a 200th of their range, at most 10 minutes: an open page asks often.

    Safe to use from any thread.
    """

    def __init__(self, operator: Operator) -> None:
        """Use the operator's samples."""
        self._operator = operator
        self._answers: OrderedDict[tuple[str, int, int, bool], KeptRange] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, one: Attached, *, start: float, end: float, brief: bool = False) -> KeptRange:
        """Return the costliest statements of which samples with start <= time < end are kept.

        `brief` leaves out rows, pages and late calls.
        """
        grain = min(ANSWER_SECONDS_MAX, max(1.0, (end - start) * ANSWER_SHARE))
        asked = (one.row.key, round(end / grain), round(end - start), brief)
        with self._lock:
            answer = self._answers.get(asked)
        if answer is None:
            answer = _kept_statements(self._operator, one, start, end, brief=brief)
            with self._lock:
                self._answers[asked] = answer
                while len(self._answers) > ANSWERS_MAX:
                    self._answers.popitem(last=False)
        return answer


def _kept_statements(
    operator: Operator, one: Attached, start: float, end: float, *, brief: bool
) -> KeptRange:
    seconds = min(_total(operator, one.row.key, KNOWN, WHOLE, start, end) or 0.0, end - start)
    if not seconds:
        return KeptRange(0.0, [])
    texts = operator.samples.statement_texts.of(one.row.key)
    most = SHOWN_MAX if end - start <= LONG_SECONDS else QUANTILES_OF_LONG_MAX
    found = []
    for place, (spent, calls, label) in enumerate(_ran(operator, one.row.key, start, end)):
        statement = label.partition(":")[2]
        text = texts.get(statement, StatementText(statement, statement, ""))
        rows, pages, late = (
            (None, None, None) if brief else _parts(operator, one.row.key, label, start, end)
        )
        p95, p99 = None, None
        if place < most and (brief or late is not None):
            p95, p99 = _quantiles(operator, one.row.key, text.name, start, end)
        found.append(
            Kept(
                statement,
                text.name,
                text.text,
                spent / seconds,
                spent / calls,
                calls / seconds,
                None if rows is None else rows / calls,
                None if pages is None else pages / calls,
                None if late is None else late / calls,
                p95,
                p99,
            )
        )
    return KeptRange(seconds, found)


def _ran(operator: Operator, key: str, start: float, end: float) -> list[tuple[float, float, str]]:
    """Return time, calls and label of the statements that ran in a range, the costliest first."""
    spans = [
        (last - first, label)
        for metric, label, first, last in operator.samples.subjects(key)
        if metric == CALLS and first < end and last >= start
    ]
    ran = []
    for _, label in sorted(spans, reverse=True)[:KEPT_MAX]:
        spent = _total(operator, key, TOTAL, label, start, end)
        calls = None if spent is None else _total(operator, key, CALLS, label, start, end)
        if spent is not None and calls:
            ran.append((spent, calls, label))
    return sorted(ran, reverse=True)[:SHOWN_MAX]


def _parts(
    operator: Operator, key: str, label: str, start: float, end: float
) -> tuple[float | None, float | None, float | None]:
    """Return the rows, pages and late calls of a statement."""
    rows, pages, late = (
        _total(operator, key, f"statement.{part}", label, start, end)
        for part in ("rows", "pages", "late")
    )
    return rows, pages, late


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
