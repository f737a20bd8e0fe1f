"""What speaks against a remedy now: conflicts, waiting decisions, distrust, rest, budget, pause.

Pure: it looks at the records of a database and says why not, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.config import OperateConfig
from homeostat.logbook.rows import RemedyRecord
from homeostat.operate.remedy import Proposal

UNDER_WAY: tuple[str, ...] = ("proposed", "rehearsing", "applying", "verifying", "reverting")
FOR_A_PERSON: tuple[str, ...] = ("waiting", "observed")
FRUITLESS: tuple[str, ...] = ("reverted", "ineffective", "rejected", "failed")
HOUR_SECONDS = 3600.0
DOUBLINGS_MAX = 60  # a float holds no more than a thousand


@dataclass(frozen=True, slots=True)
class Case:
    """A proposal that is to be weighed."""

    key: str
    finding: int
    proposal: Proposal
    autonomy: str
    paused: bool
    now: float


def conflict(records: Sequence[RemedyRecord], label: str) -> str:
    """Return which remedy has the resource now, or nothing."""
    for record in records:
        if record.resource == label and record.state in (*UNDER_WAY, "asking"):
            return f"remedy {record.id} on {label} is {record.state}"
    return ""


def later_change(records: Sequence[RemedyRecord], record: RemedyRecord) -> str:
    """Return which kept remedy built on a record's change and has to be undone first, or nothing.

    A record's undo is what was in force before it: it would take later changes along unseen, and
    theirs would bring it back.
    """
    for other in records:
        if other.resource == record.resource and other.state == "kept" and other.id > record.id:
            return f"remedy {other.id} changed {record.resource} after it; undo that first"
    return ""


def against(case: Case, records: Sequence[RemedyRecord], operate: OperateConfig) -> str:
    """Return what speaks against doing (or asking for) it now, in words, or nothing.

    Args:
        case: what is proposed.
        records: the database's remedies, the newest first.
        operate: limits.
    """
    label = case.proposal.resource.label
    mine = [record for record in records if record.resource == label]
    return (
        conflict(mine, label)
        or _undecided(case, mine)
        or _distrust(case, mine, operate)
        or _untried(case, mine, operate)
        or ("applying is paused" if case.paused else "")
        or _rest(case, mine, operate)
        or _budget(case, records, operate)
    )


def is_fruitless(record: RemedyRecord) -> bool:
    """Return whether it did not help, somebody was against it, or its rehearsal showed harm."""
    disproved = record.state == "refused" and bool(record.result.get("disproved"))
    return disproved or record.state in FRUITLESS


def _undecided(case: Case, mine: Sequence[RemedyRecord]) -> str:
    # what was only observed does not keep a remedy back that may do more by now
    states = FOR_A_PERSON if case.autonomy == "observe" else ("waiting",)
    for record in mine:
        if record.state in states and (record.key, record.finding) == (case.key, case.finding):
            return f"remedy {record.id} waits for a person"
    return ""


def _distrust(case: Case, mine: Sequence[RemedyRecord], operate: OperateConfig) -> str:
    for record in mine:
        alike = record.key == case.key and record.likeness == case.proposal.likeness
        if alike and is_fruitless(record) and record.ended is not None:
            age = case.now - record.ended
            if age < operate.distrust_seconds:
                return f"remedy {record.id} was {record.state} on like evidence {age:.0f} s ago"
    return ""


def _untried(case: Case, mine: Sequence[RemedyRecord], operate: OperateConfig) -> str:
    """What could not be rehearsed at all is tried again ever more rarely, at least every hour."""
    times = [
        record.ended
        for record in mine
        if record.state == "refused"
        and record.result.get("disproved") is False
        and (record.key, record.likeness) == (case.key, case.proposal.likeness)
        and record.ended is not None
        and case.now - record.ended < operate.distrust_seconds
    ]
    if not times:
        return ""
    wait = retry_seconds(len(times), operate)
    if case.now - max(times) < wait:
        return f"it could not be rehearsed; it is tried again {wait:.0f} s after the last time"
    return ""


def retry_seconds(
    tries: int, operate: OperateConfig, *, seconds_max: float = HOUR_SECONDS
) -> float:
    """Return how long to wait after so many rehearsals that could not be made, at most so long."""
    doublings = min(tries - 1, DOUBLINGS_MAX)
    return min(seconds_max, operate.batch_seconds * 2.0**doublings)


def _rest(case: Case, mine: Sequence[RemedyRecord], operate: OperateConfig) -> str:
    ended = [record.ended for record in mine if record.ended and record.applied]
    if ended and case.now - max(ended) < operate.cooldown_seconds:
        return f"it rests for {operate.cooldown_seconds:.0f} s after the last remedy"
    return ""


def _budget(case: Case, records: Sequence[RemedyRecord], operate: OperateConfig) -> str:
    if case.autonomy != "auto":
        return ""
    lately = sum(1 for r in records if r.applied and case.now - r.applied < HOUR_SECONDS)
    if lately >= operate.budget_per_hour:
        return f"the budget of {operate.budget_per_hour} remedies an hour is used up"
    return ""
