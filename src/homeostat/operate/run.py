"""Carry a remedy through its moves, durably: rehearse, apply, verify, then keep or revert.

The record's state says which move is next; it changes only in the same commit that ends the move
before. A move that changes something commits intent and undo first and its observation after, so
whoever takes over observes the target and knows: done, redo, or ask a person.

    proposed -> rehearsing -> applying -> verifying -> kept
                    |            |            |
                 refused      reverting <-----+-> reverted | ineffective | failed

Invariant: at every commit either nothing was changed (before the intent of `apply`), or the undo
is in the logbook. A run that is interrupted anywhere, also by a defect in the remedy, ends kept or
undone, never half. Nothing is changed without the database's own lock, and nothing new while
applying is paused; undoing is never held back by a pause.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from homeostat.clock import Clock
from homeostat.config import OperateConfig
from homeostat.engine.pace import Bounds
from homeostat.errors import HomeostatError, LogbookError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import REMEDY_ENDED, Json, RemedyRecord, Run, Step
from homeostat.operate.ownership import Ownership
from homeostat.operate.remedy import Hands, Rehearsed, Remedy, Seen
from homeostat.operate.verify import Batch, Demand, Verdict, compare

log = logging.getLogger(__name__)

KIND = "remedy"
VERSION = 1  # of the moves below; a run of another version asks a person
POLL_SECONDS = 0.1
SEEN_SECONDS_MIN = 5.0  # an agent finds a restarted operator within 2 s
ORDER = ("rehearse", "apply", "verify", "revert")
ENDING = {"no effect": "ineffective", "worse": "reverted", "cannot tell": "reverted"}
HALTED = "the database is let go, and goes on when it is taken up again"
PROGRESS = {"rehearsing": 0.2, "applying": 0.4, "verifying": 0.6, "reverting": 0.8}


class StoppedError(Exception):
    """The database is let go; the run goes on when it is taken up again."""


class StandbyError(Exception):
    """The database's own lock is not held; the run goes on when it is."""


@dataclass(slots=True)
class Footing:
    """What a run stands on."""

    logbook: Logbook
    ownership: Ownership
    clock: Clock
    config: OperateConfig
    hands: Hands
    stop: threading.Event  # set when the database is let go: detached, or the operator ends
    started: float  # when this operator began to measure, in seconds since 1970 UTC
    still_open: Callable[[int], bool]  # whether the finding of this number is still open
    has_lock: Callable[[], bool]  # looks whether the database's own lock is still held
    is_paused: Callable[[], bool]  # whether applying is paused

    def hands_of(self, run: int) -> Hands:
        """Return hands that work for a run; what they try on a copy ends with `stop`."""
        bounds = Bounds(halted=lambda: HALTED if self.stop.is_set() else "")
        return self.hands.for_run(run, bounds=bounds)


