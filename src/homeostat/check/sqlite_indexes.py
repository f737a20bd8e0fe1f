"""Indexes of SQLite that are too many or too few, and the statistics by which one is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.check.sqlite_schema import Index, Table, at_least, tables_of
from homeostat.driver.tokens import quoted
from homeostat.errors import StatementError
from homeostat.measure import Severity

COUNTED_ROWS_MAX = 200_000  # reading more entries of an index is left alone
_AUTOMATIC = re.compile(
    r"(?:SEARCH|SCAN) (\S+) USING AUTOMATIC (?:PARTIAL )?COVERING INDEX \((.*)\)"
)
_COLUMN = re.compile(r"(\w+)[=<>]")
DROP_RISK = (
    "None for data; it can be made again by the statement in the evidence. A statement that says "
    "INDEXED BY its name fails."
)


def _same(one: Index, other: Index) -> bool:
    if (one.partial, one.columns) != (other.partial, other.columns):
        return False
    expressions = None in one.names or one.partial
    return not expressions or _after_on(one.sql) == _after_on(other.sql)


def _after_on(sql: str | None) -> str:
    found = re.search(r"\bON\b(.*)", sql or "", re.IGNORECASE | re.DOTALL)
    return " ".join(found[1].split()).lower() if found else ""


def _worth(index: Index) -> tuple[int, bool, str]:
    """Sort: what backs a constraint is kept, then what is unique, then the first name."""
    return (0 if index.origin != "c" else 1, not index.unique, index.name)


def _duplicates(table: Table) -> dict[str, str]:
    """Return the indexes that another one of the same columns makes needless, with that one."""
    found: dict[str, str] = {}
    for index in sorted(table.indexes, key=_worth):
        for other in table.indexes:
            later = _worth(other) > _worth(index) and other.origin == "c"
            if later and index.name not in found and _same(index, other):
                if other.unique and not index.unique:
                    continue
                found.setdefault(other.name, index.name)
    return found


def _sizes(look: Look) -> dict[str, float]:
    """Return bytes by name; empty where reading the file for them would cost too much."""
    row = look.row("file")
    if row["pages"] * row["page_bytes"] > look.config.check.sizes_bytes_max:
        return {}
    return {one["name"]: float(one["bytes"]) for one in look.rows("sizes")}


def _duplicate(look: Look) -> Iterator[Finding]:
    for table in tables_of(look):
        for name, kept in _duplicates(table).items():
            yield _needless(look, table, name, kept, f"{quoted(kept)} has the same columns")


def _redundant(look: Look) -> Iterator[Finding]:
    for table in tables_of(look):
        gone = _duplicates(table)
        for index in table.indexes:
            if index.origin != "c" or index.unique or index.partial or index.name in gone:
                continue
            if None in index.names:
                continue
            for other in table.indexes:
                longer = len(other.columns) > len(index.columns) and not other.partial
                if longer and other.columns[: len(index.columns)] == index.columns:
                    why = f"{quoted(other.name)} begins with the same columns"
                    yield _needless(look, table, index.name, other.name, why)
                    break


def _needless(look: Look, table: Table, name: str, kept: str, why: str) -> Finding:
    size = _sizes(look).get(name)
    definition = next((one.sql for one in table.indexes if one.name == name), None)
    return Finding(
        severity=Severity.WARNING,
        what=f"the index does no work that another does not do: {why}",
        where=quoted(name),
        cause="it was made twice, or the longer one came later",
        evidence={"table": table.name, "kept": kept, "definition": definition, "bytes": size},
        mend_sql=f"DROP INDEX {quoted(name)};",
        risk=DROP_RISK,
        cost=Cost(kind="bytes", amount=size or 0.0),
    )


def _missing(look: Look) -> Iterator[Finding]:
    look.miss(
        "which statements are slow, and which indexes are used",
        reason="SQLite keeps no statistics of statements; only views of the schema were planned",
        mend="Open the database in the application with homeostat.access and run `homeostat up`.",
    )
    tables = {one.name.lower(): one for one in tables_of(look)}
    views = [row for row in look.rows("objects") if row["type"] == "view"]
    found: dict[tuple[str, tuple[str, ...]], str] = {}
    for view in views:
        try:
            plan = look.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {quoted(view['name'])}").rows
        except StatementError as error:
            look.miss(
                f"the plan of the view {quoted(view['name'])}",
                reason=error.detail or error.message,
                mend="Mend or drop the view: it cannot be used as it is.",
            )
            continue
        for *_, detail in plan:
            match = _AUTOMATIC.search(str(detail))
            table = match and _named(match[1], view["sql"], tables)
            if match and table:
                columns = tuple(_COLUMN.findall(match[2]))
                found.setdefault((table.name, columns), view["name"])
    for (name, columns), view_name in found.items():
        if at_least(look, tables[name.lower()], look.config.check.sqlite_rows_min):
            yield _wanted(name, columns, view_name)


def _wanted(table: str, columns: tuple[str, ...], view: str) -> Finding:
    listed = ", ".join(quoted(one) for one in columns)
    name = quoted(f"{table}_{'_'.join(columns)}")
    return Finding(
        severity=Severity.WARNING,
        what=f"each use of the view {quoted(view)} builds an index on {quoted(table)} and throws "
        "it away",
        where=f"{quoted(table)} ({listed})",
        cause="no index serves the join, so SQLite makes an automatic one each time",
        evidence={"view": view, "columns": ", ".join(columns)},
        mend_sql=f"CREATE INDEX {name} ON {quoted(table)} ({listed});",
        risk="Writers wait while it is built; each write of the columns then costs a little more.",
        cost=Cost(kind="time", amount=0.0),
    )


def _named(alias: str, sql: str, tables: dict[str, Table]) -> Table | None:
    """Return the table that a plan's name means in a view: itself, or what it is short for."""
    if alias.lower() in tables:
        return tables[alias.lower()]
    short = re.compile(
        rf"[\"`\[]?(\w+)[\"`\]]?\s+(?:AS\s+)?[\"`\[]?{re.escape(alias)}\b", re.IGNORECASE
    )
    names = [name.lower() for name in short.findall(sql)]
    return next((tables[name] for name in names if name in tables), None)


