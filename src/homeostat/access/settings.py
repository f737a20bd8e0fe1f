"""How a call is carried out: ExecutionSettings, and the planner that chooses them.

Every field here is honoured by the executor; a knob that nothing reads is not listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat.access.caller import Caller
from homeostat.access.operation import Operation
from homeostat.access.pages import PageReading
from homeostat.driver.wire import Rows
from homeostat.errors import BudgetExceededError

DEADLINE_MS = 30_000.0
WAIT_MS = 5_000.0


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """The knobs of one call.

    Attributes:
        deadline_ms: from arrival to result, waiting included; the statement is stopped when it is
            reached. None: no limit.
        wait_ms: the longest wait for a connection, within the deadline.
        page_size: rows of a page; also where the operation declares a `limit` parameter and the
            call gives none.
        batch_size: rows that a stream fetches at a time, rows of one statement of `write_many`,
            and keys of one statement of `load`.
        rows_max: the most rows that one statement may return; more are an error, not a cut, and a
            page is not larger. A stream has no such limit. None: no limit.
        horizon_seconds: how far back the rows of an operation go that declares a `since` parameter,
            where the call gives none. None: to the beginning.
        prefetch_depth: how many relations deep `load` may go.
        retries: how often a read or an idempotent operation is tried again after its connection
            was lost or a concurrent transaction got in the way.
        announce_caller: run the operation in a transaction of its own in which PostgreSQL is told
            the caller; costs three more round trips. Does nothing on SQLite.
    """

    deadline_ms: float | None = DEADLINE_MS
    wait_ms: float = WAIT_MS
    page_size: int = 100
    batch_size: int = 500
    rows_max: int | None = None
    horizon_seconds: float | None = None
    prefetch_depth: int = 2
    retries: int = 1
    announce_caller: bool = False

    wait_seconds: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the longest wait for a connection once, not at every call."""
        wait_ms = self.wait_ms
        if self.deadline_ms is not None:
            wait_ms = min(wait_ms, self.deadline_ms)
        object.__setattr__(self, "wait_seconds", wait_ms / 1000)


DEFAULT_SETTINGS = ExecutionSettings()

Planner = Callable[[Operation, Caller], ExecutionSettings]
"""Chooses the settings of a call; runs on every call, so it has to be quick."""


def page_size(settings: ExecutionSettings, size: int | None) -> int:
    """Return how many rows a page has: as asked for or as set, within the budget."""
    wished = size or settings.page_size
    return wished if settings.rows_max is None else min(wished, settings.rows_max)


def within_budget(operation: Operation, rows: Rows, rows_max: int) -> None:
    """Refuse a result that is larger than the settings allow.

    Raises:
        BudgetExceededError: it is; a write outside a transaction has happened all the same.
    """
    if len(rows.rows) > rows_max and not isinstance(operation, PageReading):
        detail = f"{len(rows.rows)} rows, rows_max is {rows_max}"
        raise BudgetExceededError(where=operation.name, detail=detail)
