"""How a call is carried out: ExecutionSettings, and the planner that chooses them.

Every field here is honoured by the executor; a knob that nothing reads is not listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from homeostat.access.caller import Caller
from homeostat.access.operation import Operation
from homeostat.access.pages import PageReading
from homeostat.driver.wire import Rows
from homeostat.errors import BudgetExceededError, StatementError

DEADLINE_MS = 30_000.0
WAIT_MS = 5_000.0
Privacy = Literal["normal", "enhanced"]
LEAST = {
    "deadline_ms": 0,
    "wait_ms": 0,
    "page_size": 1,
    "batch_size": 1,
    "rows_max": 0,
    "horizon_seconds": 0,
    "prefetch_depth": 0,
    "concurrency": 1,
    "cache_seconds": 0,
    "retries": 0,
}


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
        horizon_seconds: how far back the rows of an operation or relation go that declares a time
            column, or a `since` parameter that the call leaves out. None: to the beginning.
        projection: the columns that are read of operations that declare theirs, with those that
            their order, time and relations go by. Empty, or of the others: all.
        prefetch_depth: how many relations deep `load` may go.
        concurrency: how many statements of one `load` may run at the same time, each on a
            connection of its own; one that waits for a connection waits as a call of its own.
        cache_seconds: how old an answer may be that is given from this process's memory instead of
            the database; 0: none is. Only for reads that declare `tables`; see results.py for what
            ends it sooner and what does not.
        privacy: `enhanced`: of this call no parameter's value and no segment leaves the process in
            samples, whatever the agent's `capture` says, and its result is not kept.
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
    projection: tuple[str, ...] = ()
    prefetch_depth: int = 2
    concurrency: int = 1
    cache_seconds: float = 0.0
    privacy: Privacy = "normal"
    retries: int = 1
    announce_caller: bool = False

    wait_seconds: float = field(init=False, repr=False, compare=False)
    shapes: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute what follows from the knobs once, not at every call.

        Raises:
            ValueError: a number that is too small to work with, or an unknown privacy.
        """
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                message = f"{name} is at least {least}, not {value}"
                raise ValueError(message)
        if self.privacy not in get_args(Privacy):
            message = f"privacy is one of {', '.join(get_args(Privacy))}, not {self.privacy!r}"
            raise ValueError(message)
        shapes = self.horizon_seconds is not None or bool(self.projection)
        object.__setattr__(self, "shapes", shapes)
        wait_ms = self.wait_ms
        if self.deadline_ms is not None:
            wait_ms = min(wait_ms, self.deadline_ms)
        object.__setattr__(self, "wait_seconds", wait_ms / 1000)


DEFAULT_SETTINGS = ExecutionSettings()

Planner = Callable[[Operation, Caller], ExecutionSettings]
"""Chooses the settings of a call.

It is asked at every call before anything else is done, on the caller's thread or in the event loop,
with the operation; what it says holds for all that `page`, `load`, `stream` and `write_many` make
of that. For a transaction or session it is asked with an empty operation of its name, and what it
says holds for all statements in it. It may be asked more than once. So it has to be quick,
wait for nothing, be safe on any thread, and return the same for the same; settings that were made
beforehand cost nothing. What it raises, the caller gets.
"""


def page_size(settings: ExecutionSettings, size: int | None) -> int:
    """Return how many rows a page has: as asked for or as set, within the budget.

    Raises:
        StatementError: fewer than one are asked for.
    """
    wished = at_least_one(size, settings.page_size)
    return wished if settings.rows_max is None else min(wished, settings.rows_max)


def at_least_one(size: int | None, usual: int) -> int:
    """Return how many rows are asked for; None: the usual number.

    Raises:
        StatementError: fewer than one are asked for.
    """
    if size is not None and size < 1:
        message = f"A size is at least 1 row, not {size}. Leave it out for the usual {usual}."
        raise StatementError(message)
    return usual if size is None else size


def within_budget(operation: Operation, rows: Rows, rows_max: int) -> None:
    """Refuse a result that is larger than the settings allow.

    Raises:
        BudgetExceededError: it is; a write outside a transaction has happened all the same.
    """
    if len(rows.rows) > rows_max and not isinstance(operation, PageReading):
        detail = f"{len(rows.rows)} rows, rows_max is {rows_max}"
        raise BudgetExceededError(where=operation.name, detail=detail)
