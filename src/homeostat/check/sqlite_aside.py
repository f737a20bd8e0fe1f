"""SQL that changes or deletes rows of SQLite only once they are kept in a table beside.

The shell of SQLite goes on after an error unless it is told not to. So the change reads from the
table beside: if that was not made, or a row is another one by now, nothing is changed.
"""

from __future__ import annotations

from homeostat.check.sqlite_schema import Table
from homeostat.driver.tokens import comment, quoted

HEADER = "-- run with: sqlite3 -bail FILE"
BAIL = "Run it with -bail, else the shell goes on after an error."


def put_aside(table: Table, *, where: str, change: str, beside: str) -> list[str]:
    """Return the lines of SQL that keep rows in a table beside and then change them.

    Args:
        table: whose rows they are.
        where: the condition on the rows; it names columns of the table by their bare names or
            behind the table's name.
        change: UPDATE or DELETE without its condition.
        beside: the name of the new table.
    """
    name, kept = quoted(table.name), quoted(beside)
    key = tuple(quoted(one) for one in table.key)
    names, taken = key, key
    extra = ""
    if table.rowid is not None:
        names, taken = (table.rowid,), ("kept_rowid",)
        extra = f"{table.rowid} AS kept_rowid, "
    if not names:
        return [
            comment(f"No name is left for the rowid of {name}: rename one of its columns first.")
        ]
    stored = [quoted(one.name) for one in table.columns if not one.generated]
    same = " AND ".join(f"o.{own} = k.{other}" for own, other in zip(names, taken, strict=True))
    unchanged = " AND ".join(f"k.{one} IS o.{one}" for one in stored)
    return [
        HEADER,
        "PRAGMA foreign_keys = OFF;",
        "BEGIN IMMEDIATE;",
        f"CREATE TABLE {kept} AS SELECT {extra}* FROM {name} WHERE {where};",
        f"{change} WHERE ({', '.join(names)}) IN",
        f"  (SELECT {', '.join(f'o.{one}' for one in names)}",
        f"   FROM {kept} AS k CROSS JOIN {name} AS o ON {same}",
        f"   WHERE {unchanged})",
        f"  AND {where};",
        "COMMIT;",
    ]
