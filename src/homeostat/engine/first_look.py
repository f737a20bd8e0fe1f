"""A first look at a database: how large it is, how many tables it has, and as whom it is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeostat.engine.engine import Engine
from homeostat.engine.statements import statement


@dataclass(frozen=True, slots=True)
class FirstLook:
    """What `homeostat init` tells about a database.

    Attributes:
        tables: of users; a table in parts counts once.
        role: who looks (PostgreSQL); empty on SQLite.
        note: what is worth knowing before observing it, in one sentence; empty: nothing.
    """

    dialect: str
    version: str
    label: str
    bytes: float
    tables: int
    role: str = ""
    note: str = ""


def first_look(engine: Engine) -> FirstLook:
    """Return what is seen, by reading a few numbers from catalogue or header."""
    identity = engine.identity()
    row: dict[str, Any] = engine.execute(statement(identity.dialect, "first_look")).dicts()[0]
    if identity.dialect == "postgresql":
        note = "It is a replica: it can be observed, and nothing in it can be changed."
        return FirstLook(
            identity.dialect,
            identity.version,
            identity.label,
            row["bytes"],
            row["tables"],
            row["role"],
            note if row["is_replica"] else "",
        )
    note = ""
    if row["journal_mode"] != "wal":
        note = (
            f"It is in {row['journal_mode']} mode, where readers and writers wait for each other; "
            "`homeostat check` says more."
        )
    return FirstLook(
        identity.dialect,
        identity.version,
        identity.label,
        float(row["bytes"]),
        row["tables"],
        note=note,
    )
