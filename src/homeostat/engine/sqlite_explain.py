"""Plans of SQLite: EXPLAIN QUERY PLAN as a tree, and the counters of a statement that was run.

SQLite names a table in a plan by its alias; the table is looked up in the statement's text and in
those of the views it uses. What cannot be told stays the alias. Only `execute` runs the statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from time import perf_counter

from homeostat.driver.placeholders import compile_named
from homeostat.driver.redact import redact
from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.sqlite_steps import counted, generic_plans
from homeostat.driver.tokens import COMMENT, NAME, SPACE, tokens
from homeostat.driver.wire import NO_PARAMS, Params, Wire
from homeostat.engine.facets import Plan, PlanNode
from homeostat.engine.plan import shape_of
from homeostat.errors import StatementError

_ACCESS = re.compile(
    r"(?P<kind>SCAN|SEARCH) (?P<name>.+?)"
    r"(?: USING (?P<how>(?:AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?INDEX"
    r"|INTEGER PRIMARY KEY|PRIMARY KEY)(?: (?P<index>[^(]+?))?)?"
    r"(?: (?P<conditions>\(.*\)))?(?: (?P<more>LEFT-JOIN|EXISTS|RIGHT-JOIN))?\Z"
)
_ENDS_ALIAS = frozenset({
    "where", "on", "join", "left", "right", "full", "inner", "cross", "natural", "using",
    "order", "group", "limit", "union", "except", "intersect", "having", "set", "values",
    "select", "not", "indexed", "returning", "window", "default", "offset",
})  # fmt: skip
_numbers = count()
_NAMES = "SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view')"


class SqliteExplain:
    """Facet: plans as data."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[Wire]]) -> None:
        """Take what yields the reserved connection."""
        self._transaction = transaction

    def estimate(self, sql: str, params: Params | None = None, *, wire: Wire | None = None) -> Plan:
        """Return the plan without running the statement; see `facets.Explain`."""
        with self._transaction() if wire is None else nullcontext(wire) as given:
            return self._estimate(sql, params, _sqlite(given))

    def execute(
        self,
        sql: str,
        params: Params = NO_PARAMS,
        *,
        wire: Wire,
        deadline_ms: float,
        timing: bool = False,  # noqa: ARG002  SQLite is not compiled to time steps
    ) -> Plan:
        """Run the statement in a transaction that is rolled back; return its plan with readings.

        `rows_read` counts the rows of full scans, which is all that SQLite counts.
        """
        given = _sqlite(wire)
        text, values = _bound(sql, params)
        plan = self._estimate(sql, params, given)
        given.begin(write=False)
        try:
            with counted(given) as counters:
                started = perf_counter()
                rows = given.execute(text, values, deadline_ms=deadline_ms)
                total_ms = 1000 * (perf_counter() - started)
        finally:
            given.rollback()
        returned = float(len(rows.rows) if rows.columns else rows.changed)
        root = PlanNode(
            plan.root.kind, rows=returned, loops=1.0, total_ms=total_ms, children=plan.root.children
        )
        return Plan(
            "sqlite",
            root,
            plan.shape,
            executed=True,
            total_ms=total_ms,
            rows_read=float(counters.get("fullscan_step", 0)),
            counters={name: float(value) for name, value in counters.items()},
        )

    def _estimate(self, sql: str, params: Params | None, wire: SqliteWire) -> Plan:
        text, values = _bound(sql, params)
        # EXPLAIN looks at no page, so it would not notice a new index or new statistics: forget the
        # schema, read it again, and take no plan from the cache of statements
        wire.execute("PRAGMA writable_schema = RESET")
        schema = wire.execute(_NAMES).rows
        with generic_plans(wire) if params is None else nullcontext():
            explained = f"EXPLAIN QUERY PLAN /* {next(_numbers)} */ {text}"
            rows = wire.execute(explained, values).rows
        tables = {str(name).lower(): str(name) for name, kind, _ in schema if kind == "table"}
        views = {str(name).lower(): str(made) for name, kind, made in schema if kind == "view"}
        names = _Names(sql, tables, views)
        root = PlanNode("QUERY", children=_below(0, rows, names))
        return Plan("sqlite", root, shape_of(root))


