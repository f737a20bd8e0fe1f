"""What is found out about a slow statement: its plan, the tables in it, and what might serve it.

Asks the live database for an estimated plan, its catalogue, and bounded counts; runs nothing of the
application's. Facts are JSON: the rule judges by them and findings carry them, redacted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from homeostat.config import TuneConfig
from homeostat.driver.wire import NO_PARAMS, Params
from homeostat.engine.candidates import Candidate, candidates
from homeostat.engine.engine import Engine, Unsupported
from homeostat.engine.facets import IndexInfo, Plan, TableInfo, ViewInfo
from homeostat.engine.foreign_keys import ForeignKey, asked_by, foreign_keys
from homeostat.engine.predicates import asked
from homeostat.engine.reads import Read, place_of, reads_of
from homeostat.engine.sources import Asked
from homeostat.engine.statements import statement
from homeostat.engine.texts import summed_up
from homeostat.errors import DatabaseError
from homeostat.logbook.rows import Json
from homeostat.measure import Unknown
from homeostat.operate.statements import StatementView
from homeostat.tune.counting import (
    Counted,
    count_matching,
    count_rows,
    expected_rows,
    matching_sql,
    target_of,
)
from homeostat.tune.values import parameters_of

CANDIDATES_MAX = 6
ROW_BYTES = 100.0  # where only rows are known; enough to order tables by
CHILDREN_MAX = 3  # tables that are counted of those which are searched for a foreign key


@dataclass(slots=True)
class Catalogue:
    """Tables, indexes and views of a database at one moment."""

    tables: Sequence[TableInfo]
    indexes: Sequence[IndexInfo]
    views: Sequence[ViewInfo] = ()
    keys: Sequence[ForeignKey] = ()
    parts: Mapping[str, str] = field(default_factory=dict)  # whole by part, as plans call them
    counted: dict[str, Counted | None] = field(default_factory=dict)  # by table as plans call it
    children: dict[str, Counted | None] = field(default_factory=dict)  # from earlier looks too


def read_catalogue(engine: Engine) -> Catalogue | None:
    """Return tables and indexes, or None where the engine cannot say.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    maintain = engine.maintain
    if isinstance(maintain, Unsupported):
        return None
    return Catalogue(
        maintain.tables(),
        maintain.indexes(),
        maintain.views(),
        foreign_keys(engine),
        _parts(engine),
    )


def _parts(engine: Engine) -> dict[str, str]:
    if engine.dialect != "postgresql":
        return {}
    rows = engine.execute(statement("postgresql", "parts")).rows
    return {
        place_of(TableInfo(str(name), (), schema=str(schema))): place_of(
            TableInfo(str(whole), (), schema=str(whole_schema))
        )
        for schema, name, whole_schema, whole in rows
    }


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
    `candidates` (each an index with what it would do), `scanned` (tables read from end to end),
    `summed` (the table of which every row is asked for, with its rows), `children` (tables that
    are searched, without an index, for each row that is changed), `uncounted` (tables whose rows
    could not be counted in time, so that less is known than another look may tell).
    """
    params = newest_parameters(view)
    asks = asked(view.sql, engine.dialect, catalogue.tables, views=catalogue.views, params=params)
    counts = _Counts(engine, catalogue, params, config.explain_ms)
    reads = _reads(plan, asks, counts, catalogue)
    tables: dict[str, Json] = {}
    for one in asks:
        if counts.place(one) not in {read.relation for read in reads}:
            continue
        if one.table not in tables or (one.conditions and not tables[one.table]["conditions"]):
            tables[one.table] = _table_facts(one, counts)
    found = candidates(asks, catalogue.tables, catalogue.indexes, dialect=engine.dialect)
    told = [_candidate_facts(one, asks, reads, counts) for one in found[: 2 * CANDIDATES_MAX]]
    summed = _summed(view.sql, asks, reads, counts)
    children = _children(view.sql, catalogue, counts)
    return {
        "plan": msgspec.to_builtins(plan),
        "scanned": sorted({read.relation for read in reads if read.whole}),
        "tables": tables,
        "candidates": [one for one in told if one["read"] is not None][:CANDIDATES_MAX],
        "summed": summed,
        "children": children,
        "uncounted": counts.uncounted(),
    }


def rows_read(
    engine: Engine, view: StatementView, plan: Plan, catalogue: Catalogue, config: TuneConfig
) -> float | None:
    """Return how many rows a call reads by its plan, each table once; None: it cannot be told."""
    params = newest_parameters(view)
    asks = asked(view.sql, engine.dialect, catalogue.tables, views=catalogue.views, params=params)
    counts = _Counts(engine, catalogue, params, config.explain_ms)
    reads = _reads(plan, asks, counts, catalogue)
    found: list[float | None] = []
    for one in asks:
        mine = [read for read in reads if read.relation == counts.place(one)]
        if any(read.walked for read in mine):
            return None
        if mine:
            found.append(_rows_read(one, mine, counts))
    known = [rows for rows in found if rows is not None]
    return sum(known) if known and len(known) == len(found) else None


def _reads(plan: Plan, asks: Sequence[Asked], counts: _Counts, catalogue: Catalogue) -> list[Read]:
    """Return the plan's reads of what is asked; those of a part are reads of its whole."""
    named = {counts.place(one) for one in asks}
    return [
        one if one.relation in named else replace(one, relation=catalogue.parts[one.relation])
        for one in reads_of(plan)
        if one.relation in named or one.relation in catalogue.parts
    ]


