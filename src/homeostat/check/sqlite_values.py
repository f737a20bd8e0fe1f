"""Values that contradict their column, and large ones that stand in the way of small ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.check.sqlite_aside import BAIL, put_aside
from homeostat.check.sqlite_rebuild import RISK, rebuilt, with_last
from homeostat.check.sqlite_schema import Column, Table, tables_of
from homeostat.driver.tokens import comment, quoted
from homeostat.driver.wire import Wire
from homeostat.measure import Severity

# what a STRICT table would refuse; NUMERIC (dates, decimals, booleans) may hold anything
FITTING = {
    "INTEGER": ("integer", "null"),
    "REAL": ("real", "integer", "null"),
    "TEXT": ("text", "null"),
}
# Types that say what they hold. SQLite's affinity alone goes by parts of words: for it a POINT, an
# INTERVAL and FLOATING POINT are integers.
_SAYING = re.compile(
    r"(?P<INTEGER>(?:(?:UNSIGNED )?(?:TINY|SMALL|MEDIUM|BIG ?)?INT(?:EGER)?|INT[248])"
    r"(?: UNSIGNED)?)"
    r"|(?P<REAL>REAL|FLOAT[48]?|DOUBLE(?: PRECISION)?)"
    r"|(?P<TEXT>(?:TINY|MEDIUM|LONG)?TEXT|CLOB|N?(?:VAR)?CHAR|CHARACTER(?: VARYING)?"
    r"|VARYING CHARACTER|NATIVE CHARACTER)"
)
_SIZE = re.compile(r"\s*\([^)]*\)")
TABLES_AT_ONCE = 50  # in one transaction; then others get their turn
SAMPLE_ROWS = 200


def _sampled(table: Table, columns: list[Column], rows: int) -> str:
    """Return a query for the first and the last rows of a table."""
    listed = ", ".join(quoted(one.name) for one in columns)
    name = quoted(table.name)
    first = f"SELECT {listed} FROM {name} LIMIT {rows}"
    if table.rowid is None:
        return first
    last = f"SELECT {listed} FROM {name} ORDER BY {table.rowid} DESC LIMIT {rows}"
    return f"SELECT * FROM ({first}) UNION ALL SELECT * FROM ({last})"


def _each(look: Look, asked: list[tuple[Table, str]]) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Yield the first row that each table's query answers, many in one transaction."""
    for start in range(0, len(asked), TABLES_AT_ONCE):
        if look.budget.spent:
            look.miss(
                f"values of {len(asked) - start} tables",
                reason=look.budget.spent,
                mend="Give it longer: --seconds 300.",
            )
            return
        found = []
        with look.transaction() as wire:
            for table, sql in asked[start : start + TABLES_AT_ONCE]:
                found.append((table, _first(wire, sql, look)))
        yield from found


def _first(wire: Wire, sql: str, look: Look) -> dict[str, Any]:
    return wire.execute(sql, deadline_ms=look.deadline_ms).dicts()[0]


def _said(column: Column) -> str:
    """Return the kind that a declared type says it holds, a key of FITTING; empty: none."""
    declared = " ".join(_SIZE.sub("", column.type).upper().split())
    found = _SAYING.fullmatch(declared)
    return (found.lastgroup or "") if found else ""


def _contradicting(look: Look) -> Iterator[Finding]:
    rows = look.config.check.value_rows_max
    asked = []
    judged: dict[str, list[Column]] = {}
    for table in tables_of(look):
        columns = [one for one in table.columns if _said(one)]
        columns = [one for one in columns if not (one.key and one.type.upper() == "INTEGER")]
        if table.strict or not columns:
            continue
        judged[table.name] = columns
        sums = ", ".join(f"sum({_strange(one)}) AS c{number}" for number, one in enumerate(columns))
        source = _sampled(table, columns, rows)
        asked.append((table, f"SELECT count(*) AS rows_read, {sums} FROM ({source})"))
    for table, row in _each(look, asked):
        for number, column in enumerate(judged[table.name]):
            if row[f"c{number}"]:
                yield _contradiction(look, table, column, row[f"c{number}"], row["rows_read"])


def _strange(column: Column) -> str:
    kinds = ", ".join(f"'{kind}'" for kind in FITTING[_said(column)])
    return f"typeof({quoted(column.name)}) NOT IN ({kinds})"


