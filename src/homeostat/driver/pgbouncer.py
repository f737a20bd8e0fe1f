"""PgBouncer's console: what its pools do now, and RELOAD.

The console is a database of its own on PgBouncer's port. It speaks the simple protocol only, knows
no transactions and no parameters. Nothing here says SET: that is lost at the next RELOAD, and the
size of one database's pool cannot be set at all; see pgbouncer_ini.py for what lasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.wire import Rows
from homeostat.errors import (
    ConnectionLostError,
    DatabaseMissingError,
    RightMissingError,
    StatementError,
)

CONSOLE = "pgbouncer"  # the name of the console's database
DEADLINE_MS = 2_000.0  # it answers in less than a millisecond, unless it is stopped


@dataclass(frozen=True, slots=True)
class PoolerReading:
    """One database's pools in PgBouncer: one for each user, together.

    Attributes:
        size: connections that each of them may have to the server.
        size_max: no more than this for all of them (`max_db_connections`); None: no limit.
        pools: how many there are.
        active: server connections that clients use now.
        active_most: the most of them in one pool.
        connected: server connections that are open.
        waiting: clients that wait for one now.
        waiting_oldest_seconds: how long the first of them has waited.
        transactions: running total of those asked for, since PgBouncer began.
        transaction_seconds: running total of the time in them.
        query_seconds: the part of it with a query under way.
        wait_seconds: running total of the time that clients waited for a server connection.
    """

    size: int
    size_max: int | None
    pools: int
    active: int
    active_most: int
    connected: int
    waiting: int
    waiting_oldest_seconds: float
    transactions: float
    transaction_seconds: float
    query_seconds: float
    wait_seconds: float


def connect(url: str, *, application_name: str, connect_timeout_seconds: int = 5) -> PostgresWire:
    """Open a connection to the console.

    Raises:
        ConfigError: the URL cannot be read.
        ConnectError: and its subclasses, by what went wrong.
    """
    return postgres.connect(
        url,
        application_name=application_name,
        connect_timeout_seconds=connect_timeout_seconds,
        prepare=False,
        version_min=0,  # it tells its own
    )


def reading(wire: PostgresWire, database: str) -> PoolerReading:
    """Return what the pools of one database do.

    Args:
        wire: to the console.
        database: its name in PgBouncer's file.

    Raises:
        DatabaseMissingError: PgBouncer has no database of this name, or nobody used it yet.
        RightMissingError: the user may not look.
        DatabaseError: as of `Wire.execute`.
    """
    known = _of(_show(wire, "DATABASES"), "name", database)
    if not known:
        message = (
            "PgBouncer knows no such database, or nobody came through it yet. Check "
            "`pooler_database` against SHOW DATABASES."
        )
        raise DatabaseMissingError(message, where=wire.label, detail=database)
    pools = _of(_show(wire, "POOLS"), "database", database)
    totals = _of(_show(wire, "STATS"), "database", database)
    first = known[0]
    most = int(_number(first, "max_connections"))
    servers = [name for name in (pools[0] if pools else {}) if name.startswith("sv_")]
    active = [int(_number(one, "sv_active")) for one in pools]
    return PoolerReading(
        size=int(_number(first, "pool_size")),
        size_max=most or None,
        pools=len(pools),
        active=sum(active),
        active_most=max(active, default=0),
        connected=int(sum(_number(one, name) for one in pools for name in servers)),
        waiting=int(sum(_number(one, "cl_waiting") for one in pools)),
        waiting_oldest_seconds=max(
            (_number(one, "maxwait") + _number(one, "maxwait_us") / 1e6 for one in pools),
            default=0.0,
        ),
        transactions=sum(_number(one, "total_xact_count") for one in totals),
        transaction_seconds=sum(_number(one, "total_xact_time") for one in totals) / 1e6,
        query_seconds=sum(_number(one, "total_query_time") for one in totals) / 1e6,
        wait_seconds=sum(_number(one, "total_wait_time") for one in totals) / 1e6,
    )


def may_reload(wire: PostgresWire, user: str) -> bool:
    """Return whether a user may change something: it has to be one of `admin_users`."""
    config = {str(row[0]): str(row[1] or "") for row in _show(wire, "CONFIG").rows}
    return user in {name.strip() for name in config.get("admin_users", "").split(",")}


def reload(wire: PostgresWire) -> None:
    """Have PgBouncer read its file again; it goes on with what it has where that is wrong.

    Raises:
        RightMissingError: the user may not.
        DatabaseError: as of `Wire.execute`.
    """
    _ask(wire, "RELOAD")


def _show(wire: PostgresWire, what: str) -> Rows:
    return _ask(wire, f"SHOW {what}")


def _ask(wire: PostgresWire, command: str) -> Rows:
    try:
        return wire.execute(command, deadline_ms=DEADLINE_MS)
    except (StatementError, ConnectionLostError) as error:  # its SQLSTATE is 08P01
        if "admin access" in error.detail or "not allowed" in error.detail:
            message = "This user may not do that. Name it in PgBouncer's admin_users, or another."
            raise RightMissingError(message, where=wire.label, detail=command) from None
        raise


def _of(rows: Rows, column: str, database: str) -> list[dict[str, object]]:
    return [row for row in rows.dicts() if row[column] == database]


def _number(row: dict[str, object], column: str) -> float:
    """Return a number; 0 for a column that this version of PgBouncer does not have."""
    value = row.get(column)
    return 0.0 if value is None else float(str(value))
