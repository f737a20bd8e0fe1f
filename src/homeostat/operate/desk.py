"""Decide which remedies are done: by themselves, by a person, or not at all, and see them through.

A remedy is proposed for an open finding unless something speaks against it: paused, a conflicting
remedy under way, its resource resting, the budget used up, or it did not help before on evidence
that is alike. What speaks against it is kept, so that people are told.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from homeostat.config import Config
from homeostat.errors import DecisionRefusedError, LogbookError
from homeostat.logbook.rows import Finding, RemedyRecord, Run
from homeostat.operate.choose import (
    FOR_A_PERSON,
    UNDER_WAY,
    Case,
    against,
    conflict,
    later_change,
)
from homeostat.operate.preview import Previews
from homeostat.operate.records import Records
from homeostat.operate.remedy import Declined, Proposal, Remedy
from homeostat.operate.rule import View
from homeostat.operate.run import (
    KIND,
    VERSION,
    Footing,
    RemedyRun,
    StandbyError,
    StoppedError,
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Desk:
    """The remedies of one database; safe to use from any thread.

    `on_failure` hears of a run that needs a person.
    """

    database: str
    remedies: Sequence[Remedy]
    footing: Footing
    config: Config
    on_failure: Callable[[RemedyRecord, str], None]
    autonomy: dict[str, str] = field(default_factory=dict)
    declined: dict[int, dict[str, str]] = field(default_factory=dict)  # finding -> remedy -> why
    _runs: dict[int, RemedyRun] = field(default_factory=dict)
    _threads: dict[int, threading.Thread] = field(default_factory=dict)
    _stranded: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)
    records: Records = field(init=False)
    previews: Previews = field(init=False)

    def __post_init__(self) -> None:
        """Find the records in the logbook."""
        footing, operate = self.footing, self.config.operate
        self.records = Records(self.database, footing.logbook, footing.ownership)
        self.previews = Previews(self.records, footing, operate, self._lock, self._remedy)

    def autonomy_of(self, key: str) -> str:
        """Return what a remedy may do: observe, approve or auto."""
        operate = self.config.operate
        named = self.autonomy.get(key) or operate.remedies.get(key)
        if named is not None:
            return named
        remedy = self._remedy(key)
        if remedy is not None and remedy.undo == "none" and operate.autonomy == "auto":
            return "approve"  # what cannot be undone is done by itself only when it is named
        return operate.autonomy

    def go_on(self) -> None:
        """Take up the runs that nobody carries, by observing their targets first.

        An earlier operator left them, or the logbook or the database's lock was lost under them.
        """
        self._stranded = False
        self.previews.go_on()
        for record in self.records.of(UNDER_WAY):
            if record.run is None or record.id in self._runs:
                continue
            run = self.footing.logbook.run(record.run)
            remedy = self._remedy(record.key)
            if run.kind != KIND or run.version != VERSION or remedy is None:
                self._ask(record, run, "this version does not know how it was to go on")
                continue
            with self._lock:
                self._start(record, run, remedy)

    def consider(self, findings: Sequence[Finding], view: View) -> None:
        """Propose remedies for open findings and start those that may start by themselves.

        Raises:
            LogbookError: nothing can be stored, so nothing is applied.
        """
        if self._stranded:
            self.go_on()
        open_numbers = {finding.id for finding in findings}
        self.declined = {n: why for n, why in self.declined.items() if n in open_numbers}
        with self._lock:
            self._close_waiting(open_numbers)
        for finding in findings:
            for remedy in self.remedies:
                if finding.rule in remedy.rules:
                    with self._lock:
                        self._consider(remedy, finding, view)
        self.previews.consider()

    def approve(self, number: int, *, actor: str) -> None:
        """Start a remedy that waits for a person."""
        with self._lock:
            record = self.footing.logbook.remedy(number)
            remedy = self._remedy(record.key)
            if record.state not in FOR_A_PERSON or remedy is None:
                raise DecisionRefusedError(
                    f"Remedy {number} is {record.state}, so there is nothing to approve. "
                    "`homeostat remedy list` shows what waits."
                )
            self._insist_on_lock()
            if self.footing.is_paused():
                raise DecisionRefusedError("Applying is paused. Run `homeostat resume` first.")
            busy = conflict(self.records.history(), record.resource)
            if busy:
                raise DecisionRefusedError(f"Remedy {number} has to wait: {busy}.")
            self._decided(record, remedy, actor=actor, action="approve")

    def reject(self, number: int, *, actor: str) -> None:
        """Refuse a remedy that waits for a person; like evidence does not bring it back soon.

        One that nobody can go on with, nor undo, is closed so: its resource is free again.
        """
        with self._lock:
            record = self.footing.logbook.remedy(number)
            if record.state not in FOR_A_PERSON and not self._is_orphan(record):
                raise DecisionRefusedError(
                    f"Remedy {number} is {record.state} and can no longer be rejected. "
                    "Use `homeostat remedy revert` to undo it."
                )
            now = self.footing.clock.now()
            record = msgspec.structs.replace(
                record,
                state="rejected",
                decided=now,
                decided_by=actor,
                ended=now,
                verdict=f"rejected by {actor}",
            )
            self.records.save(record, actor=actor, action="reject")

    def revert(self, number: int, *, actor: str) -> None:
        """Undo a remedy that was kept or is being verified, or whose undo failed before."""
        with self._lock:
            record = self.footing.logbook.remedy(number)
            running = self._runs.get(number)
            if record.state == "verifying" and running is not None:
                if not running.ask_to_revert(actor):
                    message = f"Remedy {number} is being decided at this moment. Try again."
                    raise DecisionRefusedError(message)
                self.records.note(record, actor=actor, action="revert")
                return
            remedy = self._remedy(record.key)
            if remedy is None or record.run is None or not self.records.has_undo(record):
                raise DecisionRefusedError(
                    f"Remedy {number} is {record.state}, so there is nothing to undo."
                )
            self._insist_on_lock()
            others = [other for other in self.records.history() if other.id != number]
            busy = conflict(others, record.resource) or later_change(others, record)
            if busy:
                raise DecisionRefusedError(f"Remedy {number} has to wait: {busy}.")
            run = self.footing.logbook.run(record.run)
            record = msgspec.structs.replace(
                record,
                state="reverting",
                ended=None,
                verdict=f"{actor} asked for it",
                result={**record.result, "ending": "reverted"},
            )
            run = msgspec.structs.replace(run, state="running", ended=None)
            self.records.save_with_run(record, run, actor=actor, action="revert")
            self._start(record, run, remedy)

    def possible(self, record: RemedyRecord) -> list[str]:
        """Return the decisions that a person can take on a remedy now."""
        if record.state in FOR_A_PERSON:
            newest = [r for r in self.records.history() if r.resource == record.resource][:1]
            return ["approve", "reject"] if newest and newest[0].id == record.id else []
        if record.state == "verifying":
            return ["revert"]
        if self._is_orphan(record):
            return ["reject"]
        undoable = self.records.has_undo(record) and not later_change(
            self.records.history(), record
        )
        return ["revert"] if undoable else []

    def leave(self, why: str) -> None:
        """Have the runs under way stop where they are, and begin no more previews."""
        self.footing.stop.set()
        self.previews.stop(why)

    def join(self, seconds: float) -> None:
        """Wait for the runs and the preview under way to stop, at most so long in all."""
        deadline = self.footing.clock.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(0.0, deadline - self.footing.clock.monotonic()))
        self.previews.join(max(0.0, deadline - self.footing.clock.monotonic()))

    # -- choosing

    def _consider(self, remedy: Remedy, finding: Finding, view: View) -> None:
        proposal = remedy.propose(finding, view)
        if isinstance(proposal, Declined):
            self._decline(finding, remedy, proposal.reason)
            return
        autonomy = self.autonomy_of(remedy.key)
        now = self.footing.clock.now()
        case = Case(remedy.key, finding.id, proposal, autonomy, self.footing.is_paused(), now)
        reason = against(case, self.records.history(), self.config.operate)
        if reason:
            self._decline(finding, remedy, reason)
            return
        self.declined.get(finding.id, {}).pop(remedy.key, None)
        self._propose(remedy, finding, proposal, autonomy)

    def _decline(self, finding: Finding, remedy: Remedy, why: str) -> None:
        self.declined.setdefault(finding.id, {})[remedy.key] = why

    def _propose(self, remedy: Remedy, finding: Finding, proposal: Proposal, autonomy: str) -> None:
        now = self.footing.clock.now()
        state = {"observe": "observed", "approve": "waiting", "auto": "proposed"}[autonomy]
        record = RemedyRecord(
            database=self.database,
            key=remedy.key,
            resource=proposal.resource.label,
            finding=finding.id,
            state=state,  # type: ignore[arg-type]  # one of three of its literals
            autonomy=autonomy,
            title=proposal.title,
            why=proposal.why,
            parameters=proposal.parameters,
            evidence={
                **proposal.evidence,
                "troubled_since": proposal.troubled_since,
            },
            likeness=proposal.likeness,
            proposed=now,
        )
        if state == "proposed":
            self._decided(record, remedy, actor="homeostat", action="propose")
        else:
            record = self.records.save(record, actor="homeostat", action=f"propose ({autonomy})")
            self.previews.add(record)

    def _decided(self, record: RemedyRecord, remedy: Remedy, *, actor: str, action: str) -> None:
        now = self.footing.clock.now()
        record = msgspec.structs.replace(record, state="proposed", decided=now, decided_by=actor)
        run = Run(
            kind=KIND,
            version=VERSION,
            database=self.database,
            epoch=self.footing.ownership.tenure.epoch,
            started=now,
        )
        record, run = self.records.save_with_run(record, run, actor=actor, action=action)
        self._start(record, run, remedy)

    def _close_waiting(self, open_numbers: set[int]) -> None:
        """End what waits for a person in vain: its trouble is over, or it may act by itself now."""
        for record in self.records.of(("waiting",)):
            why = ""
            if record.finding not in open_numbers:
                why = "the trouble ended by itself before anybody decided"
            elif self.autonomy_of(record.key) == "auto":
                why = "it may act by itself now and need not be asked for"
            if why:
                now = self.footing.clock.now()
                ended = msgspec.structs.replace(record, state="refused", ended=now, verdict=why)
                self.records.save(ended, actor="homeostat", action="withdraw")

    def _is_orphan(self, record: RemedyRecord) -> bool:
        """Return whether only a person can end it: nothing was changed, or nothing knows how."""
        known = self._remedy(record.key) is not None and self.records.has_undo(record)
        return record.state == "asking" and not known

    def _insist_on_lock(self) -> None:
        if not self.footing.has_lock():
            raise DecisionRefusedError(
                "This operator does not hold the database's own lock, so it changes nothing. "
                "`homeostat status` says why."
            )

    # -- storing and starting

    def _start(self, record: RemedyRecord, run: Run, remedy: Remedy) -> None:
        carried = RemedyRun(record, run, remedy, self.footing)
        self._runs[record.id] = carried
        thread = threading.Thread(
            target=self._carry, args=(carried,), name=f"remedy-{record.id}", daemon=True
        )
        self._threads[record.id] = thread
        thread.start()

    def _carry(self, carried: RemedyRun) -> None:
        number = carried.record.id
        stranded = False
        try:
            record = carried.carry()
            if record.state in {"asking", "failed"}:
                self.on_failure(record, record.verdict)
        except StoppedError:
            log.info("remedy %d is left to the next start", number)
        except StandbyError:
            stranded = True
            log.warning("remedy %d waits for the database's own lock", number)
        except LogbookError as error:
            stranded = True
            log.warning("remedy %d waits for the logbook: %s", number, error)
        except Exception as error:
            log.exception("remedy %d broke off", number)
            self.on_failure(carried.record, f"it broke off: {error}")
        finally:
            self._runs.pop(number, None)
            self._threads.pop(number, None)
            self._stranded = self._stranded or stranded  # only now may it be taken up again

    def _ask(self, record: RemedyRecord, run: Run, why: str) -> None:
        record = msgspec.structs.replace(record, state="asking", verdict=why)
        run = msgspec.structs.replace(run, state="asking", detail=why)
        self.records.save_with_run(record, run, actor="homeostat", action="ask")
        self.on_failure(record, why)

    def _remedy(self, key: str) -> Remedy | None:
        return next((remedy for remedy in self.remedies if remedy.key == key), None)
