"""An operation's statement as a part of another, and the condition that bounds it in time."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.access.operation import Operation, TimeUnit
from homeostat.driver.tokens import quoted

SINCE = "homeostat_since"  # a parameter, in seconds since 1970 UTC


def subquery(operation: Operation, dialect: str) -> str:
    """Return an operation's statement as what can be selected from, whatever it ends with."""
    text = operation.sql_for(dialect).rstrip().removesuffix(";")
    return f"({text}\n)"  # the line ends a comment


def column_of(source: str, name: str) -> str:
    """Return a column with what it is of.

    SQLite takes a quoted name that is no column for a text, unless it stands behind another name.
    """
    return f"{quoted(source)}.{quoted(name)}"


def listed(source: str, names: Iterable[str]) -> str:
    """Return columns as what to select, each under its own name."""
    return ", ".join(f"{column_of(source, name)} AS {quoted(name)}" for name in names)


def since_condition(source: str, column: str, unit: TimeUnit, dialect: str) -> str:
    """Return the condition that a time column is no earlier than the parameter SINCE.

    The parameter is turned into the column's kind, not the column into its: so an index on the
    column serves it.
    """
    sqlite = dialect == "sqlite"
    if unit == "timestamp":
        bound = f"datetime(:{SINCE}, 'unixepoch')" if sqlite else f"to_timestamp(:{SINCE})"
    else:
        factor = " * 1000" if unit == "milliseconds" else ""
        bound = f":{SINCE}{factor}"
        if not sqlite:
            bound = f"CAST(floor(CAST(:{SINCE} AS double precision){factor}) AS bigint)"
    return f"{column_of(source, column)} >= {bound}"
