"""The records of one database's remedies: read for decisions, saved with their audit entry.

Every write is fenced by the tenure, so an operator that was succeeded changes no record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord, Run
from homeostat.operate.choose import UNDER_WAY
from homeostat.operate.ownership import Ownership

HISTORY = 200  # records looked at for budget, rest and distrust
NOT_OVER = (*UNDER_WAY, "asking", "waiting")


@dataclass(frozen=True, slots=True)
class Records:
    """All remedies of a database, in the logbook."""

    database: str
    logbook: Logbook
    ownership: Ownership

    def of(self, states: Sequence[str] | None) -> list[RemedyRecord]:
        """Return records in these states (None: in any), the newest first."""
        return self.logbook.remedies(database=self.database, states=states, limit=HISTORY)

    def history(self) -> list[RemedyRecord]:
        """Return the newest records, and all that are not over however old; the newest first."""
        newest = self.of(None)
        if len(newest) < HISTORY:
            return newest
        return newest + [record for record in self.of(NOT_OVER) if record.id < newest[-1].id]

    def has_undo(self, record: RemedyRecord) -> bool:
        """Return whether it was applied, or may have been, and can be undone from the logbook."""
        if record.state != "asking":
            return record.state == "kept"
        steps = [] if record.run is None else self.logbook.steps(record.run)
        return any(step.name == "apply" for step in steps)

    def note(self, record: RemedyRecord, *, actor: str, action: str) -> None:
        """Put into the audit log what somebody asked for.

        Raises:
            LogbookError: nothing was written.
        """
        with self.logbook.write(self.ownership.tenure) as tx:
            tx.audit(**_audit(record, actor=actor, action=action))

    def save(self, record: RemedyRecord, *, actor: str, action: str) -> RemedyRecord:
        """Save a record; return it with its number.

        Raises:
            LogbookError: nothing was written.
        """
        with self.logbook.write(self.ownership.tenure) as tx:
            record = tx.save_remedy(record)
            tx.audit(**_audit(record, actor=actor, action=action))
        return record

    def save_with_run(
        self, record: RemedyRecord, run: Run, *, actor: str, action: str
    ) -> tuple[RemedyRecord, Run]:
        """Save a record and its run together; return them with their numbers.

        Raises:
            LogbookError: nothing was written.
        """
        with self.logbook.write(self.ownership.tenure) as tx:
            if not record.id:
                record = tx.save_remedy(record)  # for its number, which the run carries
            run = tx.save_run(msgspec.structs.replace(run, remedy=record.id))
            record = tx.save_remedy(msgspec.structs.replace(record, run=run.id))
            tx.audit(**_audit(record, actor=actor, action=action))
        return record, run


def _audit(record: RemedyRecord, *, actor: str, action: str) -> dict[str, Any]:
    return {
        "actor": actor,
        "action": action,
        "database": record.database,
        "subject": f"remedy {record.id}",
        "detail": {"title": record.title, "why": record.why, "state": record.state},
    }
