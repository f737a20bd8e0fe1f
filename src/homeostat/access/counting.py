"""What the executor tells the statistics of a call, and which calls it keeps for the operator."""

from __future__ import annotations

from collections.abc import Callable

from homeostat.access.caller import Caller
from homeostat.access.operation import Operation
from homeostat.access.sampling import Call, small
from homeostat.access.settings import ExecutionSettings
from homeostat.access.statistics import Statistics
from homeostat.clock import Clock
from homeostat.driver.wire import Params


class Counting:
    """Counts calls, and keeps some as the sampler chooses."""

    statistics: Statistics
    now: Callable[[], float]
    _clock: Clock
    _dialect: str

    def _seen(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        seconds: float,
        rows: int,
    ) -> Call:
        """Return a call that was chosen to be kept, as it goes to the sampler."""
        kept, omitted = small(params)
        return Call(
            operation=operation,
            name=operation.name,
            sql=operation.sql_for(self._dialect),
            params=kept,
            omitted=omitted,
            at=self._clock.now() - seconds,
            latency_us=seconds * 1e6,
            rows=rows,
            write=operation.write,
            segment=caller.segment,
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
            call = self._seen(operation, params, caller, settings, self.now() - taken, 0)
            self.statistics.keep_stopped(call)

    def finished(
        self,
        operation: Operation,
        params: Params,
        caller: Caller,
        settings: ExecutionSettings,
        seconds: float,
        rows: int,
        *,
        alone_seconds: float | None = None,
    ) -> None:
        """Count one call, and keep it for the operator if it is chosen.

        `alone_seconds`: without the wait for a connection; None: it did not wait.
        """
        expected_ms = operation.expected_ms
        late = expected_ms is not None and seconds * 1000 > expected_ms
        tally = self.statistics.record(
            operation.name, caller.segment, seconds * 1e6, rows, late=late
        )
        if tally is not None and self.statistics.sampler.on:
            alone = seconds if alone_seconds is None else alone_seconds
            call = self._seen(operation, params, caller, settings, alone, rows)
            self.statistics.keep(tally, call)

    def count(
        self,
        operation: Operation,
        caller: Caller,
        seconds: float,
        rows: int = 0,
        *,
        failed: bool = False,
    ) -> None:
        """Count one call of an operation."""
        expected_ms = operation.expected_ms
        late = expected_ms is not None and seconds * 1000 > expected_ms
        self.statistics.record(
            operation.name, caller.segment, seconds * 1e6, rows, failed=failed, late=late
        )
