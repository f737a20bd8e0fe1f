"""Where the sample's database is: a SQLite file or a PostgreSQL URL, and how to open it directly.

The traffic goes through `homeostat.access`; only seeding and the lock holder connect like this.
"""

from __future__ import annotations

from homeostat.driver import sqlite
from homeostat.driver.wire import Wire


def is_postgresql(url: str) -> bool:
    """Return whether the URL leads to PostgreSQL; everything else is a SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))


def sqlite_path(url: str) -> str:
    """Return the path of a SQLite file given as such or as `sqlite:///path`."""
    return url.removeprefix("sqlite:///")


def connect(url: str, *, application_name: str, create: bool = False) -> Wire:
    """Open a connection to the demo's own database, or to one that may become it.

    Raises:
        ConnectError: it cannot be reached; the subclass says why.
    """
    if is_postgresql(url):
        from homeostat.driver import postgres  # noqa: PLC0415  psycopg takes 60 ms to import

        return postgres.connect(url, application_name=application_name)
    return sqlite.connect(sqlite_path(url), mode="own", create=create)


def connect_reading(url: str, *, application_name: str) -> Wire:
    """Open a connection that changes nothing, not even settings of the file.

    Raises:
        ConnectError: it cannot be reached; the subclass says why.
    """
    if is_postgresql(url):
        from homeostat.driver import postgres  # noqa: PLC0415  psycopg takes 60 ms to import

        return postgres.connect(url, application_name=application_name, readonly=True)
    return sqlite.connect(sqlite_path(url), mode="foreign", readonly=True)
