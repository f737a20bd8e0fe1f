"""What the logbook still says when no operator answers; it only reads, and decides nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from homeostat.cli.place import LOGBOOK_FILE
from homeostat.clock import SystemClock
from homeostat.errors import NotFoundError, OperatorUnreachableError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import DatabaseRow, Finding, RemedyRecord
from homeostat.operate.views import DatabaseStatus, Explained, RemedyView, Status

REMEDIES_MAX = 1000
NOBODY_LOOKS = "no operator is running, so nobody measures"


class Book:
    """The logbook of a data directory, as the commands ask it."""

    def __init__(self, logbook: Logbook, data: Path, why: OperatorUnreachableError) -> None:
        """Wrap an open logbook.

        Args:
            logbook: the open logbook; closing it is the caller's.
            data: its directory.
            why: why the operator was not asked instead.
        """
        self._logbook = logbook
        self._data = data
        self.why = why

    @property
    def as_of(self) -> float | None:
        """Return when the last thing was written, in seconds since 1970 UTC; None: never."""
        last = self._logbook.last_sequence()
        newest = self._logbook.events(last - 1, limit=1) if last else []
        return newest[-1].at if newest else None

    def status(self) -> Status:
        """Return the state as last written; what only an operator knows is null with a reason."""
        databases = [row for row in self._logbook.databases() if row.detached is None]
        tenures = [self._logbook.tenure(row.key) for row in databases]
        epochs = [tenure.epoch for tenure in tenures if tenure is not None]
        return Status(
            version=version("homeostat"),
            state="logbook",
            detail=str(self.why),
            pid=None,
            epoch=max(epochs, default=None),
            uptime_seconds=None,
            databases=[self._database(row) for row in databases],
            next_command=start_command(self._data, databases),
        )

    def findings(self) -> list[Finding]:
        """Return the findings that were open when the operator ended."""
        return self._logbook.findings(open_only=True)

    def remedies(self, *, database: str | None = None) -> list[RemedyRecord]:
        """Return the remedies of a database or of all, the newest first."""
        return self._logbook.remedies(database=database)

    def remedy(self, number: int) -> RemedyView:
        """Return one remedy; nothing can be decided about it now."""
        record = self._logbook.remedy(number)
        finding = None if record.finding is None else self._logbook.finding(record.finding)
        run = None if record.run is None else self._logbook.run(record.run)
        steps = [] if run is None else self._logbook.steps(run.id)
        return RemedyView(remedy=record, finding=finding, run=run, steps=steps, possible=[])

    def explain(self, name: str) -> Explained:
        """Return what the newest finding about a statement said.

        Raises:
            NotFoundError: no finding has this number or is about this statement.
        """
        from homeostat.operate.explaining import of_finding  # noqa: PLC0415  # imports the drivers

        about = [f for f in self._logbook.findings(open_only=False) if f.kind == "statement"]
        for found in about:
            if name in {str(found.id), found.name, *found.evidence.get("operations", ())}:
                remedies = self._logbook.remedies(database=found.database)
                return of_finding(found, [one for one in remedies if one.finding == found.id])
        raise NotFoundError(where=name)

    def _database(self, row: DatabaseRow) -> DatabaseStatus:
        remedies = self._logbook.remedies(database=row.key, limit=REMEDIES_MAX)
        findings = self._logbook.findings(database=row.key, open_only=True)
        states = [remedy.state for remedy in remedies]
        unseen = ("promise_ms", "p50_ms", "p99_ms", "operations_per_second", "agents", "autonomy")
        return DatabaseStatus(
            key=row.key,
            label=row.label,
            dialect=row.dialect,
            version=row.version,
            state="paused" if row.paused else "unwatched",
            since=row.attached,
            promise_ms=None,
            p50_ms=None,
            p99_ms=None,
            operations_per_second=None,
            agents=None,
            findings=len(findings),
            healed=states.count("kept"),
            reverted=states.count("reverted") + states.count("ineffective"),
            waiting=states.count("waiting") + states.count("asking"),
            autonomy="unknown",
            unknown=dict.fromkeys(unseen, NOBODY_LOOKS),
        )


@contextmanager
def open_book(data: Path, why: OperatorUnreachableError) -> Iterator[Book]:
    """Open the logbook of a directory for reading.

    Raises:
        OperatorUnreachableError: there is no logbook either.
        LogbookError: it cannot be read.
    """
    path = data / LOGBOOK_FILE
    if not path.is_file():
        raise OperatorUnreachableError(
            "No operator runs here and there is no logbook. Start one with "
            f"`homeostat up URL --data {data}`, or name another --data directory.",
            where=str(data),
        )
    logbook = Logbook.open(path, clock=SystemClock(), readonly=True)
    try:
        yield Book(logbook, data, why)
    finally:
        logbook.close()


def start_command(data: Path, databases: list[DatabaseRow]) -> str:
    """Return the command that brings the operator of this directory back."""
    url = databases[0].url if len(databases) == 1 else "URL"
    return f"homeostat up {shlex.quote(url)} --data {shlex.quote(str(data))}"
