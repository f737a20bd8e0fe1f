"""What the text of an SQLite statement tells before it is run."""

from __future__ import annotations

import re

from homeostat.driver.tokens import COMMENT, SPACE, tokens

# SQLite names a result's column by the text of the statement, but for `*`, which is whatever the
# table has by now; what PRAGMA returns, and whether it writes, may change from run to run
_STEADY = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES)\b|(BEGIN( IMMEDIATE)?|COMMIT)\Z",
    re.IGNORECASE,
)
# a star that stands for columns; behind a comment it may stand anywhere, so there any star does
_COLUMNS = re.compile(r"(?:\b(?:SELECT|DISTINCT|ALL|RETURNING)|[,.])\s*\*", re.IGNORECASE)
_COUNTED = re.compile(r"\(\s*\*\s*\)")


def keeps_columns(sql: str) -> bool:
    """Return whether the statement has the same columns, and reads or writes, at every run."""
    if _STEADY.match(sql) is None:
        return False
    if "*" not in sql:
        return True
    if "--" in sql or "/*" in sql:
        return "*" not in _COUNTED.sub("", sql)
    return _COLUMNS.search(sql) is None


def begins(sql: str) -> bool:
    """Return whether a statement of those above begins a transaction, which changes no row."""
    return sql[:5].upper() == "BEGIN"


def more_follows(sql: str, first: str) -> bool:
    """Return whether another statement stands in the text after the first one."""
    rest = sql[sql.find(first) + len(first) :]
    return any(t.kind not in {SPACE, COMMENT} and t.text != ";" for t in tokens(rest))
