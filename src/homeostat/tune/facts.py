"""What is found out about a slow statement: its plan, the tables in it, and what might serve it.

Asks the live database for an estimated plan, its catalogue, and bounded counts; runs nothing of the
application's. Facts are JSON: the rule judges by them and findings carry them, redacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from homeostat.config import TuneConfig
from homeostat.driver.wire import NO_PARAMS, Params
from homeostat.engine.candidates import Candidate, candidates
from homeostat.engine.engine import Engine, Unsupported
from homeostat.engine.facets import IndexInfo, Plan, PlanNode, TableInfo
from homeostat.engine.plan import walk
from homeostat.engine.predicates import Asked, asked
from homeostat.errors import DatabaseError
from homeostat.logbook.rows import Json
from homeostat.measure import Unknown
from homeostat.operate.statements import StatementView
from homeostat.tune.counting import count_matching, count_rows, matching_sql, target_of
from homeostat.tune.values import parameters_of, used_by

SCANS = ("SCAN", "Seq Scan", "Parallel Seq Scan")
CANDIDATES_MAX = 4
AUTOMATIC = "AUTOMATIC"


@dataclass(slots=True)
class Catalogue:
    """Tables and indexes of a database at one moment."""

    tables: Sequence[TableInfo]
    indexes: Sequence[IndexInfo]
    counted: dict[str, float | None] = field(default_factory=dict)  # rows by table


def read_catalogue(engine: Engine) -> Catalogue | None:
    """Return tables and indexes, or None where the engine cannot say.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    maintain = engine.maintain
    if isinstance(maintain, Unsupported):
        return None
    return Catalogue(maintain.tables(), maintain.indexes())


def estimate(engine: Engine, view: StatementView) -> Plan | None:
    """Return a statement's plan for its newest parameters, or None when it cannot be planned."""
    explain = engine.explain
    if isinstance(explain, Unsupported):
        return None
    try:
        return explain.estimate(view.sql, newest_parameters(view))
    except DatabaseError:
        return None


def newest_parameters(view: StatementView) -> Params | None:
    """Return the parameters of the newest slow call that has all of them, else of the newest."""
    found = [(one, parameters_of(one)) for one in view.samples]
    known = [(one, params) for one, params in found if params is not None]
    slow = [params for one, params in known if one.slow]
    if slow:
        return slow[0]
    if known:
        return known[0][1]
    return NO_PARAMS if ":" not in view.sql and "$" not in view.sql else None


def facts_of(
    engine: Engine, view: StatementView, plan: Plan, catalogue: Catalogue, config: TuneConfig
) -> Json:
    """Return what was found out about a statement.

    Keys: `plan` (facets.Plan), `tables` (rows, changed, analysed, expected, matching by table),
    `candidates` (each an index with what it would do), `scanned` (tables read from end to end).
    """
    scanned = sorted({node.relation for node in scans(plan.root) if node.relation})
    asks = asked(view.sql, engine.dialect, catalogue.tables)
    params = newest_parameters(view)
    tables = {
        one.table: _table_facts(engine, one, catalogue, params, config)
        for one in asks
        if one.table in {node.relation for _, node in walk(plan.root)}
    }
    return {
        "plan": msgspec.to_builtins(plan),
        "scanned": scanned,
        "tables": tables,
        "candidates": [
            _candidate_facts(one, tables)
            for one in candidates(asks, catalogue.tables, catalogue.indexes)
            if one.spec.table in scanned
        ][:CANDIDATES_MAX],
        "joins_selective": any(one.joined for one in asks) and any(one.conditions for one in asks),
    }


def scans(root: PlanNode) -> Iterator[PlanNode]:
    """Yield the steps that read a whole table, or build an index for this one statement."""
    for _, node in walk(root):
        if (node.kind in SCANS and node.index is None) or AUTOMATIC in node.detail:
            yield node


def _table_facts(
    engine: Engine,
    one: Asked,
    catalogue: Catalogue,
    params: Params | None,
    config: TuneConfig,
) -> Json:
    info = next(table for table in catalogue.tables if table.name == one.table)
    if one.table not in catalogue.counted:
        catalogue.counted[one.table] = count_rows(
            engine, one.table, schema=info.schema, deadline_ms=config.explain_ms
        )
    facts: Json = {
        "rows": catalogue.counted[one.table],
        "rows_by_statistics": _known(info.rows),
        "changed": _known(info.changed),
        "never_analysed": info.analysed is None,
        "matching": None,
        "expected": None,
        "ordered": bool(one.order),
    }
    if one.conditions and params is not None:
        facts["matching"] = count_matching(
            engine,
            one.table,
            one.conditions,
            params,
            schema=info.schema,
            deadline_ms=config.explain_ms,
        )
        facts["expected"] = _expected(engine, one, info, params)
    return facts


def _expected(engine: Engine, one: Asked, info: TableInfo, params: Params) -> float | None:
    """Return how many rows of the table the planner expects to match; None where it says not."""
    explain = engine.explain
    if isinstance(explain, Unsupported) or engine.dialect != "postgresql":
        return None
    sql = matching_sql(target_of(one.table, info.schema), one.conditions)
    try:
        return explain.estimate(sql, used_by(sql, params)).root.rows_estimated
    except DatabaseError:
        return None


def _candidate_facts(one: Candidate, tables: dict[str, Json]) -> Json:
    spec = one.spec
    facts = tables.get(spec.table, {})
    return {
        "table": spec.table,
        "schema": spec.schema,
        "columns": list(spec.columns),
        "where": spec.where,
        "name": spec.name,
        "why": one.why,
        "rows": facts.get("rows"),
        "matching": facts.get("matching") if one.conditions else None,
        "by_value": bool(one.conditions),
    }


def _known(value: float | Unknown | None) -> Any:
    return None if value is None or isinstance(value, Unknown) else value
