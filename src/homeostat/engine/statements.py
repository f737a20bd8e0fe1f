"""Reads the named statements of engine/sql/<dialect>/<name>.sql."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(dialect: str, name: str) -> str:
    """Return the text of one statement; the comment at its head says what it asks."""
    path = files("homeostat.engine") / "sql" / dialect / f"{name}.sql"
    return path.read_text(encoding="utf-8").rstrip()
