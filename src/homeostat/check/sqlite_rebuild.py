"""SQL that makes a table anew with another definition: what ALTER TABLE of SQLite cannot do.

The steps are those of https://www.sqlite.org/lang_altertable.html ("Making Other Kinds Of Table
Schema Changes"): rows are copied within one transaction, then indexes and triggers made again.
Unlike there, the old table is renamed first and stays until a person has looked: should the shell
go on after a failed copy, the rows are still there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeostat.check.look import Look
from homeostat.check.report import Finding
from homeostat.check.sqlite_aside import BAIL, HEADER
from homeostat.check.sqlite_schema import Table, text
from homeostat.driver.tokens import COMMENT, SPACE, comment, quoted, tokens

RISK = (
    "Writes the table anew and locks the file meanwhile; needs as much free disk again. Open "
    "connections prepare their statements again. The old table stays under another name, with its "
    f"foreign keys: drop it once you have looked. {BAIL} Try it on a copy first. It starts from "
    "the table and indexes that were seen: after another change of them check again first."
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


def with_last(table: Table, names: Sequence[str]) -> str:
    """Return the body of a table with some of its columns behind the others."""
    parts, depth = [""], 0
    for token in tokens(head_of(table.sql)[1:-1]):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and not depth:
            parts.append("")
        else:
            parts[-1] += token.text
    # constraints of the table stand behind its columns
    count = len(table.columns)
    columns = list(zip(table.columns, parts[:count], strict=True))
    ordered = [part for one, part in columns if one.name not in names]
    ordered += [part for one, part in columns if one.name in names]
    return f"({','.join([*ordered, *parts[count:]])}\n) {options_of(table.sql)}"


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
    if table.rowid and not _names_rowid(table):
        listed = f"{table.rowid}, {listed}"
    name, kept = quoted(table.name), _free_name(look, table)
    before = quoted(kept)
    own = [
        row
        for row in look.rows("objects")
        if row["type"] in {"index", "trigger"} and row["table_name"] == table.name
    ]
    return "\n".join(
        [
            HEADER,
            "PRAGMA foreign_keys = OFF;",
            "PRAGMA legacy_alter_table = ON;",
            "BEGIN IMMEDIATE;",
            f"ALTER TABLE {name} RENAME TO {before};",
            f"CREATE TABLE {name} {body.rstrip().rstrip(';')};",
            f"INSERT OR ROLLBACK INTO {name} ({listed})",
            f"  SELECT {listed} FROM {before} WHERE NOT EXISTS (SELECT 1 FROM {name});",
            *_counter(table, kept),
            *(f"DROP {row['type'].upper()} IF EXISTS {quoted(row['name'])};" for row in own),
            *(f"{row['sql'].rstrip().rstrip(';')};" for row in own),
            "COMMIT;",
            "PRAGMA legacy_alter_table = OFF;",
            comment(f"After looking at both: DROP TABLE {before};"),
        ]
    )


def _free_name(look: Look, table: Table) -> str:
    """Return the name under which the table is kept: told apart by when it was looked at.

    In milliseconds, since two looks within a second would give one name; and none that is taken.
    """
    taken = {row["name"].lower() for row in look.rows("objects")}
    number = int(1000 * look.at)
    while (name := f"{table.name}_before_{number}").lower() in taken:
        number += 1
    return name


def told_apart(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings; of several that make one table anew each says that it goes alone.

    Each starts from the definition that was seen, so the second would take the first back.
    """
    return [
        _alone(one, others)
        if (others := [other.rule for other in findings if _is_beside(one, other)])
        else one
        for one in findings
    ]


def _is_beside(one: Finding, other: Finding) -> bool:
    anew = one.risk.startswith(RISK) and other.risk.startswith(RISK)
    return anew and other is not one and other.where == one.where


def _alone(one: Finding, others: Sequence[str]) -> Finding:
    told = (
        f"The table is made anew for {', '.join(others)} too: run one of the mends, check again, "
        "and take the next from there."
    )
    return msgspec.structs.replace(
        one, mend_sql=f"-- {told}\n{one.mend_sql}", risk=f"{one.risk} {told}"
    )


def _names_rowid(table: Table) -> bool:
    """Return whether the primary key is the rowid: INTEGER, and no index is made for it."""
    column = table.column(table.key[0]) if len(table.key) == 1 else None
    whole = column is not None and column.type.upper() == "INTEGER"
    return whole and not any(one.origin == "pk" for one in table.indexes)


def _counter(table: Table, before: str) -> list[str]:
    """Return SQL that carries the AUTOINCREMENT counter over, so that no number comes again."""
    if not any(one.text.upper() == "AUTOINCREMENT" for one in tokens(table.sql)):
        return []
    name, old = text(table.name), text(before)
    missing = f"name = {old} AND {name} NOT IN (SELECT name FROM sqlite_sequence)"
    largest = f"SELECT max(seq) FROM sqlite_sequence WHERE name IN ({name}, {old})"
    return [
        f"INSERT INTO sqlite_sequence SELECT {name}, seq FROM sqlite_sequence WHERE {missing};",
        f"UPDATE sqlite_sequence SET seq = ({largest}) WHERE name = {name};",
    ]
