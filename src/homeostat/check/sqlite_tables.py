"""Tables of SQLite whose shape hurts: no key, numbers that run out, rows wider than their tree."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.check.sqlite_aside import BAIL, HEADER
from homeostat.check.sqlite_rebuild import RISK, head_of, options_of, rebuilt
from homeostat.check.sqlite_schema import Table, at_least, rowid_ranges, tables_of, text
from homeostat.driver.tokens import quoted
from homeostat.measure import Severity

ROWID_MAX = 2**63 - 1
SAMPLE_ROWS = 200


def _no_primary_key(look: Look) -> Iterator[Finding]:
    rows_min = look.config.check.sqlite_rows_min
    for table in tables_of(look):
        if table.key or not at_least(look, table, rows_min):
            continue
        if any(one.unique and not one.partial for one in table.indexes):
            continue  # a row can be named all the same
        name = next(one for one in ("id", "row_id", "key_id") if table.column(one) is None)
        head = f"({quoted(name)} INTEGER PRIMARY KEY, {head_of(table.sql)[1:]}"
        yield Finding(
            severity=Severity.INFO,
            what="the table has no key: a row can be named only by its rowid, which VACUUM may "
            "change",
            where=quoted(table.name),
            cause="it was made without PRIMARY KEY",
            evidence={"rows_at_least": rows_min},
            mend_sql=rebuilt(look, table, f"{head} {options_of(table.sql)}"),
            risk=f"{RISK} INSERT without a list of columns fails afterwards: there is one more.",
            cost=Cost(kind="risk", amount=0.1),
        )


def _near_end(look: Look) -> Iterator[Finding]:
    tables = tables_of(look)
    limit = int(look.config.check.rowid_share * ROWID_MAX)
    largest = {name: high for name, (_, high) in rowid_ranges(look, tables).items()}
    counters = {}
    if any(row["name"] == "sqlite_sequence" for row in look.rows("counters")):
        counters = {
            str(name): number
            for name, number in look.execute("SELECT name, seq FROM sqlite_sequence").rows
            if isinstance(number, int)
        }
    for table in tables:
        reached = max(largest.get(table.name, 0), counters.get(table.name, 0))
        if table.rowid is None or reached < limit:
            continue
        auto = table.name in counters
        if not auto and _drawn(look, table, limit):
            continue
        then = "every INSERT fails with SQLITE_FULL" if auto else "SQLite tries numbers at random"
        yield Finding(
            severity=Severity.CRITICAL if reached == ROWID_MAX and auto else Severity.HIGH,
            what=f"row numbers have reached {100 * reached / ROWID_MAX:.3g} % of the largest there "
            f"is; at its end {then}",
            where=quoted(table.name),
            cause="a row with a very large number was inserted; nobody counts so far",
            evidence={
                "largest_rowid": largest.get(table.name),
                "autoincrement": counters.get(table.name),
                "largest_possible": ROWID_MAX,
            },
            mend_sql=_renumbered(table, limit, auto=auto),
            risk="What refers to the renumbered rows has to be changed too: foreign keys without "
            f"ON UPDATE CASCADE, and other systems. {BAIL}",
            cost=Cost(kind="risk", amount=reached / ROWID_MAX),
        )


def _drawn(look: Look, table: Table, limit: int) -> bool:
    """Return whether numbers are drawn from the whole range rather than counted up.

    Then rows past the limit are not a few strays: among as many as are looked at, there are as many
    of them as of others.
    """
    name, rowid = quoted(table.name), table.rowid
    counted = "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} {} {} LIMIT {})"
    past, before = (
        int(str(look.execute(counted.format(name, rowid, sign, limit, SAMPLE_ROWS)).scalar()))
        for sign in (">=", "<")
    )
    return past > 1 and 4 * past >= before


def _renumbered(table: Table, limit: int, *, auto: bool) -> str:
    """Return SQL that numbers the rows past the limit after the last one below it."""
    name, number = quoted(table.name), str(table.rowid)
    update = (
        f"UPDATE {name} SET {number} = n.new FROM (SELECT {number} AS old,"
        f" (SELECT coalesce(max({number}), 0) FROM {name} WHERE {number} < {limit})"
        f" + row_number() OVER (ORDER BY {number}) AS new"
        f" FROM {name} WHERE {number} >= {limit}) AS n WHERE {name}.{number} = n.old;"
    )
    lines = [HEADER, "BEGIN IMMEDIATE;", update]
    if auto:
        lines.append(
            f"UPDATE sqlite_sequence SET seq = (SELECT coalesce(max({number}), 0) FROM {name})"
            f" WHERE name = {text(table.name)};"
        )
    return "\n".join([*lines, "COMMIT;"])


def _wide_without_rowid(look: Look) -> Iterator[Finding]:
    page = look.row("file")["page_bytes"]
    # what an index page keeps of a row: the rest spills (https://www.sqlite.org/fileformat2.html)
    room = (page - 12) * 64 // 255 - 23
    for table in tables_of(look):
        if not table.without_rowid:
            continue
        widths = " + ".join(
            f"coalesce(octet_length({quoted(one.name)}), 0)"
            for one in table.columns
            if not one.generated
        )
        asked = (
            f"SELECT count(*), avg(width) FROM (SELECT {widths} AS width FROM {quoted(table.name)}"
            f" LIMIT {SAMPLE_ROWS})"
        )
        count, width = look.execute(asked).rows[0]
        if not isinstance(width, float) or int(str(count)) < SAMPLE_ROWS or width <= room:
            continue
        options = [one for one in options_of(table.sql).split(",") if "ROWID" not in one]
        body = f"{head_of(table.sql)} {', '.join(one.strip() for one in options)}"
        yield Finding(
            severity=Severity.WARNING,
            what=f"rows of the WITHOUT ROWID table are {width:,.0f} bytes, and its tree keeps "
            f"{room} of each: every search by key reads pages of content",
            where=quoted(table.name),
            cause="WITHOUT ROWID keeps whole rows in an index; it is for rows below a twentieth of "
            "a page",
            evidence={"row_bytes": width, "room_bytes": room, "page_size_bytes": page},
            mend_sql=rebuilt(look, table, body),
            risk=RISK,
            cost=Cost(kind="time", amount=0.0),
        )


CHECKS = (
    Check(
        rule="sequence_near_end",
        dialect="sqlite",
        sees="how far row numbers have come",
        help=(
            "Row numbers have passed `[check] rowid_share` of the largest one. At the end an "
            "AUTOINCREMENT table takes no more rows. Some row got a very large number: renumber."
        ),
        judge=_near_end,
    ),
    Check(
        rule="without_rowid_wide",
        dialect="sqlite",
        sees="rows of WITHOUT ROWID tables",
        help=(
            "The rows of a WITHOUT ROWID table do not fit into its tree's pages and spill. Make it "
            "an ordinary table."
        ),
        judge=_wide_without_rowid,
    ),
    Check(
        rule="no_primary_key",
        dialect="sqlite",
        sees="tables without a key",
        help=(
            "A table of at least `[check] sqlite_rows_min` rows has neither a primary key nor a "
            "unique index: single rows cannot be named, replicated or synchronised safely."
        ),
        judge=_no_primary_key,
    ),
)
