"""Counters of the steps that a statement took in SQLite, and plans made without values.

Reads; the two settings it touches belong to the connection and are put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homeostat.driver.sqlite import SqliteWire

_TRACE_PROFILE = 2  # SQLITE_TRACE_PROFILE: called when a statement has ended
_ENABLE_QPSG = 1007  # SQLITE_DBCONFIG_ENABLE_QPSG: the planner looks at no bound value
_PREFIX = "SQLITE_STMTSTATUS_"


@contextmanager
def counted(wire: SqliteWire) -> Iterator[dict[str, int]]:
    """Yield a dictionary that holds the sums of sqlite3_stmt_status of what ran in the context.

    Names as SQLite's, in lower case without prefix: `fullscan_step`, `sort`, `autoindex`,
    `vm_step`, `filter_miss`, ...
    """
    connection = wire.handle()
    counters: dict[str, int] = {}

    def ended(event: dict[str, object]) -> None:
        status = event.get("stmt_status")
        for name, value in (status if isinstance(status, dict) else {}).items():
            short = str(name).removeprefix(_PREFIX).lower()
            counters[short] = counters.get(short, 0) + int(value)

    mark = object()
    connection.trace_v2(_TRACE_PROFILE, ended, id=mark)
    try:
        yield counters
    finally:
        connection.trace_v2(0, None, id=mark)


@contextmanager
def generic_plans(wire: SqliteWire) -> Iterator[None]:
    """Plan without regard to bound values while in the context."""
    connection = wire.handle()
    before = connection.config(_ENABLE_QPSG, -1)
    connection.config(_ENABLE_QPSG, 1)
    try:
        yield
    finally:
        if not wire.broken:
            connection.config(_ENABLE_QPSG, int(bool(before)))
