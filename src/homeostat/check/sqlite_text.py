"""Texts of an SQLite schema that mean something else than they say: "literals" in double quotes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.check.sqlite_aside import HEADER
from homeostat.check.sqlite_rebuild import RISK, body_of, rebuilt
from homeostat.check.sqlite_schema import Table, tables_of, text
from homeostat.driver import sqlite_quotes
from homeostat.driver.tokens import NAME, quoted, tokens
from homeostat.measure import Severity


def _quoted_literals(look: Look) -> Iterator[Finding]:
    rows = look.rows("objects")
    tables = {one.name: one for one in tables_of(look)}
    for name, literals in sqlite_quotes.quoted_literals(_suspected(rows, tables)).items():
        row = next(one for one in rows if one["name"] == name)
        corrected = _corrected(row["sql"], literals)
        if row["type"] == "table" and name in tables:
            mend = rebuilt(look, tables[name], body_of(corrected))
            risk = RISK
        else:
            kind = row["type"].upper()
            mend = "\n".join(
                [
                    HEADER,
                    "BEGIN IMMEDIATE;",
                    f"DROP {kind} {quoted(name)};",
                    f"{corrected};",
                    "COMMIT;",
                ]
            )
            risk = "Writers wait while it is made again." if kind == "INDEX" else "None for data."
        shown = ", ".join(quoted(one) for one in literals)
        yield Finding(
            severity=Severity.WARNING,
            what=f"{shown} in double quotes is no column, so SQLite takes it for a text; it "
            "becomes a column as soon as one has that name",
            where=quoted(name),
            cause="a text was written in double quotes, which are for names",
            evidence={"literals": shown, "type": row["type"]},
            mend_sql=mend,
            risk=risk,
            cost=Cost(kind="risk", amount=0.3),
        )


def _suspected(rows: list[dict[str, Any]], tables: dict[str, Table]) -> list[tuple[str, str]]:
    """Return the texts with a double-quoted word that names nothing there, and what they need."""
    texts = {row["name"].lower(): row["sql"] for row in rows}
    columns = {
        name.lower(): {one.name.lower() for one in table.columns} for name, table in tables.items()
    }
    needed: set[str] = set()
    for row in rows:
        if '"' not in row["sql"]:
            continue
        names = {_plain(one.text) for one in tokens(row["sql"]) if one.kind == NAME}
        known = names & texts.keys() | {"rowid", "_rowid_", "oid"}
        known = known.union(*(columns.get(name, set()) for name in known))
        said = {_plain(one.text) for one in tokens(row["sql"]) if one.text.startswith('"')}
        if said - known:
            needed |= _closure(row["name"].lower(), texts)
    return [(row["name"], row["sql"]) for row in rows if row["name"].lower() in needed]


def _closure(name: str, texts: dict[str, str]) -> set[str]:
    """Return a name and all that its text names, and what their texts name."""
    found: set[str] = set()
    left = [name]
    while left:
        one = left.pop()
        if one in texts and one not in found:
            found.add(one)
            left += [_plain(token.text) for token in tokens(texts[one]) if token.kind == NAME]
    return found


def _plain(name: str) -> str:
    """Return a name without its quotes, in small letters."""
    if name[:1] in {'"', "`", "["} and len(name) > 1:
        return name[1:-1].replace('""', '"').lower()
    return name.lower()


def _corrected(sql: str, literals: list[str]) -> str:
    """Return the text with those double-quoted words in single quotes."""
    wrong = {quoted(one) for one in literals}
    return "".join(
        text(one.text[1:-1].replace('""', '"'))
        if one.kind == NAME and one.text in wrong
        else one.text
        for one in tokens(sql)
    )


CHECKS = (
    Check(
        rule="quoted_literal",
        dialect="sqlite",
        sees="the texts of the schema",
        help=(
            "A view, index, trigger or CHECK has a text in double quotes, which SQLite only takes "
            "for a text as long as no column has that name "
            "(https://www.sqlite.org/quirks.html#dblquote). Write it in single quotes."
        ),
        judge=_quoted_literals,
    ),
)