def _contradiction(look: Look, table: Table, column: Column, count: int, rows_read: int) -> Finding:
    strange, name = _strange(column), quoted(column.name)
    kinds = look.execute(
        f"SELECT group_concat(DISTINCT typeof({name})) FROM"
        f" (SELECT {name} FROM {quoted(table.name)} WHERE {strange} LIMIT {SAMPLE_ROWS})"
    ).scalar()
    value = "NULL"
    if column.not_null or column.key:
        value = f"CAST({name} AS {_said(column)})"
    lines = put_aside(
        table,
        where=strange,
        change=f"UPDATE {quoted(table.name)} SET {name} = {value}",
        beside=f"{table.name}_{column.name}_kept_{int(look.at)}",
    )
    never = f"CHECK (NOT ({strange}))"
    return Finding(
        severity=Severity.WARNING,
        what=f"{count:,} values of the {column.type} column are {kinds}",
        where=f"{quoted(table.name)}.{name}",
        cause="the table is not STRICT, so SQLite keeps whatever is written",
        evidence={"values": count, "rows_read": rows_read, "kinds": str(kinds)},
        mend_sql="\n".join(
            [
                *lines,
                comment(
                    f"So that it does not come back: make the table anew as STRICT, or add {never}."
                ),
            ]
        ),
        risk="The rows are kept in a table beside it; then the value becomes "
        + ("NULL." if value == "NULL" else "what SQLite can read of it as a number or text.")
        + f" Look at them first. {BAIL}",
        cost=Cost(kind="risk", amount=0.3),
    )


def _blobs(look: Look) -> Iterator[Finding]:
    asked = []
    judged: dict[str, list[Column]] = {}
    for table in tables_of(look):
        stored = [one for one in table.columns if not one.generated]
        before = [one for one in stored[:-1] if one.affinity in {"BLOB", "TEXT"} and not one.key]
        if not before or table.without_rowid:
            continue
        judged[table.name] = before
        averages = ", ".join(
            f"avg(octet_length({quoted(one.name)})) AS c{number}"
            for number, one in enumerate(before)
        )
        listed = ", ".join(quoted(one.name) for one in before)
        source = f"SELECT {listed} FROM {quoted(table.name)} LIMIT {SAMPLE_ROWS}"
        asked.append((table, f"SELECT {averages} FROM ({source})"))
    for table, row in _each(look, asked):
        wide = {one.name: row[f"c{n}"] or 0.0 for n, one in enumerate(judged[table.name])}
        names = [name for name, width in wide.items() if width >= look.config.check.blob_bytes]
        if not names:
            continue
        stored = [one for one in table.columns if not one.generated]
        place = next(n for n, one in enumerate(stored) if one.name == names[0])
        small = [one.name for one in stored[place + 1 :] if one.name not in names]
        if small:
            yield _in_the_way(look, table, names, small, max(wide.values()))


def _in_the_way(
    look: Look, table: Table, names: list[str], small: list[str], width: float
) -> Finding:
    return Finding(
        severity=Severity.INFO,
        what=f"to read {', '.join(map(quoted, small))} SQLite goes through {width / 1e3:,.0f} kB "
        f"of {', '.join(map(quoted, names))}, which stand before them in the row",
        where=quoted(table.name),
        cause="a row is a chain of pages in the order of its columns",
        evidence={"value_bytes": width, "columns": ", ".join(names)},
        mend_sql=rebuilt(look, table, with_last(table, names)),
        risk=f"{RISK} The column becomes the last: INSERT without a list of columns and SELECT * "
        "see another order. Better still: a table of its own, or files, for values this large.",
        cost=Cost(kind="time", amount=0.0),
    )


CHECKS = (
    Check(
        rule="type_contradicted",
        dialect="sqlite",
        sees="values that contradict their column's type",
        help=(
            "Values of another type than their column declares, in a table that is not STRICT, "
            "among the first and last `[check] value_rows_max` rows. They compare and sort "
            "otherwise than expected. Put them right, then make the table STRICT."
        ),
        judge=_contradicting,
    ),
    Check(
        rule="blob_before_columns",
        dialect="sqlite",
        sees="large values",
        help=(
            "Values of `[check] blob_bytes` or more stand before small columns, so that reading "
            "those goes through all their pages. Put the large column last, or into a table of "
            "its own (https://www.sqlite.org/intern-v-extern-blob.html)."
        ),
        judge=_blobs,
    ),
)
