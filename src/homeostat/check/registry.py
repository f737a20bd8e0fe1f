"""All checks, the cheap and important ones of each engine first: the budget may end in between."""

from __future__ import annotations

from homeostat.check import (
    postgres_ages,
    postgres_bloat,
    postgres_indexes,
    postgres_replication,
    postgres_security,
    postgres_sessions,
    postgres_settings,
    postgres_statements,
    postgres_tables,
    sqlite_file,
    sqlite_foreign_keys,
    sqlite_indexes,
    sqlite_integrity,
    sqlite_pages,
    sqlite_tables,
    sqlite_text,
    sqlite_values,
)
from homeostat.check.check import Check

CHECKS: tuple[Check, ...] = (
    *postgres_sessions.CHECKS,
    *postgres_ages.CHECKS,
    *postgres_settings.CHECKS,
    *postgres_replication.CHECKS,
    *postgres_security.CHECKS,
    *postgres_statements.CHECKS[:2],
    *postgres_tables.CHECKS,
    *postgres_indexes.CHECKS,
    *postgres_bloat.CHECKS,
    *postgres_statements.CHECKS[2:],  # it watches since the first of them looked
    *sqlite_file.CHECKS,
    *sqlite_integrity.CHECKS,
    *sqlite_pages.CHECKS,
    *sqlite_tables.CHECKS,
    *sqlite_indexes.CHECKS,
    *sqlite_foreign_keys.CHECKS,
    *sqlite_text.CHECKS,
    *sqlite_values.CHECKS,
)


def checks_of(dialect: str) -> list[Check]:
    """Return the checks of one engine, in the order in which they are asked."""
    return [one for one in CHECKS if one.dialect == dialect]
