"""What PostgreSQL says of its statements: pg_stat_statements, of any version from 14 to 18.

Reads only. It says what stands in the way (the extension, the library, a right) and the exact line
that mends it. Texts are redacted; those of other roles are left out when this role may not see
them, and `note` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.driver.redact import redact
from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Rows
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import Statement
from homeostat.engine.normalise import statement_key
from homeostat.engine.statements import statement
from homeostat.errors import RightMissingError, StatementError
from homeostat.measure import Unknown

HIDDEN = "<insufficient privilege>"
NAME = "pg_stat_statements"
ROWS_MAX = 5_000  # pg_stat_statements.max by default: all that it keeps
NO_RESET = Unknown("this version of pg_stat_statements does not say since when it counts")


class PostgresWorkload:
    """Facet: what the server says of its statements."""

    def __init__(self, execute: Callable[..., Rows], view: Mapping[str, Any]) -> None:
        """Take the reserved connection's execute and a row of statements_view.sql."""
        self._execute = execute
        self._schema = quoted(view["schema_name"])
        self._role = str(view["role"])
        columns = view["columns"]
        # version 1.8 (PostgreSQL 13) renamed it; an extension may have been left at an older one
        self._time = "total_exec_time" if "total_exec_time" in columns else "total_time"
        self._has_info = bool(view["has_info"])
        self._note = ""

    @property
    def note(self) -> str:
        """Return what the last answer left out, and what would show it; empty: nothing."""
        return self._note

    def statements(self, *, limit: int = 200) -> Sequence[Statement]:
        """Return the statements of this database with the largest `total_ms`, the largest first.

        Statements of several roles, and variants of one text, are added up.

        Raises:
            StatementError: the library is no longer loaded, or the right is gone.
        """
        rows = self._execute(self._query(), {"limit": ROWS_MAX}).dicts()
        since = self._since()
        whole: dict[str, _Sum] = {}
        hidden = 0
        for row in rows:
            if row["query"] is None or row["query"] == HIDDEN:
                hidden += 1
                continue
            text = str(row["query"])
            whole.setdefault(statement_key(text), _Sum(redact(text))).add(row)
        self._note = (
            ""
            if not hidden
            else (
                f"{hidden} statements of other roles are hidden; "
                f"GRANT pg_read_all_stats TO {quoted(self._role)}"
            )
        )
        found = [one.statement(key, since) for key, one in whole.items()]
        found.sort(key=lambda one: one.total_ms, reverse=True)
        return found[:limit]

    def _query(self) -> str:
        return (
            f"SELECT query, calls, {self._time} AS total_ms, rows, shared_blks_hit AS blocks_hit, "
            "shared_blks_read AS blocks_read, temp_blks_written AS blocks_temporary "
            f"FROM {self._schema}.{NAME} "
            "WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            f"ORDER BY {self._time} DESC LIMIT :limit"
        )

    def _since(self) -> float | Unknown:
        if not self._has_info:
            return NO_RESET
        asked = f"SELECT extract(epoch FROM stats_reset)::float8 FROM {self._schema}.{NAME}_info"
        value = self._execute(asked).scalar()
        return float(value) if isinstance(value, float) else NO_RESET


@dataclass(slots=True)
class _Sum:
    """Rows of one text added up."""

    text: str
    calls: float = 0.0
    total_ms: float = 0.0
    rows: float = 0.0
    hit: float = 0.0
    read: float = 0.0
    temporary: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        self.calls += row["calls"]
        self.total_ms += row["total_ms"]
        self.rows += row["rows"]
        self.hit += row["blocks_hit"]
        self.read += row["blocks_read"]
        self.temporary += row["blocks_temporary"]

    def statement(self, key: str, since: float | Unknown) -> Statement:
        return Statement(
            key=key,
            text=self.text,
            calls=self.calls,
            total_ms=self.total_ms,
            rows=self.rows,
            blocks_hit=self.hit,
            blocks_read=self.read,
            since=since,
            blocks_temporary=self.temporary,
        )


def find_workload(execute: Callable[..., Rows]) -> PostgresWorkload | Unsupported:
    """Return the facet, or what stands in its way and the line that mends it.

    Raises:
        ConnectError: the server cannot be asked.
    """
    found = execute(statement("postgresql", "statements_view")).dicts()
    if not found:
        return _missing(execute)
    view = found[0]
    name = f"{quoted(str(view['schema_name']))}.{NAME}"
    grant = f"GRANT SELECT ON {name} TO {quoted(str(view['role']))};"
    if not view["readable"]:
        return Unsupported("This role may not read pg_stat_statements.", grant)
    try:
        execute(f"SELECT 1 FROM {name} LIMIT 1")
    except RightMissingError:
        return Unsupported("This role may not read pg_stat_statements.", grant)
    except StatementError:
        return Unsupported("The library of pg_stat_statements is not loaded.", _preload(execute))
    if view["track"] == "none":
        return Unsupported(
            "pg_stat_statements is told to count nothing (pg_stat_statements.track = none).",
            "ALTER SYSTEM SET pg_stat_statements.track = 'top'; SELECT pg_reload_conf();",
        )
    return PostgresWorkload(execute, view)


def _missing(execute: Callable[..., Rows]) -> Unsupported:
    there = execute("SELECT 1 FROM pg_available_extensions WHERE name = :name", {"name": NAME}).rows
    if not there:
        return Unsupported(
            "pg_stat_statements is not installed on the server.",
            f"Install PostgreSQL's contrib package there, then: CREATE EXTENSION {NAME};",
        )
    mend = "CREATE EXTENSION pg_stat_statements;"
    loaded = execute("SELECT current_setting('pg_stat_statements.max', true)").scalar()
    if loaded is None:
        mend = f"{_preload(execute)} Then: {mend}"
    return Unsupported("The extension pg_stat_statements is not in this database.", mend)


def _preload(execute: Callable[..., Rows]) -> str:
    """Return how to load the library, keeping those that are loaded already."""
    try:
        loaded = str(execute("SELECT current_setting('shared_preload_libraries')").scalar() or "")
    except StatementError:
        kept = "what is there already, then "
    else:
        kept = "".join(f"{quoted(one.strip())}, " for one in loaded.split(",") if one.strip())
    return f"ALTER SYSTEM SET shared_preload_libraries = {kept}{NAME}; then restart the server."
