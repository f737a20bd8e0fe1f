"""Where the sample's database is: a SQLite file or a PostgreSQL URL, and how to open it directly.

The traffic goes through `homeostat.access`; only seeding and the lock holder connect like this.
"""

from __future__ import annotations

from homeostat.driver import sqlite
from homeostat.driver.urls import is_postgres_url, sqlite_path
from homeostat.driver.wire import Wire


def connect(url: str, *, application_name: str, create: bool = False) -> Wire:
    """Open a connection to the demo's own database, or to one that may become it.

    Raises:
        ConnectError: it cannot be reached; the subclass says why.
    """
    if is_postgres_url(url):
        from homeostat.driver import postgres  # noqa: PLC0415  psycopg takes 60 ms to import

        return postgres.connect(url, application_name=application_name)
    return sqlite.connect(sqlite_path(url), mode="own", create=create)


def connect_reading(url: str, *, application_name: str) -> Wire:
    """Open a connection that changes nothing, not even settings of the file.

    Raises:
        ConnectError: it cannot be reached; the subclass says why.
    """
    if is_postgres_url(url):
        from homeostat.driver import postgres  # noqa: PLC0415  psycopg takes 60 ms to import

        return postgres.connect(url, application_name=application_name, readonly=True)
    return sqlite.connect(sqlite_path(url), mode="foreign", readonly=True)
