"""What can be asked of a database: execute, cancel, and small facets."""

from __future__ import annotations

from homeostat.driver.urls import is_postgres_url, sqlite_path
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
