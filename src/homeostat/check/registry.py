"""All checks, the cheap and important ones of each engine first: the budget may end in between."""

from __future__ import annotations

from homeostat.check import postgres_sessions, sqlite_pages
from homeostat.check.check import Check

CHECKS: tuple[Check, ...] = (
    *postgres_sessions.CHECKS,
    *sqlite_pages.CHECKS,
)


def checks_of(dialect: str) -> list[Check]:
    """Return the checks of one engine, in the order in which they are asked."""
    return [one for one in CHECKS if one.dialect == dialect]
