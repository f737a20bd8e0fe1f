"""What a check sees: named statements within a budget, the settings, and where to tell gaps.

Every statement runs in a short read-only transaction of its own with time-outs set in it, so that
it also works through a pooler, and holds back neither VACUUM nor anybody's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from homeostat.check.budget import Budget
from homeostat.check.report import Unseen
from homeostat.config import Config
from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.engine.engine import Engine
from homeostat.engine.statements import statement

T = TypeVar("T")
LOCK_TIMEOUT_MS = 100  # DESIGN: a probe waits no longer
DEADLINE_GRACE_MS = 500  # the server's time-out comes first and costs no cancel request


class Look:
    """One look at one database.

    Attributes:
        engine: the database; its facets may be used, their time counts when inside `working`.
        config: thresholds.
        at: when the check began, seconds since 1970 UTC.
        budget: what is left of time and load.
        unseen: what could not be looked at, so far.
        role: who asks, as an SQL identifier; empty on SQLite, which has no roles.
    """

    def __init__(self, engine: Engine, *, config: Config, at: float, budget: Budget) -> None:
        """Look at an open engine."""
        self.engine = engine
        self.config = config
        self.at = at
        self.budget = budget
        self.unseen: list[Unseen] = []
        self.role = ""
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._made: dict[str, Any] = {}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return what the statement `sql/<dialect>/<name>.sql` answers; asked once per look.

        Raises:
            DatabaseError: as of `Wire.execute`.
        """
        if name not in self._rows:
            self._rows[name] = self.ask(name)
        return self._rows[name]

    def ask(self, name: str, params: Params = NO_PARAMS) -> list[dict[str, Any]]:
        """Return what a named statement answers now, with parameters.

        Raises:
            DatabaseError: as of `Wire.execute`.
        """
        sql = statement(self.engine.dialect, name, package="homeostat.check")
        return self.execute(sql, params).dicts()

    def row(self, name: str) -> Mapping[str, Any]:
        """Return the first row of a named statement; empty: there is none."""
        found = self.rows(name)
        return found[0] if found else {}

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what was made under this name before, or make it now: several checks want it."""
        if name not in self._made:
            self._made[name] = make()
        found: T = self._made[name]
        return found

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        """Run one reading statement, as `Engine.execute` does, within the budget.

        Raises:
            DatabaseError: as of `Wire.execute`; DeadlineExceededError when the budget ends it.
        """
        limit = self.deadline_ms if deadline_ms is None else min(deadline_ms, self.deadline_ms)
        with self.transaction() as wire:
            return wire.execute(sql, params, deadline_ms=limit + DEADLINE_GRACE_MS)

    @contextmanager
    def transaction(self) -> Iterator[Wire]:
        """Yield the connection in one short reading transaction; its time counts as load."""
        limit = int(self.deadline_ms)
        with self.budget.working(), self.engine.transaction() as wire:
            if wire.dialect == "postgresql":
                wire.execute(
                    "SELECT set_config('statement_timeout', :statement, true),"
                    " set_config('lock_timeout', :lock, true), set_config('jit', 'off', true)",
                    {"statement": str(limit), "lock": str(LOCK_TIMEOUT_MS)},
                )
            yield wire

    @property
    def deadline_ms(self) -> float:
        """Return how long the next statement may run: what is left, and no single one too long."""
        left = min(self.budget.left_seconds, self.config.check.statement_seconds)
        return max(1.0, left * 1000)

    def miss(self, what: str, *, reason: str, mend: str) -> None:
        """Tell what could not be looked at; the same gap is told once."""
        gap = Unseen(what=what, reason=reason, mend=mend)
        if gap not in self.unseen:
            self.unseen.append(gap)