class _Counts:
    """Counts rows of one statement's tables, each question once."""

    def __init__(
        self, engine: Engine, catalogue: Catalogue, params: Params | None, deadline_ms: float
    ) -> None:
        self.engine = engine
        self.params = params
        self._catalogue = catalogue
        self._deadline_ms = deadline_ms
        self._asked: dict[tuple[str, tuple[str, ...]], Counted | None] = {}

    def info(self, one: Asked) -> TableInfo:
        return next(
            table
            for table in self._catalogue.tables
            if (table.schema, table.name) == (one.schema, one.table)
        )

    def place(self, one: Asked) -> str:
        return place_of(self.info(one))

    def rows(self, one: Asked) -> float | None:
        found = self.counted(one)
        return None if found is None else found.rows

    def counted(self, one: Asked) -> Counted | None:
        place = self.place(one)
        if place not in self._catalogue.counted:
            self._catalogue.counted[place] = count_rows(
                self.engine, one.table, schema=one.schema, deadline_ms=self._deadline_ms
            )
        return self._catalogue.counted[place]

    def uncounted(self) -> list[str]:
        return sorted(place for place, rows in self._catalogue.counted.items() if rows is None)

    def matching(self, one: Asked, conditions: Sequence[str]) -> Counted | None:
        rows = self.rows(one)
        if not conditions or rows is None:
            return None if rows is None else Counted(rows, None)
        key = (self.place(one), tuple(conditions))
        if key not in self._asked:
            self._asked[key] = count_matching(
                self.engine,
                one.table,
                conditions,
                self.params,
                rows=rows,
                schema=one.schema,
                deadline_ms=self._deadline_ms,
            )
        return self._asked[key]


def _summed(sql: str, asks: Sequence[Asked], reads: Sequence[Read], counts: _Counts) -> Json:
    """Return the table that is summed up from end to end, its rows, and how long these take."""
    table = summed_up(sql, counts.engine.dialect)
    for one in asks:
        if one.table.lower() != table:
            continue
        whole = any(read.whole and read.relation == counts.place(one) for read in reads)
        found = counts.counted(one)
        if whole and found is not None:
            place = {"table": one.table, "schema": one.schema}
            return {**place, "rows": found.rows, "scan_ms": found.ms}
    return {}


def _children(sql: str, catalogue: Catalogue, counts: _Counts) -> list[Json]:
    """Return the largest tables that are searched from end to end for each row that is changed."""
    known = {(table.schema, table.name): table for table in catalogue.tables}
    lacking = [
        key
        for key in asked_by(sql, counts.engine.dialect, catalogue.keys)
        if (key.schema, key.table) in known
        and not key.served_by(catalogue.indexes, catalogue.tables)
    ]
    lacking.sort(key=lambda key: -_size(known[key.schema, key.table]))
    found: list[Json] = []
    for key in lacking[:CHILDREN_MAX]:
        one = Asked(key.table, key.schema)
        place = counts.place(one)
        if place not in catalogue.children:
            catalogue.children[place] = counts.counted(one)
        rows = catalogue.children[place]
        if rows is not None:
            facts = {"rows": rows.rows, "scan_ms": rows.ms, "columns": list(key.columns)}
            found.append({"table": key.table, "schema": key.schema, **facts})
    return found


