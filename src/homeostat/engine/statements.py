"""Reads named statements from <package>/sql/<dialect>/<name>.sql."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(dialect: str, name: str, *, package: str = "homeostat.engine") -> str:
    """Return the text of one statement; the comment at its head says what it asks."""
    path = files(package) / "sql" / dialect / f"{name}.sql"
    return path.read_text(encoding="utf-8").rstrip()
