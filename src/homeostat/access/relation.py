"""What belongs to an operation's rows: a Relation, declared with the operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from homeostat.access.operation import TimeUnit


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows of another table that belong to a row.

    Attributes:
        name: the name under which they are put.
        table: where they are.
        local: the column of the row that they belong to.
        remote: the column of theirs that holds its value; index it.
        columns: what is read of them, `remote` always; empty: all columns.
        order: how they are ordered among each other, e.g. `created DESC`.
        relations: what belongs to them in turn.
        time: the column that tells when; `ExecutionSettings.horizon_seconds` bounds by it.
        time_unit: what it holds; see `Operation`.
    """

    name: str
    table: str
    local: str
    remote: str
    columns: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    time: str | None = None
    time_unit: TimeUnit = "timestamp"
