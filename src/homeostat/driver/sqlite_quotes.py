"""Finds double-quoted words of a schema that SQLite takes for texts because no column is so called.

The schema is made again, empty, in memory, by a connection that does not take them
(SQLITE_DBCONFIG_DQS_DDL and _DML off); SQLite then names each. No file is touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from homeostat.driver import sqlite
from homeostat.driver.tokens import quoted

DQS_DML, DQS_DDL = 1013, 1014  # sqlite3.h, SQLITE_DBCONFIG_*
LITERALS_MAX = 20  # of one text
_NAMED = re.compile(r'no such column: "(.*)" - should this be a string literal in single-quotes\?')


def quoted_literals(texts: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the words by the name of the object whose text has them.

    Args:
        texts: (name, CREATE statement), in an order in which they can be run.
    """
    strict = sqlite.connect(sqlite.MEMORY)
    found: dict[str, list[str]] = {}
    try:
        for option in (DQS_DML, DQS_DDL):
            strict.handle().config(option, 0)
        for name, sql in texts:
            words = _words(strict, name, sql)
            if words:
                found[name] = words
    finally:
        strict.close()
    return found


def _words(wire: sqlite.SqliteWire, name: str, sql: str) -> list[str]:
    """Run a statement, its words corrected one by one; return those."""
    words: list[str] = []
    use = f"EXPLAIN SELECT * FROM {quoted(name)}" if _is_view(sql) else ""
    while len(words) < LITERALS_MAX:
        said = _refusal(wire, sql) or (use and _refusal(wire, use))
        match = _NAMED.search(said or "")
        if match is None:
            break
        words.append(match[1])
        sql = sql.replace(quoted(match[1]), "'" + match[1].replace("'", "''") + "'")
        _refusal(wire, f"DROP VIEW IF EXISTS {quoted(name)}")
    return words


def _is_view(sql: str) -> bool:
    return sql.lstrip()[:30].upper().startswith(("CREATE VIEW", "CREATE TEMP VIEW"))


def _refusal(wire: sqlite.SqliteWire, sql: str) -> str:
    """Run a statement; return what SQLite has against it, with its words; empty: nothing."""
    try:
        wire.handle().execute(sql).fetchall()
    except Exception as error:  # noqa: BLE001  # whatever it is, only this one refusal counts
        return str(error)
    return ""
