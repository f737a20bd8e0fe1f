"""Tables and indexes as the probe last saw them, how they grew, and what stands out of indexes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.engine.engine import TableUse
from homeostat.engine.facets import IndexInfo
from homeostat.measure import Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.insights import IndexRow, TableRow, Tables
from homeostat.operate.operator import Operator

GROWTH_SECONDS = 7 * 86_400.0
GROWTH_POINTS = 50
SIZE = "table.size_bytes"
NOT_YET = "Tables were not read yet; they are when the first probe of them has ended."
NO_GROWTH = "it was measured only once so far"


def tables_of(operator: Operator, one: Attached) -> Tables:
    """Return tables with their indexes, the largest first."""
    seen = one.watch.holdings()
    if seen is None:
        return Tables(database=one.row.key, at=None, tables=[], reason=one.watch.error or NOT_YET)
    by_table: dict[tuple[str, str], list[IndexInfo]] = {}
    for index in seen.indexes:
        by_table.setdefault((index.schema, index.table), []).append(index)
    rows = [
        _row(operator, one, table, by_table.get((table.schema, table.name), []))
        for table in seen.tables
    ]
    reason = f"Indexes could not be read: {seen.reason}" if seen.reason else ""
    return Tables(database=one.row.key, at=seen.at, tables=rows, reason=reason)


def _row(
    operator: Operator, one: Attached, table: TableUse, indexes: Sequence[IndexInfo]
) -> TableRow:
    unknown: dict[str, str] = {}

    def known(name: str) -> Any:
        value = getattr(table, name)
        if isinstance(value, Unknown):
            unknown[name] = value.reason
            return None
        return value

    name = f"{table.schema}.{table.name}" if table.schema else table.name
    grown, seconds = _growth(operator, one, name)
    if grown is None:
        unknown["grown_bytes"] = unknown.get("bytes", NO_GROWTH)
    numbers = {
        field: known(field)
        for field in (
            "rows", "dead_rows", "bytes", "index_bytes", "waste_bytes", "changed", "analysed",
            "vacuumed", "full_scans", "full_scan_rows", "index_scans",
        )
    }  # fmt: skip
    return TableRow(
        name=table.name,
        schema=table.schema,
        grown_bytes=grown,
        grown_seconds=seconds,
        indexes=[_index(index, indexes) for index in indexes],
        unknown=unknown,
        **numbers,
    )


def _growth(operator: Operator, one: Attached, name: str) -> tuple[float | None, float | None]:
    now = operator.clock.now()
    points = operator.samples.range(
        one.row.key,
        SIZE,
        f"table:{name}",
        start=now - GROWTH_SECONDS,
        end=now + 1,
        points=GROWTH_POINTS,
    )
    if len(points) < 2:
        return None, None
    return points[-1][1] - points[0][1], points[-1][0] - points[0][0]


def _index(index: IndexInfo, others: Sequence[IndexInfo]) -> IndexRow:
    return IndexRow(
        name=index.name,
        columns=list(index.columns),
        definition=index.definition,
        unique=index.unique,
        constraint=index.constraint,
        valid=index.valid,
        bytes=index.bytes if isinstance(index.bytes, float) else None,
        scans=index.scans if isinstance(index.scans, float) else None,
        remark=_remark(index, others),
    )


def _remark(index: IndexInfo, others: Sequence[IndexInfo]) -> str:
    if not index.valid:
        return "invalid: a build that failed left it behind"
    if index.unique or index.constraint:
        return ""
    for other in others:
        longer = other.columns[: len(index.columns)] == index.columns
        first = len(other.columns) > len(index.columns) or other.name < index.name or other.unique
        if other is not index and longer and other.where == index.where and first and other.valid:
            return f"covered by {other.name}"
    return "not used since statistics were reset" if index.scans == 0 else ""
