"""The operator as the page, the API and the CLI see it: `views.Console` over an Operator."""

from __future__ import annotations

import msgspec

from homeostat.access.protocol import PROTOCOL_VERSION, Reply, Report, Settings
from homeostat.errors import ConfigError, HomeostatError, NotFoundError
from homeostat.logbook.rows import AuditEntry, Event, Finding, Json, RemedyRecord
from homeostat.measure import Severity
from homeostat.operate.attached import Attached
from homeostat.operate.clones import create_clone, drop_clone, list_clones
from homeostat.operate.explaining import explained
from homeostat.operate.live import status_of, tick_of
from homeostat.operate.looking.console import OperatorInsights
from homeostat.operate.operator import known_remedies
from homeostat.operate.own_findings import LOGBOOK_FAILING
from homeostat.operate.readings import readings
from homeostat.operate.views import (
    CloneView,
    Explained,
    Point,
    RemedyView,
    Series,
    SeriesNow,
    Status,
    Tick,
)

AUTONOMIES = ("observe", "approve", "auto")
REPLY_SECONDS_REFUSED = 5.0


class OperatorConsole(OperatorInsights):
    """Implements `views.Console`; safe to use from any thread."""

    # -- looking

    @property
    def started(self) -> float:
        """Return when the operator started, in seconds since 1970 UTC."""
        return self._operator.started

    def status(self) -> Status:
        """Return the state of everything."""
        return status_of(self._operator)

    def findings(self, *, database: str | None = None, open_only: bool = True) -> list[Finding]:
        """Return findings, the newest first; a failing logbook comes before all."""
        found: list[Finding] = []
        error = self._operator.logbook_error
        for one in self._operator.attached.values():
            if database not in {None, one.row.key}:
                continue
            if error is not None:
                found.append(self._logbook_finding(one, str(error)))
            if open_only:
                found += [self._with_declined(one, finding) for finding in one.findings.open()]
        if not open_only:
            found += self._operator.logbook.findings(database=database, open_only=False)
        return found

    def _logbook_finding(self, one: Attached, error: str) -> Finding:
        now = self._operator.clock.now()
        return Finding(
            database=one.row.key,
            kind="logbook",
            rule=LOGBOOK_FAILING,
            severity=str(Severity.CRITICAL),
            what=f"the logbook cannot be written, so nothing is applied: {error}",
            cause=error,
            mend="Mend the cause named; Homeostat goes on by itself as soon as it can write.",
            opened=now,
            updated=now,
        )

    def _with_declined(self, one: Attached, finding: Finding) -> Finding:
        declined = one.desk.declined.get(finding.id)
        if not declined:
            return finding
        evidence: Json = {**finding.evidence, "not_done": dict(declined)}
        return msgspec.structs.replace(finding, evidence=evidence)

    def remedies(self, *, database: str | None = None, limit: int = 100) -> list[RemedyRecord]:
        """Return remedies, the newest first."""
        return self._operator.logbook.remedies(database=database, limit=limit)

    def remedy(self, number: int) -> RemedyView:
        """Return one remedy with finding, run and steps."""
        logbook = self._operator.logbook
        record = logbook.remedy(number)
        one = self._operator.attached.get(record.database)
        steps = [] if record.run is None else logbook.steps(record.run)
        return RemedyView(
            remedy=record,
            finding=None if record.finding is None else logbook.finding(record.finding),
            run=None if record.run is None else logbook.run(record.run),
            steps=sorted(steps, key=lambda step: step.number),
            possible=one.desk.possible(record) if one else [],
        )

    def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """Return audit entries, the newest first."""
        return self._operator.logbook.audit(limit=limit)

    def events(self, after: int, *, limit: int = 500) -> list[Event]:
        """Return committed events past a sequence number, the oldest first."""
        return self._operator.logbook.events(after, limit=limit)

    def wait_for_change(self, after: int, ticks: int, seconds: float) -> tuple[int, int]:
        """Wait for a new event or tick; return the newest event sequence and tick counter."""
        return self._operator.wait_for_change(after, ticks, seconds)

    def series(
        self,
        database: str,
        metric: str,
        subject: str,
        *,
        start: float,
        end: float,
        points: int = 300,
    ) -> Series:
        """Return a metric of a subject between two times, with at most so many points."""
        one = self._operator.find(database)
        spec = self._operator.registry.spec(metric)
        if spec is None:
            raise NotFoundError("No metric has this name. See docs/reference/metrics.md.")
        store = self._operator.samples
        found = store.range(one.row.key, metric, subject, start=start, end=end, points=points)
        first = [
            since
            for name, label, since, _ in store.subjects(one.row.key)
            if (name, label) == (metric, subject)
        ]
        return Series(
            metric=metric,
            subject=subject,
            unit=spec.unit,
            step_seconds=(end - start) / points,
            known_since=first[0] if first else None,
            points=[Point(*point) for point in found],
        )

    def tick(self, database: str) -> Tick:
        """Return the newest tick."""
        return tick_of(self._operator, self._operator.find(database))

    def readings(self, *, database: str | None = None) -> list[SeriesNow]:
        """Return the newest reading of every series of a database or of all."""
        return readings(self._operator, database=database)

    def explain(self, name: str) -> Explained:
        """Return what is known of a statement: of a finding's number, a key, or an operation."""
        return explained(self._operator, name)

    # -- deciding

    def decide(self, number: int, decision: str, *, actor: str) -> RemedyView:
        """Take a decision: `approve`, `reject` or `revert`."""
        record = self._operator.logbook.remedy(number)
        desk = self._operator.find(record.database).desk
        actions = {"approve": desk.approve, "reject": desk.reject, "revert": desk.revert}
        action = actions.get(decision)
        if action is None:
            raise ConfigError("A decision is approve, reject or revert.", where=decision)
        action(number, actor=actor)
        return self.remedy(number)

    def set_autonomy(self, key: str, autonomy: str, *, actor: str) -> None:
        """Set what a remedy may do by itself until the operator restarts."""
        if autonomy not in AUTONOMIES:
            raise ConfigError("Autonomy is observe, approve or auto.", where=autonomy)
        try:
            known_remedies(self._operator.rooms, [key])
        except ConfigError as error:
            raise NotFoundError(error.message, where=error.where) from None
        for one in self._operator.attached.values():
            with self._operator.logbook.write(one.ownership.tenure) as tx:
                tx.audit(
                    actor=actor,
                    action=f"autonomy: {autonomy}",
                    database=one.row.key,
                    subject=key,
                    detail={},
                )
            one.desk.autonomy[key] = autonomy

    def pause(self, *, actor: str, database: str | None = None) -> None:
        """Apply nothing more; observing goes on."""
        self._operator.set_paused(True, actor=actor, name=database)

    def resume(self, *, actor: str, database: str | None = None) -> None:
        """Apply again."""
        self._operator.set_paused(False, actor=actor, name=database)

    def detach(self, database: str, *, actor: str) -> None:
        """Stop observing a database; what it learned stays in the logbook."""
        self._operator.detach(database, actor=actor)

    # -- clones

    def clones(self, *, database: str | None = None) -> list[CloneView]:
        """Return the clones of a database or of all, the newest first."""
        return list_clones(self._operator, database)

    def create_clone(
        self, database: str | None, *, actor: str, hours: float | None = None
    ) -> CloneView:
        """Copy a database (None: the only one) for a person."""
        return create_clone(self._operator, database, hours=hours, actor=actor)

    def drop_clone(self, name: str, *, actor: str) -> CloneView:
        """Remove a clone; return what it was."""
        return drop_clone(self._operator, name, actor=actor)

    def note(self, action: str, subject: str, detail: Json, *, actor: str) -> None:
        """Write to the audit log what a person did that concerns no database."""
        with self._operator.logbook.write(None) as tx:
            tx.audit(actor=actor, action=action, database="", subject=subject, detail=detail)

    def report(self, report: Report) -> Reply:
        """Take an agent's report and answer it."""
        one = self._operator.attached.get(report.database.key)
        if one is None:
            return _refused(0, f"this operator does not watch {report.database.label}")
        try:
            return one.watch.report(report)
        except HomeostatError as error:
            return _refused(one.ownership.epoch, str(error))


def _refused(epoch: int, error: str) -> Reply:
    return Reply(
        v=PROTOCOL_VERSION,
        epoch=epoch,
        next_seconds=REPLY_SECONDS_REFUSED,
        settings=Settings(0, 0.0, {}),
        error=error,
    )
