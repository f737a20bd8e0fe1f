"""What can be asked of a database: execute, cancel, and small facets."""

from __future__ import annotations

from homeostat.driver.postgres_url import is_postgres_url
from homeostat.engine.engine import (
    Activity,
    Control,
    Engine,
    Identity,
    Inspect,
    LockHolder,
    Session,
    Target,
    Unsupported,
)
from homeostat.engine.metrics import METRICS
from homeostat.engine.plan import render_plan
from homeostat.engine.postgres import PostgresEngine
from homeostat.engine.sqlite import SqliteEngine
from homeostat.errors import ConfigError

__all__ = [
    "METRICS",
    "Activity",
    "Control",
    "Engine",
    "Identity",
    "Inspect",
    "LockHolder",
    "Session",
    "Target",
    "Unsupported",
    "open_engine",
    "render_plan",
]

_SQLITE = "sqlite:///"


def open_engine(target: Target) -> Engine:
    """Open a database that belongs to others, for observing; nothing in it is changed.

    Args:
        target: its URL and limits. `target.options` may hold `password` (PostgreSQL) or `key`
            (SQLite), each a secret's reference such as `env:NAME`.

    Raises:
        ConfigError: the URL is of no engine that is known.
        SecretError: the password or key cannot be read.
        DatabaseError: the database cannot be opened; the class says why.
    """
    if is_postgres_url(target.url):
        return PostgresEngine(target)
    return SqliteEngine(target, sqlite_path(target.url))


def sqlite_path(url: str) -> str:
    """Return the file that a path or `sqlite:///path` names (an absolute one has four slashes).

    Raises:
        ConfigError: it names a host, or another kind of database.
    """
    path = url.removeprefix(_SQLITE)
    if "://" in path or not path or path.startswith("sqlite:"):
        message = (
            "This kind of URL is not known. Give a file's path, sqlite:///path or "
            "postgresql://user@host:port/database."
        )
        raise ConfigError(message, where=path.partition(":")[0])
    return path
