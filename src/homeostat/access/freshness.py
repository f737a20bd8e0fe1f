"""Read-your-writes tokens: a read that carries one sees at least what had been written by then.

A token names a database and how far it had come. On a primary, and on SQLite, every connection sees
every commit, so nothing is waited for. A replica that has not replayed so far is waited for; one
that does not come so far in time is told from one that has nothing: the call fails.

On PostgreSQL the place is the position in the write-ahead log. It is asked for after the commit, so
it is never before it. What a connection has shown to be fresh enough is remembered with it: replay
only goes forward.
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
    wanted = _position(place, where)
    until = clock.monotonic() + seconds
    pause = threading.Event()
    while lease.fresh < wanted:
        in_recovery, replayed = lease.wire.execute(SEEN).rows[0]
        lease.fresh = _position(str(replayed), where) if in_recovery else PRIMARY
        if lease.fresh < wanted:
            if clock.monotonic() >= until:
                detail = f"it is at {replayed}, the token at {place}"
                raise ReplicaBehindError(where=where, detail=detail)
            clock.wait(pause, LOOK_SECONDS)


def _position(text: str, where: str) -> int:
    """Return an LSN such as `16/B374D848` as a number."""
    high, _, low = text.partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16)
    except ValueError:
        raise ReadTokenError(where=where) from None
