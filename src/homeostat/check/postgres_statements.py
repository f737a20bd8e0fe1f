"""Statements of PostgreSQL that are slow, that got slower, or that lack an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import Row, counted_seconds, row_count, tables
from homeostat.check.postgres_workload import (
    EXPLAINED_MAX,
    asked_for,
    indexes_there,
    plan_of,
    tables_named,
    workload,
)
from homeostat.check.report import Cost, Finding
from homeostat.driver.tokens import quoted
from homeostat.engine.candidates import Candidate, candidates
from homeostat.engine.facets import IndexSpec, Plan, PlanNode, Statement
from homeostat.engine.maintain import definition_of
from homeostat.engine.predicates import asked
from homeostat.engine.texts import tables_of
from homeostat.measure import Severity, size_text

TEXT_CHARACTERS_MAX = 400
TITLE_CHARACTERS_MAX = 60
DAY_SECONDS = 86_400.0
WORK_MEM_FACTOR = 2.5  # a sort takes that much more in memory than on disk
WORK_MEM_MAX_MB = 1024


def _missing_index(look: Look) -> Iterator[Finding]:
    load = workload(look)
    if load is None:
        return
    limits = look.config.tune
    costly = [one for one in load.statements if one.calls >= limits.calls_min][:EXPLAINED_MAX]
    known = tables_named(load.statements, look)
    there = indexes_there(look)
    proposed: dict[str, tuple[Candidate, list[Statement], PlanNode]] = {}
    for one in costly:
        plan = plan_of(one, look)
        asks = asked(one.text, "postgresql", known)
        if plan is None or not asks:
            continue
        for node in _selective_scans(plan, look):
            fitting = [
                candidate
                for candidate in candidates(asks, known, there)
                if _relation(candidate.spec.schema, candidate.spec.table) == node.relation
                and candidate.conditions
            ]
            if fitting:
                load.explained.add(one.key)
                entry = proposed.setdefault(fitting[0].spec.name, (fitting[0], [], node))
                entry[1].append(one)
    for candidate, statements, node in proposed.values():
        load.indexes.add(candidate.spec.name)
        yield _index_finding(candidate, statements, node, look)


def _selective_scans(plan: Plan, look: Look) -> Iterator[PlanNode]:
    """Yield scans from end to end that keep few of the many rows they read."""
    limits = look.config
    by_name = {
        _relation(table["schema_name"], table["table_name"]): table
        for table in tables(look).values()
    }
    for node in _nodes(plan.root):
        table = by_name.get(node.relation or "")
        if table is None or not node.kind.endswith("Seq Scan") or node.rows_estimated is None:
            continue
        rows = row_count(table)
        kept = max(1.0, node.rows_estimated)
        if rows < limits.check.scanned_rows_min:
            continue
        if rows / kept >= limits.tune.rows_read_per_row:
            yield node


def _relation(schema: str, table: str) -> str:
    """Return what a plan's node calls a table."""
    return table if schema == "public" else f"{schema}.{table}"


