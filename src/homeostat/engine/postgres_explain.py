"""Plans of PostgreSQL, read from EXPLAIN (FORMAT JSON).

A text with `$1` and no values gets its generic plan by PREPARE and EXPLAIN EXECUTE, which every
supported version can, in a transaction that is READ ONLY and rolled back. Only `execute` runs the
statement. Literals in conditions are redacted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from homeostat.driver.placeholders import compile_named
from homeostat.driver.redact import redact
from homeostat.driver.tokens import tokens
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.engine.facets import Plan, PlanNode
from homeostat.engine.plan import shape_of
from homeostat.errors import DatabaseError, StatementError

PREPARED = "homeostat_explain"
ESTIMATE_MS = 5_000  # planning takes milliseconds; a wait for a lock must not hold up the probes
LOCK_MS = 100
_CONDITIONS = (
    "Index Cond", "Recheck Cond", "Filter", "Join Filter", "Hash Cond", "Merge Cond", "TID Cond",
    "Order By", "Sort Key", "Presorted Key", "Group Key", "Function Call", "Subplan Name",
)  # fmt: skip
_REMOVED = (
    "Rows Removed by Filter",
    "Rows Removed by Index Recheck",
    "Rows Removed by Join Filter",
)
_SUBPLANS_REMOVED = "Subplans Removed"
_REMOVED_BY_SCAN = _REMOVED[:2]
# `interval $1`, which pg_stat_statements makes of `interval '1 day'`, is no SQL
_TYPED = re.compile(
    r"\b(interval|date|timestamp|timestamptz|time|timetz)\s+(\$[0-9]+)", re.IGNORECASE
)


class PostgresExplain:
    """Facet: plans as data."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Wire]]) -> None:
        """Take what yields the reserved connection in a reading transaction."""
        self._transaction = transaction

    def estimate(self, sql: str, params: Params | None = None, *, wire: Wire | None = None) -> Plan:
        """Return the plan without running the statement; see `facets.Explain`."""
        with self._transaction() if wire is None else _reading(wire) as given:
            given.execute(f"SET LOCAL lock_timeout = {LOCK_MS}")
            given.execute(f"SET LOCAL statement_timeout = {ESTIMATE_MS}")
            if params is None:
                return _plan(_generic(sql, given))
            return _plan(given.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}", params))

    def execute(
        self,
        sql: str,
        params: Params = NO_PARAMS,
        *,
        wire: Wire,
        deadline_ms: float,
        timing: bool = False,
    ) -> Plan:
        """Run the statement in a transaction that is rolled back; return its plan with readings."""
        options = f"ANALYZE, BUFFERS, VERBOSE, TIMING {'ON' if timing else 'OFF'}, FORMAT JSON"
        wire.begin(write=True)
        try:
            return _plan(
                wire.execute(f"EXPLAIN ({options}) {sql}", params, deadline_ms=deadline_ms)
            )
        finally:
            if not wire.broken:
                wire.rollback()


def with_casts(text: str) -> str:
    """Return a text of pg_stat_statements with `$1::date` where it has `date $1`."""
    return _TYPED.sub(r"\2::\1", text)


@contextmanager
def _reading(wire: Wire) -> Iterator[Wire]:
    """Yield the connection in a reading transaction that is rolled back."""
    with nullcontext() if wire.in_transaction else _rolled_back(wire):
        yield wire


@contextmanager
def _rolled_back(wire: Wire) -> Iterator[None]:
    wire.begin(write=False)
    try:
        yield
    finally:
        if not wire.broken:
            wire.rollback()