def _counts(look: Look) -> dict[str, int]:
    """Return the rows that statistics claim, by table; empty: there are no statistics."""
    there = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'"
    if not look.execute(there).scalar():
        return {}
    found: dict[str, int] = {}
    for table, stat in look.execute("SELECT tbl, stat FROM sqlite_stat1").rows:
        first = str(stat).split(" ")[0]
        if first.isdigit():
            found[str(table)] = max(found.get(str(table), 0), int(first))
    return found


def _statistics_missing(look: Look) -> Iterator[Finding]:
    counts = _counts(look)
    rows_min = look.config.check.statistics_rows_min
    for table in tables_of(look):
        if table.name in counts or len(table.indexes) < 2:  # nothing to choose between
            continue
        if at_least(look, table, rows_min):
            yield _unanalysed(
                table.name,
                "the planner has no statistics of the table and guesses between its "
                f"{len(table.indexes)} indexes",
                "ANALYZE was never run, or not since the table was filled",
                {"indexes": len(table.indexes), "rows_at_least": rows_min},
                Severity.INFO,
            )


def _statistics_stale(look: Look) -> Iterator[Finding]:
    factor = look.config.tune.estimate_factor
    tables = {one.name: one for one in tables_of(look)}
    for name, claimed in _counts(look).items():
        if name not in tables:
            continue
        many = int(max(claimed * factor, look.config.check.statistics_rows_min))
        few = int(claimed / factor)
        grown = many <= COUNTED_ROWS_MAX and at_least(look, tables[name], many)
        shrunk = (
            look.config.check.statistics_rows_min <= claimed
            and few <= COUNTED_ROWS_MAX
            and not at_least(look, tables[name], few)
        )
        if grown or shrunk:
            yield _unanalysed(
                name,
                f"statistics say {claimed:,} rows; there are "
                + (f"at least {many:,}" if grown else f"fewer than {few:,}"),
                "the table has grown or shrunk since ANALYZE was run",
                {"rows_claimed": claimed, "factor": factor},
                Severity.WARNING,
            )


def _unanalysed(
    table: str, what: str, cause: str, evidence: dict[str, float | str | None], severity: Severity
) -> Finding:
    return Finding(
        severity=severity,
        what=what,
        where=quoted(table),
        cause=cause,
        evidence=evidence,
        mend_sql=f"ANALYZE {quoted(table)};",
        risk="Writers wait meanwhile; plans change, mostly for the better. Open connections keep "
        "the old ones until ANALYZE sqlite_schema or they are opened again.",
        cost=Cost(kind="time", amount=0.0),
    )


CHECKS = (
    Check(
        rule="index_duplicate",
        dialect="sqlite",
        sees="indexes that are there twice",
        help="Two indexes have the same columns: one costs disk and every write, and serves none.",
        judge=_duplicate,
    ),
    Check(
        rule="index_redundant",
        dialect="sqlite",
        sees="indexes that another begins with",
        help=(
            "An index has the first columns of a longer one, which serves the same statements. "
            "Drop it; keep it only if the longer one is much wider and its statements are hot."
        ),
        judge=_redundant,
    ),
    Check(
        rule="index_missing",
        dialect="sqlite",
        sees="indexes that views need",
        help=(
            "A view joins a table of at least `[check] sqlite_rows_min` rows by columns without "
            "an index, so that SQLite builds one for each use and throws it away."
        ),
        judge=_missing,
    ),
    Check(
        rule="statistics_missing",
        dialect="sqlite",
        sees="statistics of the planner",
        help=(
            "A table of at least `[check] statistics_rows_min` rows with several indexes was never "
            "analysed, so the planner guesses between them. Run ANALYZE, best at a quiet time."
        ),
        judge=_statistics_missing,
    ),
    Check(
        rule="stale_statistics",
        dialect="sqlite",
        sees="statistics of the planner",
        help=(
            "Statistics claim `[tune] estimate_factor` times more or fewer rows than there are. "
            "Analyse the table again."
        ),
        judge=_statistics_stale,
    ),
)
