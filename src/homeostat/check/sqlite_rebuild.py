"""SQL that makes a table anew with another definition: what ALTER TABLE of SQLite cannot do.

The steps are those of https://www.sqlite.org/lang_altertable.html ("Making Other Kinds Of Table
Schema Changes"): rows are copied within one transaction, then indexes and triggers made again.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.check.look import Look
from homeostat.check.sqlite_schema import Table
from homeostat.driver.tokens import COMMENT, SPACE, quoted, tokens

RISK = (
    "Writes the table anew and locks the file meanwhile; needs as much free disk again. Open "
    "connections prepare their statements again. Try it on a copy first."
)


def body_of(sql: str) -> str:
    """Return a CREATE TABLE from its first parenthesis on."""
    position = 0
    for token in tokens(sql):
        if token.text == "(":
            return sql[position:]
        position += len(token.text)
    return ""


def head_of(sql: str) -> str:
    """Return the definition in parentheses, without the table's options behind it."""
    body = body_of(sql)
    return body[: body.rindex(")") + 1]


def options_of(sql: str) -> str:
    """Return the options behind the definition, in capitals, without comments: `STRICT`."""
    tail = body_of(sql)[len(head_of(sql)) :]
    kept = [one.text for one in tokens(tail) if one.kind not in {COMMENT, SPACE}]
    return " ".join(kept).upper().replace(" ,", ",").rstrip("; ")


def rebuilt(look: Look, table: Table, body: str, *, columns: Sequence[str] | None = None) -> str:
    """Return the SQL that gives a table another body.

    Args:
        look: for the indexes and triggers that belong to it.
        table: as it is.
        body: the new definition, from its parenthesis on.
        columns: those to copy; None: all that are not generated.
    """
    names = columns or [one.name for one in table.columns if not one.generated]
    listed = ", ".join(quoted(name) for name in names)
    old, new = quoted(table.name), quoted(f"{table.name}_rebuilt")
    again = [
        f"{row['sql'].rstrip().rstrip(';')};"
        for row in look.rows("objects")
        if row["type"] in {"index", "trigger"} and row["table_name"] == table.name
    ]
    return "\n".join(
        [
            "PRAGMA foreign_keys = OFF;",
            "PRAGMA legacy_alter_table = ON;",
            "BEGIN IMMEDIATE;",
            f"CREATE TABLE {new} {body.rstrip().rstrip(';')};",
            f"INSERT INTO {new} ({listed}) SELECT {listed} FROM {old};",
            f"DROP TABLE {old};",
            f"ALTER TABLE {new} RENAME TO {old};",
            *again,
            "COMMIT;",
            "PRAGMA legacy_alter_table = OFF;",
        ]
    )