@dataclass(slots=True)
class RemedyRun:
    """One remedy under way. `carry` runs in a thread of its own."""

    record: RemedyRecord
    run: Run
    remedy: Remedy
    footing: Footing
    steps: dict[str, Step] = field(default_factory=dict)
    _asked_to_revert: str = ""
    _judged: bool = False  # the verdict stands: it is too late to ask
    _asking: threading.Lock = field(default_factory=threading.Lock)
    hands: Hands = field(init=False)

    def __post_init__(self) -> None:
        """Read the steps that were committed so far."""
        self.hands = self.footing.hands_of(self.run.id)
        self.steps |= {step.name: step for step in self.footing.logbook.steps(self.run.id)}

    def ask_to_revert(self, actor: str) -> bool:
        """Make the run undo what it did, whatever is measured; False: it is decided already."""
        with self._asking:
            if not self._judged:
                self._asked_to_revert = actor
            return not self._judged

    def carry(self) -> RemedyRecord:
        """Do the moves that are left; return the record as it ended.

        Raises:
            StoppedError: the database is let go.
            StandbyError: the database's own lock is not held.
            LogbookError: nothing more can be made durable, so nothing more was done.
        """
        moves: dict[str, Callable[[], None]] = {
            "proposed": self._rehearse,
            "rehearsing": self._rehearse,
            "applying": self._apply,
            "verifying": self._verify,
            "reverting": self._revert,
        }
        while (move := moves.get(self.record.state)) is not None:
            try:
                move()
            except (StoppedError, StandbyError, LogbookError):
                raise
            except Exception as error:
                log.exception("remedy %d broke off", self.record.id)
                self._break_off(f"it broke off: {error}")
        return self.record

    # -- the moves

    def _rehearse(self) -> None:
        self._begin("rehearse", state="rehearsing")
        shown = self._rehearsed()
        observation = observed(shown)
        if not shown.ok:
            result = {"disproved": bool(shown.evidence)}  # else it could not be tried at all
            self._end("rehearse", observation, state="refused", verdict=shown.reason, result=result)
            return
        since = float(self.record.evidence.get("troubled_since", self.record.proposed))
        since = max(since, self.footing.started)
        if self.remedy.rehearsal == "clone":  # copying and replaying disturbs what is measured
            since = max(since, self.footing.clock.now())
        before = self._batches(since)
        against = self._against()
        if against:
            verdict = f"{against} before anything was changed"
            self._end("rehearse", observation, state="refused", verdict=verdict)
            return
        observation["before"] = [msgspec.to_builtins(batch) for batch in before]
        self._end("rehearse", observation, state="applying")

    def _apply(self) -> None:
        parameters = self.record.parameters
        taken_over = "apply" in self.steps
        if taken_over:  # the target may be changed already: only the first undo is true
            undo = self.steps["apply"].undo
        else:
            undo = self.remedy.undo_of(parameters, self.hands)
        self._begin("apply", state="applying", intent=parameters, undo=undo)
        seen: Seen = "not done"
        if taken_over:
            seen = self.remedy.observe(parameters, self.hands)
            if seen == "cannot tell":
                self._ask("whether the change is in force cannot be seen")
                return
        if seen == "not done" and self.footing.is_paused():
            self._turn_back("apply", "refused", "applying was paused before anything was changed")
            return
        if seen == "not done":
            error = self._attempt(lambda: self.remedy.apply(parameters, self.hands))
            if not error and not self._until(lambda: self.remedy.observe(parameters, self.hands)):
                error = "it was not seen in force in time"
            if error:
                self._turn_back("apply", "failed", f"it could not be applied: {error}")
                return
        now = self.footing.clock.now()
        self._end("apply", {"seen": "done"}, state="verifying", applied=now)

    def _verify(self) -> None:
        config = self.footing.config
        parameters = self.record.parameters
        taken_over = "verify" in self.steps
        self._begin("verify", state="verifying", intent={"batches": config.verify_batches})
        if taken_over and not self._until(lambda: self.remedy.observe(parameters, self.hands)):
            self._turn_back("verify", "reverted", "after the interruption it was not in force")
            return
        since = self.footing.clock.now() + config.settle_seconds
        after = self._batches(since)
        stored = self.steps["rehearse"].observation.get("before", [])
        demand = replace(self.remedy.demand, load_drift_share=config.load_drift_share)
        verdict = compare(msgspec.convert(stored, list[Batch]), after, demand)
        with self._asking:
            self._judged, asked = not self._asked_to_revert, self._asked_to_revert
        if asked:
            self._turn_back("verify", "reverted", f"{asked} asked for it")
            return
        measured = _measured(verdict, demand)
        result = {**measured, "before": stored, "after": msgspec.to_builtins(after)}
        ending = _ending(verdict, demand, self.remedy)
        if ending == "kept":
            self._end("verify", result, state="kept", verdict=verdict.reason, result=result)
            return
        cause = self.remedy.explain(parameters, self.hands.view())
        reason = verdict.reason + (f"; {cause}" if cause else "")
        self._turn_back("verify", ending, reason, result=result)

    def _revert(self) -> None:
        parameters = self.record.parameters
        undo = self.steps["apply"].undo
        hands = self.hands
        self._begin("revert", state="reverting", undo=undo)
        error = self._attempt(lambda: self.remedy.revert(parameters, undo, hands))
        if not error and not self._until(
            lambda: self.remedy.observe_undone(parameters, undo, hands)
        ):
            error = "it was not seen undone in time"
        if error:
            self._ask(f"the change could not be undone: {error}")
            return
        ending = str(self.record.result.get("ending", "reverted"))
        self._end("revert", {"seen": "undone"}, state=ending)

    def _break_off(self, why: str) -> None:
        """End a run whose remedy raised what it must not: undo what may have been changed."""
        newest = max(self.steps, key=ORDER.index)
        if newest == "revert":
            self._ask(f"the change could not be undone: {why}")
        elif "apply" in self.steps:
            self._turn_back(newest, "failed", why)
        else:
            self._end(newest, {"reason": why}, state="failed", verdict=why)

    # -- what the moves are made of

    def _against(self) -> str:
        """Return what has come to speak against the change since it was proposed, or nothing."""
        finding = self.record.finding
        if finding is not None and not self.footing.still_open(finding):
            return "the trouble ended by itself"
        if self.footing.is_paused():
            return "applying was paused"
        if self.remedy.rehearsal == "dry run":  # what it checked may have changed meanwhile
            again = self.remedy.rehearse(self.record.parameters, self.hands)
            return "" if again.ok else again.reason
        return ""

    def _rehearsed(self) -> Rehearsed:
        """Rehearse; while that is not possible yet, again, for as long as a change may take."""
        deadline = self._deadline()
        while True:
            shown = self.remedy.rehearse(self.record.parameters, self.hands)
            if not shown.ok and self.footing.stop.is_set():  # that may be all that spoke against it
                raise StoppedError
            if not shown.later or self.footing.clock.monotonic() > deadline:
                return shown
            self._wait(POLL_SECONDS)

    def _deadline(self) -> float:
        config = self.footing.config
        return self.footing.clock.monotonic() + max(SEEN_SECONDS_MIN, 2 * config.settle_seconds)

    def _batches(self, since: float) -> list[Batch]:
        """Wait until enough batches have passed since a time, then measure them."""
        config, clock = self.footing.config, self.footing.clock
        length_all = config.verify_batches * config.batch_seconds
        # a wall clock that is set meanwhile must not prolong the wait: it leaves nothing to measure
        deadline = clock.monotonic() + since + length_all - clock.now()
        while (left := deadline - clock.monotonic()) > 0:
            if self._asked_to_revert:
                return []
            self._wait(min(left, POLL_SECONDS * 5))
        # the newest ones: the trouble may have stood for long before it was acted on
        start = max(since, clock.now() - length_all)
        return _measured_batches(self.remedy, self.record.parameters, self.footing, start=start)

    def _attempt(self, action: Callable[[], None]) -> str:
        """Try an action at most 1 + `retries_max` times; return the last error, or nothing."""
        error = ""
        for attempt in range(1 + self.footing.config.retries_max):
            if attempt:
                self._wait(2.0 ** (attempt - 1))
            if not self.footing.has_lock():
                raise StandbyError
            try:
                action()
            except LogbookError:
                raise
            except HomeostatError as caught:
                error = str(caught)
                log.warning("remedy %d: %s", self.record.id, error)
            else:
                return ""
        return error

    def _until(self, look: Callable[[], Seen]) -> bool:
        """Look until it is done, for at most twice the settling time; return whether it is."""
        deadline = self._deadline()
        while look() != "done":
            if self.footing.clock.monotonic() > deadline:
                return False
            self._wait(POLL_SECONDS)
        return True

    def _wait(self, seconds: float) -> None:
        if self.footing.clock.wait(self.footing.stop, seconds):
            raise StoppedError

    def _turn_back(
        self, step: str, ending: str, reason: str, *, result: Json | None = None
    ) -> None:
        self._end(
            step,
            {**(result or {}), "reason": reason},
            state="reverting",
            verdict=reason,
            result={**(result or {}), "ending": ending},
        )

    def _ask(self, why: str) -> None:
        record = msgspec.structs.replace(self.record, state="asking", verdict=why)
        run = msgspec.structs.replace(self.run, state="asking", detail=why)
        with self.footing.logbook.write(self.footing.ownership.tenure) as tx:
            self.record, self.run = tx.save_remedy(record), tx.save_run(run)
            tx.audit(
                actor="homeostat",
                action="ask",
                database=record.database,
                subject=f"remedy {record.id}",
                detail={"why": why},
            )

    def _begin(
        self, name: str, *, state: str, intent: Json | None = None, undo: Json | None = None
    ) -> None:
        """Commit the intent and the undo of a move before anything is done."""
        tenure = self.footing.ownership.tenure
        step = Step(
            run=self.run.id,
            number=ORDER.index(name) + 1,
            name=name,
            epoch=tenure.epoch,
            intent=intent or {},
            undo=undo or {},
            intended=self.footing.clock.now(),
        )
        record = msgspec.structs.replace(self.record, state=state)
        run = msgspec.structs.replace(
            self.run, epoch=tenure.epoch, detail=name, progress=PROGRESS[state]
        )
        with self.footing.logbook.write(tenure) as tx:
            tx.save_step(step)
            self.record, self.run = tx.save_remedy(record), tx.save_run(run)
        self.steps[name] = step

    def _end(self, name: str, observation: Json, *, state: str, **changes: Any) -> None:
        """Commit what was observed together with the state that follows from it."""
        now = self.footing.clock.now()
        ended = state in REMEDY_ENDED
        if ended:
            changes["ended"] = now
        record = msgspec.structs.replace(self.record, **{"state": state, **changes})
        step = msgspec.structs.replace(
            self.steps[name], state="done", observation=observation, observed=now
        )
        run = self.run
        if ended:
            run = msgspec.structs.replace(run, state="done", progress=1.0, ended=now)
        with self.footing.logbook.write(self.footing.ownership.tenure) as tx:
            tx.save_step(step)
            self.record, self.run = tx.save_remedy(record), tx.save_run(run)
            tx.audit(
                actor="homeostat",
                action=f"{name}: {state}",
                database=record.database,
                subject=f"remedy {record.id}",
                detail={"title": record.title, "verdict": record.verdict},
            )
        self.steps[name] = step