def _size(info: TableInfo) -> float:
    """Return how large a table is for the catalogue, in bytes; what it does not know comes first.

    A table in parts has only rows there, and a file of SQLite may be too large to tell bytes.
    """
    if not isinstance(info.bytes, Unknown):
        return info.bytes
    return math.inf if isinstance(info.rows, Unknown) else info.rows * ROW_BYTES


def _table_facts(one: Asked, counts: _Counts) -> Json:
    info = counts.info(one)
    conditions = [condition.sql for condition in one.conditions]
    facts: Json = {
        "rows": counts.rows(one),
        "rows_by_statistics": _known(info.rows),
        "changed": _known(info.changed),
        "never_analysed": info.analysed is None,
        "matching": None,
        "expected": None,
        "ordered": bool(one.order),
        "conditions": len(conditions),
    }
    if conditions and counts.params is not None:
        found = counts.matching(one, conditions)
        facts["matching"] = None if found is None or found.ms is None else found.rows
        sql = matching_sql(target_of(one.table, one.schema), conditions)
        facts["expected"] = expected_rows(counts.engine, sql, counts.params)
    return facts


def _candidate_facts(
    one: Candidate, asks: Sequence[Asked], reads: Sequence[Read], counts: _Counts
) -> Json:
    """Return what an index would do: rows that are read now, and rows that it would find."""
    spec, asks_of = one.spec, one.asked
    looked_up = [condition.sql for condition in one.conditions]
    found = counts.matching(asks_of, looked_up)
    every = [*(condition.sql for condition in asks_of.conditions), *asks_of.others]
    left = counts.matching(asks_of, every) if one.ordered and every else None
    mine = [read for read in reads if read.relation == counts.place(asks_of)]
    return {
        "table": spec.table,
        "schema": spec.schema,
        "columns": list(spec.columns),
        "where": spec.where,
        "name": spec.name,
        "expressions": list(spec.expressions),
        "ordering": spec.ordering,
        "why": one.why,
        "rows": counts.rows(asks_of),
        "read": _rows_read(asks_of, mine, counts),
        "again": any(read.again and read.whole for read in mine),
        "matching": None if found is None else found.rows,
        "scan_ms": found.ms if found and any(read.whole for read in mine) else None,
        "left": None if left is None else left.rows,
        "by_value": bool(looked_up),
        "ordered": one.ordered,
        "fresh": one.fresh,
        "beside": list(one.beside),
        "partner_share": _partner_share(asks_of, asks, counts) if asks_of.joined else None,
    }


def _rows_read(one: Asked, reads: Sequence[Read], counts: _Counts) -> float | None:
    """Return how many rows the plan reads of a table at once; None: it cannot be told."""
    if any(read.whole for read in reads):
        return counts.rows(one)
    rowids = {c.name for c in counts.info(one).columns if c.is_rowid}
    for read in reads:
        named = rowids if "rowid" in read.columns else frozenset[str]()
        by = [
            c.sql for c in one.conditions if c.column.lower() in read.columns or c.column in named
        ]
        if by:
            found = counts.matching(one, by)
            return None if found is None else found.rows
    return None


def _partner_share(one: Asked, asks: Sequence[Asked], counts: _Counts) -> float | None:
    """Return which part of its rows the tables that it is joined to leave; None: all."""
    shares = []
    for other in asks:
        rows = counts.rows(other) if other is not one and other.conditions else None
        if rows:
            found = counts.matching(other, [condition.sql for condition in other.conditions])
            if found is not None:
                shares.append(min(1.0, found.rows / rows))
    return min(shares, default=None)


def _known(value: float | Unknown | None) -> Any:
    return None if value is None or isinstance(value, Unknown) else value
