"""Indexes and tables of PostgreSQL that are larger than what they hold.

An index is judged by what a rebuild gives back, 1 - avg_leaf_density / fill factor, measured by
pgstattuple where that is installed and the index small enough to be read; else it is estimated from
the widths in the statistics, and has to be worse to be a finding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import Row, row_count, tables
from homeostat.check.report import Cost, Finding
from homeostat.errors import DatabaseError
from homeostat.measure import Severity, size_text

PAGE_HEAD_BYTES = 40.0  # header and, in a b-tree, its special space
ENTRY_BYTES = 12.0  # of an index entry: item pointer and tuple header
ROW_BYTES = 28.0  # of a row: item pointer and tuple header
ALIGNMENT_BYTES = 8.0
MEASURED_MAX = 10  # indexes that are read
GIVEN_BACK_HIGH = 1e9


def _index_bloat(look: Look) -> Iterator[Finding]:
    limits = look.config.check
    large = [
        row
        for row in look.rows("indexes")
        if row["bytes"] >= limits.bloat_bytes_min
        and row["method"] == "btree"
        and row["is_valid"]
        and row["kind"] == "i"
    ]
    if not large:
        return
    large.sort(key=lambda row: -row["bytes"])
    widths = _widths(look, "index_widths", [row["oid"] for row in large])
    measuring = _measuring(look)
    unknown: list[Row] = []
    for place, row in enumerate(large):
        share, how = _estimated(row, widths.get(row["oid"]), look), "estimated"
        if measuring and place < MEASURED_MAX and row["bytes"] <= limits.measured_bytes_max:
            measured = _measured(row, measuring, look)
            share, how = (share, how) if measured is None else (measured, "measured")
        if share is None:
            unknown.append(row)
            continue
        needed = limits.bloat_share if how == "measured" else limits.bloat_share_estimated
        if share > needed and share * row["bytes"] >= limits.bloat_bytes_min:
            yield _index_finding(row, share, how)
    if unknown:
        look.miss(
            f"how full {len(unknown)} large indexes are",
            reason="they have no statistics of their columns that this role may read",
            mend=(
                f"GRANT pg_read_all_data TO {look.role}; or CREATE EXTENSION pgstattuple; "
                f"GRANT pg_stat_scan_tables TO {look.role};"
            ),
        )


def _index_finding(row: Row, share: float, how: str) -> Finding:
    back = share * row["bytes"]
    return Finding(
        severity=Severity.WARNING if back >= GIVEN_BACK_HIGH else Severity.INFO,
        what=f"a rebuild of {row['name']} gives back {size_text(back)} ({100 * share:.0f} %)",
        where=row["name"],
        cause="rows were deleted or moved; an index keeps the pages that they filled",
        evidence={
            "table": row["table_name"],
            "index_bytes": row["bytes"],
            "given_back_share": round(share, 3),
            "how": how,
            "entries": row["entries"],
        },
        mend_sql=f"REINDEX INDEX CONCURRENTLY {row['name']};",
        risk="Low: readers and writers go on; needs the disk space of a second index meanwhile.",
        cost=Cost(kind="bytes", amount=back),
    )


def _measuring(look: Look) -> str:
    """Return the function that measures an index; empty: it is not there, or not for this role."""
    row = look.row("pgstattuple")
    if not row or not row["is_usable"]:
        return ""
    return f"{row['schema_name']}.pgstatindex"


def _measured(row: Row, function: str, look: Look) -> float | None:
    try:
        asked = f"SELECT avg_leaf_density FROM {function}(:oid::oid::regclass)"
        density = look.execute(asked, {"oid": row["oid"]}).scalar()
    except DatabaseError:
        return None  # locked, or too slow just now: the estimate stands
    if not isinstance(density, float) or math.isnan(density):  # it is empty
        return None
    return max(0.0, 1 - density / float(row["fill_factor"]))


def _estimated(row: Row, widths: Row | None, look: Look) -> float | None:
    """Return what a rebuild gives back by estimate; equal keys take less, so it errs to less."""
    if widths is None or not widths["is_whole"] or row["entries"] < 0:
        return None
    table = tables(look).get(row["table_oid"])
    partial = bool(row["condition"])
    entries = row["entries"] if partial or table is None else row_count(table)
    page = look.row("database")["block_bytes"] - PAGE_HEAD_BYTES
    entry = ENTRY_BYTES + _aligned(widths["width"])
    needed = entries * entry / (page * row["fill_factor"] / 100) * (page + PAGE_HEAD_BYTES)
    return max(0.0, 1 - float(needed) / float(row["bytes"]))


def _table_bloat(look: Look) -> Iterator[Finding]:
    limits = look.config.check
    large = [
        row
        for row in tables(look).values()
        if row["kind"] != "p" and row["bytes"] and row["bytes"] >= limits.bloat_bytes_min
    ]
    if not large:
        return
    widths = _widths(look, "table_widths", [row["oid"] for row in large])
    for row in large:
        width = widths.get(row["oid"])
        if width is None or not width["is_whole"] or not row["is_counted"]:
            continue
        page = look.row("database")["block_bytes"] - PAGE_HEAD_BYTES
        each = ROW_BYTES + _aligned(width["width"])
        held = row_count(row) + row["dead"]  # dead rows are vacuum_debt
        needed = held * each / (page * row["fill_factor"] / 100) * (page + PAGE_HEAD_BYTES)
        share = max(0.0, 1 - needed / row["bytes"])
        back = share * row["bytes"]
        if share <= limits.bloat_share_estimated or back < limits.bloat_bytes_min:
            continue
        yield Finding(
            severity=Severity.WARNING if back >= GIVEN_BACK_HIGH else Severity.INFO,
            what=f"{row['name']} holds about {size_text(back)} of free space ({100 * share:.0f} %)",
            where=row["name"],
            cause="rows were deleted or moved; VACUUM keeps their space for later rows",
            evidence={
                "table_bytes": row["bytes"],
                "rows": row_count(row),
                "row_bytes": round(each, 1),
                "given_back_share": round(share, 3),
                "how": "estimated",
            },
            mend_sql=f"VACUUM (FULL, ANALYZE) {row['name']};",
            risk=(
                "High while it runs: nobody reads or writes the table, and it needs the disk space "
                "of a second one. pg_repack does the same with short locks. Leave it if the space "
                "will be used again."
            ),
            cost=Cost(kind="bytes", amount=back),
        )


def _widths(look: Look, name: str, oids: list[int]) -> Mapping[int, Row]:
    return {row["oid"]: row for row in look.ask(name, {"oids": oids})}


def _aligned(width: float) -> float:
    return -(-width // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


CHECKS = (
    Check(
        rule="index_bloat",
        dialect="postgresql",
        sees="how full indexes are",
        help=(
            "A rebuild of the index gives back much of its space, and scans of it read less. "
            "Measured by pgstattuple where that is installed, else estimated. REINDEX it."
        ),
        judge=_index_bloat,
    ),
    Check(
        rule="table_bloat",
        dialect="postgresql",
        sees="how full tables are",
        help=(
            "Most of a table is space that no row fills. Later rows will; if none come, VACUUM "
            "FULL (exclusive) or pg_repack gives it back."
        ),
        judge=_table_bloat,
    ),
)