def observed(shown: Rehearsed) -> Json:
    """Return what is kept of a rehearsal as its step's observation."""
    later: Json = {"later": True} if shown.later else {}
    return {"ok": shown.ok, "reason": shown.reason, **later, **shown.evidence}


def _measured_batches(
    remedy: Remedy, parameters: Json, footing: Footing, *, start: float
) -> list[Batch]:
    """Return what is known of the batches from a time on."""
    view, length = footing.hands.view(), footing.config.batch_seconds
    starts = [start + number * length for number in range(footing.config.verify_batches)]
    found = [remedy.measure(parameters, view, start=at, end=at + length) for at in starts]
    return [batch for batch in found if batch is not None]


def _ending(verdict: Verdict, demand: Demand, remedy: Remedy) -> str:
    if verdict.outcome == "better" or (verdict.outcome == "no effect" and not demand.mechanism):
        return "kept"
    if remedy.undo == "none":
        return "ineffective"  # it stays as it is: nothing is called undone that was not
    return ENDING[verdict.outcome]


def _measured(verdict: Verdict, demand: Demand) -> Json:
    return {
        "name": demand.name,
        "unit": demand.unit,
        "outcome": verdict.outcome,
        "value_before": verdict.before,
        "value_after": verdict.after,
        "probability": verdict.probability,
        "mechanism": verdict.mechanism,
    }
