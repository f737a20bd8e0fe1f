"""Read-your-writes tokens: a read that carries one sees at least what had been written by then.

A token names a database and how far it had come. On a primary, and on SQLite, every connection sees
every commit, so nothing is waited for. A replica that has not replayed so far is waited for; one
that does not come so far in time is told from one that has nothing: the call fails.

On PostgreSQL the place is the position in the write-ahead log. It is asked for after the commit, so
it is never before it. What a connection has shown to be fresh enough is remembered with it, since
replay only goes forward; not behind a pooler, where each transaction may be on another server.
"""

from __future__ import annotations

import sys
import threading

from homeostat.access.lease import Lease
from homeostat.clock import Clock
from homeostat.driver.wire import Wire
from homeostat.errors import ReadTokenError, ReplicaBehindError

PLACE = (
    "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
    "ELSE pg_current_wal_insert_lsn() END)::text"
)
SEEN = "SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn()::text, '0/0')"
LOOK_SECONDS = 0.005
PRIMARY = sys.maxsize
WAL_PAGE_BYTES = 8192  # wal_block_size; it is another only where the server was compiled so
WAL_HEADER_BYTES = (24, 40)


def token_of(wire: Wire, key: str) -> str:
    """Return a token for all that is committed now.

    Args:
        wire: to the database.
        key: the database's identity.
    """
    place = "" if wire.dialect == "sqlite" else str(wire.execute(PLACE).scalar())
    return f"{key}@{place}"


def wait_for(
    lease: Lease, token: str, *, key: str, seconds: float, clock: Clock, where: str
) -> None:
    """Wait until a connection sees what a token stands for.

    Args:
        lease: the connection.
        token: as `token_of` gave it.
        key: the identity of the database that the connection leads to.
        seconds: the longest wait.
        clock: tells the time.
        where: the operation, for messages.

    Raises:
        ReadTokenError: it is none, or of another database.
        ReplicaBehindError: the replica did not come so far in time.
    """
    of, _, place = token.rpartition("@")
    if of != key:
        raise ReadTokenError(where=where)
    if lease.wire.dialect == "sqlite":
        return
    wanted = _end_of_record(_position(place, where))
    until = clock.monotonic() + seconds
    pause = threading.Event()
    seen = 0 if lease.wire.pooled else lease.fresh
    while seen < wanted:
        left_ms = max(1.0, (until - clock.monotonic()) * 1000)
        in_recovery, replayed = lease.wire.execute(SEEN, deadline_ms=left_ms).rows[0]
        seen = lease.fresh = _position(str(replayed), where) if in_recovery else PRIMARY
        if seen < wanted:
            if clock.monotonic() >= until:
                detail = f"it is at {replayed}, the token at {place}"
                raise ReplicaBehindError(where=where, detail=detail)
            clock.wait(pause, LOOK_SECONDS)


def _end_of_record(position: int) -> int:
    """Return where the last record ended: what is written next begins behind a page's header.

    The insert position at the start of a page lies behind its header, of 24 bytes, or 40 in a
    segment's first page (XLogPageHeaderData and XLogLongPageHeaderData of PostgreSQL's
    access/xlog_internal.h); replay ends before it, and no record ends inside one.
    """
    within = position % WAL_PAGE_BYTES
    return position - within if within in WAL_HEADER_BYTES else position


def _position(text: str, where: str) -> int:
    """Return an LSN such as `16/B374D848` as a number."""
    high, _, low = text.partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        raise ReadTokenError(where=where) from None
