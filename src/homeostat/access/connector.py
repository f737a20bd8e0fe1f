"""How an application's connections are opened: to a file, to a server, or through a pooler.

A pooler in transaction mode (PgBouncer) gives each transaction another server connection. What is
set or prepared outside of one is refused, lost, or found by somebody else; so behind a pooler there
are no session settings and, unless the application says that the pooler keeps them apart, no
prepared statements. Whether one is in between is seen at each connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeostat.driver import sqlite
from homeostat.driver.sqlite_meter import Meter
from homeostat.driver.urls import is_postgres_url, sqlite_path
from homeostat.driver.wire import Wire
from homeostat.errors import PoolerRefusedError

if TYPE_CHECKING:
    from homeostat.driver.postgres import PostgresWire


def connector(
    url: str,
    *,
    application: str,
    create: bool = False,
    lock_wait_ms: float,
    prepare: bool | None = None,
) -> tuple[FileConnector | ServerConnector, str | None]:
    """Return how to open a connection, and the file if it is SQLite; see `Database.open`.

    Raises:
        ConfigError: the URL is of no engine that is known.
    """
    if is_postgres_url(url):
        return ServerConnector(url, application, int(lock_wait_ms), prepare), None
    path = sqlite_path(url)
    return FileConnector(path, create, lock_wait_ms), path


@dataclass(slots=True)
class FileConnector:
    """Opens connections to an SQLite file.

    Attributes:
        create: make the file, at the first connection.
        meter: measures slow statements on all of them.
    """

    path: str
    create: bool
    lock_wait_ms: float
    meter: Meter | None = field(default_factory=Meter)

    def __call__(self) -> Wire:
        """Open one.

        Raises:
            DatabaseError: it cannot be opened; the subclass says why.
        """
        made, self.create = self.create, False
        wire = sqlite.connect(self.path, mode="own", create=made, busy_ms=self.lock_wait_ms)
        wire.meter = self.meter or wire.meter
        return wire


@dataclass(slots=True)
class ServerConnector:
    """Opens connections to a PostgreSQL server, directly or through a pooler.

    Attributes:
        pooled: whether a pooler was in between at the last connection.
        meter: none: the server measures its statements itself.
    """

    url: str
    application: str
    lock_wait_ms: int
    prepare: bool | None
    pooled: bool = False
    meter: Meter | None = None

    def __call__(self) -> Wire:
        """Open one.

        Raises:
            ConnectError: the database can't be reached; the subclass says why.
        """
        wire = None if self.pooled else self._direct()
        if wire is None:
            wire = self._open(pooled=True)
            self.pooled = _is_pooled(wire)
            if not self.pooled:  # the pooler is gone: this one has no lock_timeout
                wire.close()
                wire = self._open(pooled=False)
        return wire

    def _direct(self) -> PostgresWire | None:
        """Return a connection with session settings; None: there is a pooler in between."""
        try:
            wire = self._open(pooled=False)
        except PoolerRefusedError:
            return None
        pooled = _is_pooled(wire)
        if pooled:
            wire.close()
        return None if pooled else wire

    def _open(self, *, pooled: bool) -> PostgresWire:
        from homeostat.driver import postgres  # noqa: PLC0415  psycopg takes 60 ms to import

        return postgres.connect(
            self.url,
            application_name=self.application,
            lock_timeout_ms=self.lock_wait_ms,
            prepare=not pooled if self.prepare is None else self.prepare,
            pooled=pooled,
        )


def _is_pooled(wire: PostgresWire) -> bool:
    try:
        return wire.is_pooled()
    except BaseException:
        wire.close()
        raise