def _generic(sql: str, wire: Wire) -> Rows:
    """Return the generic plan of a text whose parameters have no values."""
    text = with_casts(compile_named(sql).text.decode())
    count = max((int(t.text[1:]) for t in tokens(text) if _is_parameter(t.text)), default=0)
    if not count:
        return wire.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {text}")
    nulls = ", ".join(["NULL"] * count)
    wire.execute("SAVEPOINT homeostat_explain")
    prepared = False
    try:
        wire.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        wire.execute(f"PREPARE {PREPARED} AS {text}")
        prepared = True
        explained = f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE {PREPARED}({nulls})"
        found = wire.execute(explained)
        if _SUBPLANS_REMOVED in str(found.scalar()):
            # NULL lies in no partition, so those that a value would need were left out
            wire.execute("SET LOCAL enable_partition_pruning = off")
            wire.execute("DISCARD PLANS")
            found = wire.execute(explained)
        return found
    finally:
        if not wire.broken:  # a prepared statement outlives the transaction
            wire.execute("ROLLBACK TO homeostat_explain")
            if prepared:
                wire.execute(f"DEALLOCATE {PREPARED}")


def _is_parameter(text: str) -> bool:
    return text[0] == "$" and text[1:].isdecimal()


def _plan(rows: Rows) -> Plan:
    document = rows.scalar()
    if not isinstance(document, list) or not document:
        raise DatabaseError("EXPLAIN gave no plan. Give one SELECT, INSERT, UPDATE or DELETE.")
    whole: Mapping[str, Any] = document[0]
    top: Mapping[str, Any] | None = whole.get("Plan")
    if top is None:
        raise StatementError("The statement has no plan. Give a SELECT, INSERT, UPDATE or DELETE.")
    executed = "Execution Time" in whole
    root = _node(top)
    return Plan(
        "postgresql",
        root,
        shape_of(root),
        executed=executed,
        total_ms=whole.get("Execution Time"),
        rows_read=_rows_read(top) if executed else None,
        blocks_hit=top.get("Shared Hit Blocks"),
        blocks_read=top.get("Shared Read Blocks"),
    )


def _node(raw: Mapping[str, Any], above: str | None = None) -> PlanNode:
    """Return a step; `above` is the table of the heap scan that a bitmap is made for."""
    loops = raw.get("Actual Loops")
    total_ms = raw.get("Actual Total Time")
    removed = [raw[name] for name in _REMOVED if name in raw]
    in_bitmap = "Bitmap" in raw["Node Type"]
    relation = _relation(raw) or (above if in_bitmap else None)
    return PlanNode(
        kind=_kind(raw),
        relation=relation,
        index=raw.get("Index Name"),
        detail=redact(", ".join(_details(raw))),
        rows_estimated=raw.get("Plan Rows"),
        rows=raw.get("Actual Rows"),
        loops=loops,
        removed=sum(removed) if removed else None,
        cost=raw.get("Total Cost"),
        total_ms=None if total_ms is None or loops is None else total_ms * loops,
        children=tuple(
            _node(child, relation if in_bitmap else None) for child in raw.get("Plans", ())
        ),
    )


def _kind(raw: Mapping[str, Any]) -> str:
    kind: str = raw["Node Type"]
    join = raw.get("Join Type")
    if kind == "ModifyTable":
        return str(raw.get("Operation", kind))
    if join and join != "Inner":
        return f"{kind} ({join})"
    return kind


def _relation(raw: Mapping[str, Any]) -> str | None:
    name: str | None = raw.get("Relation Name")
    schema = raw.get("Schema", "public")
    return name if name is None or schema == "public" else f"{schema}.{name}"


def _details(raw: Mapping[str, Any]) -> Iterable[str]:
    for name in _CONDITIONS:
        value = raw.get(name)
        if isinstance(value, list):
            value = ", ".join(str(one) for one in value)
        if value:
            yield f"{name.lower()}: {value}"


def _rows_read(raw: Mapping[str, Any]) -> float:
    """Return the rows that scans of tables read, those thrown away included."""
    own = 0.0
    if "Relation Name" in raw and "Scan" in raw["Node Type"]:
        rows = raw["Actual Rows"] + sum(raw.get(name, 0) for name in _REMOVED_BY_SCAN)
        own = rows * raw["Actual Loops"]
    return own + sum(_rows_read(child) for child in raw.get("Plans", ()))
