"""What the executor tells the statistics of a call, and which calls it keeps for the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from homeostat.access.caller import Caller
from homeostat.access.operation import Operation
from homeostat.access.sampling import Call, small
from homeostat.access.settings import ExecutionSettings
from homeostat.access.statistics import Statistics
from homeostat.clock import Clock
from homeostat.driver.wire import Params, Rows

if TYPE_CHECKING:
    from homeostat.access.session import Session

NO_ROWS = Rows()


class Counting:
    """Counts calls, and keeps some as the sampler chooses."""

    statistics: Statistics
    now: Callable[[], float]
    clock: Clock
    _dialect: str

    def seen(
        self,
        operation: Operation | None,
        sql: str,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        seconds: float,
        rows: Rows,
        *,
        transaction: str = "",
    ) -> Call:
        """Return a call that was chosen to be kept, as it goes to the sampler.

        `operation` None: plain SQL, which is named by its transaction.
        """
        kept, omitted = small(params)
        name = transaction if operation is None else operation.name
        return Call(
            operation=operation,
            name=name,
            sql=sql,
            params=kept,
            omitted=omitted,
            at=self.clock.now() - seconds,
            latency_us=seconds * 1e6,
            rows=len(rows.rows) + rows.changed,
            write=bool(rows.changed) or not rows.columns if operation is None else operation.write,
            segment=caller.segment,
            transaction="" if transaction == name and operation is not None else transaction,
            private=settings.privacy == "enhanced",
        )

    def keep_stopped(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        taken: float,
    ) -> None:
        """Keep a call that was stopped at its deadline: as slow as calls get."""
        if self.statistics.sampler.on:
            sql, seconds = operation.sql_for(self._dialect), self.now() - taken
            call = self.seen(operation, sql, params, caller, settings, seconds, NO_ROWS)
            self.statistics.keep_stopped(call)

    def finished(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        seconds: float,
        rows: Rows,
        *,
        alone_seconds: float | None = None,
    ) -> None:
        """Count one call, and keep it for the operator if it is chosen.

        `alone_seconds`: without the wait for a connection; None: it did not wait.
        """
        expected_ms = operation.expected_ms
        late = expected_ms is not None and seconds * 1000 > expected_ms
        found = rows.rows
        count = len(found) + rows.changed
        tally = self.statistics.record(
            operation.name,
            caller,
            seconds * 1e6,
            count,
            late=late,
            params=params,
            found=found,
        )
        if tally is not None and self.statistics.sampler.on:
            alone = seconds if alone_seconds is None else alone_seconds
            sql = operation.sql_for(self._dialect)
            call = self.seen(operation, sql, params, caller, settings, alone, rows)
            self.statistics.keep(tally, call)

    def count_session(
        self, name: str, caller: Caller, session: Session | None, waited: float, *, failed: bool
    ) -> None:
        """Count a transaction or session as one call; `session` None: it got no connection.

        `waited`: seconds from its arrival to having one.
        """
        statistics = self.statistics
        if session is None:
            statistics.record(name, caller, waited * 1e6, 0, failed=failed)
            return
        took_us = (waited + session.busy_seconds) * 1e6
        rows, returned = session.rows, session.returned
        statistics.record(name, caller, took_us, rows, failed=failed, returned=returned)
        if session.moved is not None:
            statistics.size(name, caller.segment, session.rows, session.moved)

    def count(
        self,
        operation: Operation,
        caller: Caller,
        seconds: float,
        *,
        failed: bool = False,
        params: Params | None = None,
        rows: Rows = NO_ROWS,
    ) -> None:
        """Count one call of an operation; `params`: what was sent, None: nothing was."""
        expected_ms = operation.expected_ms
        self.statistics.record(
            operation.name,
            caller,
            seconds * 1e6,
            len(rows.rows) + rows.changed,
            failed=failed,
            late=expected_ms is not None and seconds * 1000 > expected_ms,
            params=params,
            found=rows.rows,
        )