def _nodes(node: PlanNode) -> Iterator[PlanNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _index_finding(
    candidate: Candidate, statements: Sequence[Statement], node: PlanNode, look: Look
) -> Finding:
    spec = candidate.spec
    table = next(
        row
        for row in tables(look).values()
        if (row["table_name"], row["schema_name"]) == (spec.table, spec.schema)
    )
    total = sum(one.total_ms for one in statements)
    calls = sum(one.calls for one in statements)
    rows = row_count(table)
    per_second = total / counted_seconds(look)
    return Finding(
        severity=Severity.HIGH if total / calls >= look.config.check.slow_query_ms
        else Severity.WARNING,
        what=f"{table['name']} has no index for {candidate.why}",
        where=f"{table['name']} ({', '.join(quoted(one) for one in spec.columns)})",
        cause=f"the statement reads all {rows:,.0f} rows for about {node.rows_estimated:,.0f}",
        evidence={
            "statement": statements[0].text[:TEXT_CHARACTERS_MAX],
            "statements": len(statements),
            "calls": calls,
            "mean_ms": round(total / calls, 3),
            "total_ms": round(total, 1),
            "rows": rows,
            "rows_kept": node.rows_estimated,
        },
        mend_sql=f"{_create(spec, table)};",
        risk=(
            "Low: writers go on while it is built; takes disk space, and each write some more. The "
            "benefit is estimated: `homeostat up` measures it on a copy."
        ),
        cost=Cost(kind="time", amount=per_second),
    )  # fmt: skip


def _create(spec: IndexSpec, table: Row) -> str:
    how = "" if table["kind"] == "p" else "CONCURRENTLY"
    return definition_of(spec, target=str(table["name"]), how=how)


def _slow_statement(look: Look) -> Iterator[Finding]:
    load = workload(look)
    if load is None:
        return
    limits, seconds = look.config, counted_seconds(look)
    for one in load.statements:
        mean = one.total_ms / one.calls
        often = one.calls >= limits.check.slow_query_calls
        enough = often or (mean >= limits.tune.mean_query_ms and one.calls >= limits.tune.calls_min)
        if mean < limits.tune.slow_query_ms or not enough or one.key in load.explained:
            continue
        cause, mend, risk = _slow_cause(one, look)
        yield Finding(
            severity=(
                Severity.HIGH
                if mean >= limits.tune.mean_query_ms
                else Severity.WARNING
                if mean >= limits.check.slow_query_ms
                else Severity.INFO
            ),
            what=f"a statement takes {mean:,.0f} ms a call: {_title(one.text)}",
            where=f"statement {one.key}",
            cause=cause,
            evidence=_cost_evidence(one),
            mend_sql=f"{mend}\n-- Then count anew: SELECT pg_stat_statements_reset();",
            risk=risk,
            cost=Cost(kind="time", amount=one.total_ms / seconds),
        )


def _slow_cause(one: Statement, look: Look) -> tuple[str, str, str]:
    """Return cause, mend and risk; what is not known is called so."""
    database = look.row("database")
    spilled = one.blocks_temporary if isinstance(one.blocks_temporary, float) else 0.0
    each = spilled / one.calls * database["block_bytes"]
    if each >= 1e6:
        wanted = 4
        while wanted * 1024**2 < each * WORK_MEM_FACTOR and wanted < WORK_MEM_MAX_MB:
            wanted *= 2
        return (
            f"its sorts and hashes do not fit into work_mem: {size_text(each)} a call go to disk",
            f"ALTER DATABASE {database['quoted_name']} SET work_mem = '{wanted}MB';",
            (
                "Every sort of every new session may take that much: see machine_setting. SET "
                "LOCAL in this one transaction is safer."
            ),
        )
    if one.rows / one.calls >= look.config.tune.rows_returned:
        return (
            f"it returns {one.rows / one.calls:,.0f} rows a call",
            "-- Ask for fewer rows: pages by key, or the sum instead of the rows.",
            "None for the database.",
        )
    changed = [
        table["name"]
        for table in _tables_of(one, look)
        if table["changed"] > look.config.tune.changed_share * max(1.0, row_count(table))
        and table["changed"] >= look.config.check.rows_min
    ]
    if changed:
        return (
            f"the statistics of {', '.join(changed)} are stale: the plan is for another table",
            "\n".join(f"ANALYZE {name};" for name in changed),
            "Low: reads a sample of the table; plans may change.",
        )
    return (
        "unknown: it needs no index that is missing, spills nothing, and returns few rows",
        "-- Run EXPLAIN (ANALYZE, BUFFERS) with real values: where are rows misjudged?",
        "EXPLAIN ANALYZE runs the statement.",
    )


def _tables_of(one: Statement, look: Look) -> list[Row]:
    names = tables_of(one.text, "postgresql")
    return [row for row in tables(look).values() if row["table_name"].lower() in names]


def _regressed(look: Look) -> Iterator[Finding]:
    """Compare what statements cost while we look with what they cost before."""
    load, limits = workload(look), look.config
    if load is None or not load.statements or not limits.check.watch_seconds:
        return
    look.budget.wait(limits.check.watch_seconds - (look.budget.seconds - load.begun))
    elapsed = look.budget.seconds - load.begun
    earlier = {one.key: one for one in load.statements}
    for one in asked_for(load.facet):
        before = earlier.get(one.key)
        if before is None or before.calls < limits.check.slow_query_calls:
            continue
        calls, spent = one.calls - before.calls, one.total_ms - before.total_ms
        if calls < limits.tune.calls_min or one.key in load.explained:
            continue
        mean, usual = spent / calls, before.total_ms / before.calls
        if mean < limits.check.regressed_ms_min or mean < limits.tune.plan_change_factor * usual:
            continue
        names = [table["name"] for table in _tables_of(one, look)]
        yield Finding(
            severity=Severity.HIGH,
            what=f"{mean / usual:.1f} times as slow as before: {_title(one.text)}",
            where=f"statement {one.key}",
            cause="its plan changed, its tables grew, or it waits; look at statistics first",
            evidence={
                **_cost_evidence(one),
                "mean_ms_before": round(usual, 3),
                "mean_ms_now": round(mean, 3),
                "calls_watched": calls,
                "watched_seconds": round(elapsed, 1),
            },
            mend_sql="\n".join(f"ANALYZE {name};" for name in names),
            risk="Low: reads a sample of the tables; plans may change.",
            cost=Cost(kind="time", amount=(spent - usual * calls) / max(elapsed, 1e-3)),
        )


def _cost_evidence(one: Statement) -> dict[str, float | str | None]:
    return {
        "statement": one.text[:TEXT_CHARACTERS_MAX],
        "calls": one.calls,
        "mean_ms": round(one.total_ms / one.calls, 3),
        "total_ms": round(one.total_ms, 1),
        "rows_per_call": round(one.rows / one.calls, 1),
    }


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARACTERS_MAX else f"{line[:TITLE_CHARACTERS_MAX]}..."


CHECKS = (
    Check(
        rule="missing_index",
        dialect="postgresql",
        sees="indexes that statements lack",
        help=(
            "A statement that costs much reads a table from end to end and keeps few of its rows, "
            "and no index begins with the columns it asks by. Create the one named."
        ),
        judge=_missing_index,
    ),
    Check(
        rule="slow_statement",
        dialect="postgresql",
        sees="slow statements",
        help=(
            "A statement is slow and costs much, and no missing index explains it. The cause says "
            "whether sorts go to disk, many rows come back, or statistics are stale."
        ),
        judge=_slow_statement,
    ),
    Check(
        rule="regressed_statement",
        dialect="postgresql",
        sees="statements that got slower",
        help=(
            "While the check ran, a statement took much longer than in all the time before. "
            "Refresh the statistics of its tables; then compare plans with `homeostat up`."
        ),
        judge=_regressed,
    ),
)
