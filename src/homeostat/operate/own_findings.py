"""Findings about the operator itself: a task that fails, a remedy that needs a person, standing by.

They are opened and cleared like any other; a logbook that fails keeps them in memory only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from homeostat.clock import Clock
from homeostat.errors import LogbookError
from homeostat.logbook.rows import REMEDY_ENDED, RemedyRecord
from homeostat.measure import Severity, Subject
from homeostat.operate.findings import FindingBook
from homeostat.operate.rule import Judgement

TASK_FAILED, NEEDS_PERSON, STANDING_BY, LOGBOOK_FAILING, SERIES_DROPPED = (
    "task-failed",
    "remedy-needs-person",
    "standing-by",
    "logbook-failing",
    "series-dropped",
)
HELP = {
    TASK_FAILED: (
        "A periodic task raised an error. The other tasks go on; it clears when the task succeeds."
    ),
    NEEDS_PERSON: (
        "A remedy failed, or after a take-over it cannot be told what was done. "
        "`homeostat remedy show` tells more. It clears when the remedy was undone; for one that "
        "failed and left nothing behind, when its trouble is over. Unresolved for "
        "`operate.escalation_seconds` (VISION: 5 minutes) it turns critical."
    ),
    STANDING_BY: (
        "The database's own lock is not held, so nothing is applied: another operator has it, or "
        "the URL leads to a pooler. Observing goes on."
    ),
    LOGBOOK_FAILING: (
        "The logbook cannot be written, so nothing is applied. It clears by itself as soon as the "
        "cause is gone."
    ),
    SERIES_DROPPED: (
        "A metric has more subjects (operations, segments, pools, processes) than are kept, so "
        "some are not seen. It clears when they are fewer."
    ),
}


@dataclass(frozen=True, slots=True)
class OwnFindings:
    """The operator's findings about itself on one database."""

    findings: FindingBook
    database: str
    clock: Clock
    escalation_seconds: float

    def task(self, name: str, error: Exception | None) -> None:
        """Tell that a task failed, or works again."""
        subject = Subject(self.database, kind="task", name=name)
        if error is None:
            self._clear(TASK_FAILED, subject)
            return
        self._raise(
            TASK_FAILED,
            Judgement(
                subject,
                Severity.WARNING,
                f"the task {name} failed: {error}",
                mend="The other tasks go on. Look into operator.log; report it if it comes back.",
            ),
        )

    def remedy(self, record: RemedyRecord, why: str) -> None:
        """Tell that a remedy needs a person."""
        self._raise(NEEDS_PERSON, _needs_person(record, why, Severity.HIGH))

    def settle(self, remedy: Callable[[int], RemedyRecord]) -> None:
        """Clear what needs no person any more; make critical what nobody looked after in time."""
        for finding in self.findings.open():
            if finding.rule != NEEDS_PERSON:
                continue
            record = remedy(int(finding.name))
            if not self._needed(record):
                self._clear(NEEDS_PERSON, Subject(self.database, kind="remedy", name=finding.name))
            elif finding.severity != str(Severity.CRITICAL) and (
                self.clock.now() - finding.opened >= self.escalation_seconds
            ):
                self._raise(NEEDS_PERSON, _needs_person(record, finding.cause, Severity.CRITICAL))

    def _needed(self, record: RemedyRecord) -> bool:
        if record.state == "failed":
            return record.finding is not None and self.findings.get(record.finding) is not None
        return record.state not in REMEDY_ENDED

    def standing_by(self, reason: str) -> None:
        """Tell why nothing is applied; an empty reason: it is again."""
        subject = Subject(self.database, kind="lock", name="operator")
        if not reason:
            self._clear(STANDING_BY, subject)
            return
        self._raise(
            STANDING_BY,
            Judgement(
                subject,
                Severity.WARNING,
                "the database's own lock is not held, so nothing is applied",
                cause=reason,
                mend="Remove the cause; the lock is asked for again at every heartbeat.",
            ),
        )

    def dropped(self, counts: Mapping[str, int]) -> None:
        """Tell of which metrics readings were dropped since the last tick; clear the others."""
        for finding in self.findings.open():
            if finding.rule == SERIES_DROPPED and finding.name not in counts:
                self._clear(
                    SERIES_DROPPED, Subject(self.database, kind="metric", name=finding.name)
                )
        for metric, count in counts.items():
            self._raise(
                SERIES_DROPPED,
                Judgement(
                    Subject(self.database, kind="metric", name=metric),
                    Severity.INFO,
                    f"{count} readings of {metric} were not taken: it has too many subjects",
                    cause="more operations, segments, pools or processes than are kept apart",
                    mend="Give operations and segments fewer names; docs/reference/metrics.md has "
                    "the limits.",
                ),
            )

    def _raise(self, rule: str, judgement: Judgement) -> None:
        with suppress(LogbookError):
            self.findings.raise_finding(rule, judgement, at=self.clock.now())

    def _clear(self, rule: str, subject: Subject) -> None:
        with suppress(LogbookError):
            self.findings.clear_finding(rule, subject, at=self.clock.now())


def _needs_person(record: RemedyRecord, why: str, severity: Severity) -> Judgement:
    return Judgement(
        Subject(record.database, kind="remedy", name=str(record.id)),
        severity,
        f"remedy {record.id} ({record.title}) needs a person: {why}",
        cause=why,
        mend=f"Run `homeostat remedy show {record.id}`.",
    )