class _Names:
    """Which table a name in a plan means."""

    def __init__(self, sql: str, tables: Mapping[str, str], views: Mapping[str, str]) -> None:
        self._tables = tables
        self._aliases: dict[str, str | None] = {}
        pending, seen = [sql], set[str]()
        while pending:
            words = _words(pending.pop())
            self._note(words)
            for word in words:
                name = word.lower()
                if name in views and name not in seen:
                    seen.add(name)
                    pending.append(views[name])

    def _note(self, words: Sequence[str]) -> None:
        for place, word in enumerate(words[:-1]):
            table = self._tables.get(word.lower())
            if table is None:
                continue
            rest = [after.lower() for after in words[place + 1 : place + 3]]
            alias = rest[1] if rest[0] == "as" and len(rest) > 1 else rest[0]
            if alias in _ENDS_ALIAS or not _is_name(alias):
                continue
            known = self._aliases.setdefault(alias, table)
            if known != table:
                self._aliases[alias] = None  # two tables by one alias

    def table(self, name: str) -> str:
        """Return the table, or the name itself when that cannot be told."""
        key = name.lower()
        if key in self._aliases:
            return self._aliases[key] or name
        return self._tables.get(key, name)


def _words(sql: str) -> list[str]:
    """Return names without their quotes, and what stands between them."""
    words: list[str] = []
    bracket: list[str] | None = None
    for kind, text in tokens(sql):
        if bracket is not None:
            if text == "]":
                words.append("".join(bracket))
                bracket = None
            else:
                bracket.append(text)
        elif text == "[":
            bracket = []
        elif kind == NAME and text[0] in '"`':
            words.append(text[1:-1].replace(text[0] * 2, text[0]))
        elif kind not in {SPACE, COMMENT}:
            words.append(text)
    return words


def _is_name(word: str) -> bool:
    return bool(word) and (word[0].isalpha() or word[0] == "_" or " " in word)


def _below(parent: int, rows: Sequence[tuple[object, ...]], names: _Names) -> tuple[PlanNode, ...]:
    return tuple(
        _node(str(detail), _below(int(str(number)), rows, names), names)
        for number, above, _, detail in rows
        if above == parent
    )


def _node(detail: str, children: tuple[PlanNode, ...], names: _Names) -> PlanNode:
    match = _ACCESS.match(detail)
    if match is None or match["name"] == "CONSTANT ROW":
        return PlanNode(redact(detail), children=children)
    how = match["how"] or ""
    index = match["index"]
    note = "" if how in {"", "INDEX"} else how
    parts = [note, match["conditions"] or "", match["more"] or ""]
    name = match["name"]
    table = names.table(name)
    if table != name:
        parts.insert(0, f"as {name}")
    return PlanNode(
        match["kind"],
        relation=table,
        index=index,
        detail=redact(" ".join(part for part in parts if part)),
        children=children,
    )


def _bound(sql: str, params: Params | None) -> tuple[str, Params]:
    """Return the statement with named parameters only, and a value for each (None: NULL)."""
    compiled = compile_named(sql)
    if compiled.several:
        raise StatementError("The text holds more than one statement. Give one at a time.")
    given = params or {}
    out: list[str] = []
    values: dict[str, object] = {name: given.get(name) for name in compiled.names}
    if params is not None:
        values = dict(params)
    place = 0
    for _, text in tokens(sql):
        piece = text
        if (text[0] in "?$" and text[1:].isdecimal()) or text == "?":
            place += 1
            number = text[1:] or str(place)
            piece = f":p_{number}"
            values.setdefault(f"p_{number}", None)
        out.append(piece)
    return "".join(out), values


def _sqlite(wire: Wire) -> SqliteWire:
    if not isinstance(wire, SqliteWire):
        raise StatementError("This connection is not to SQLite. Give one to a clone of the file.")
    return wire
