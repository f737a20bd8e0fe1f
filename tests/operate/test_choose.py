from __future__ import annotations

import msgspec
import pytest

from homeostat.config import OperateConfig
from homeostat.logbook.rows import RemedyRecord
from homeostat.operate.choose import Case, against
from homeostat.operate.remedy import Proposal, Resource

NOW = 1_000_000.0
OPERATE = OperateConfig(cooldown_seconds=300.0, distrust_seconds=3_600.0, budget_per_hour=2)
PROPOSAL = Proposal(
    resource=Resource("pool", "shop/main"),
    title="grow",
    why="waiting",
    parameters={},
    evidence={},
    likeness="4->8",
    troubled_since=NOW,
)
CASE = Case("grow-pool", 7, PROPOSAL, "auto", paused=False, now=NOW)
RECORD = RemedyRecord(
    id=3,
    database="d",
    key="grow-pool",
    resource="pool:shop/main",
    finding=7,
    state="kept",
    autonomy="auto",
    title="grow",
    why="waiting",
    likeness="4->8",
    proposed=NOW - 5_000,
    applied=NOW - 4_900,
    ended=NOW - 4_000,
)


def changed(**changes: object) -> RemedyRecord:
    return msgspec.structs.replace(RECORD, **changes)


def test_nothing_speaks_against_the_first() -> None:
    assert against(CASE, [], OPERATE) == ""
    assert against(CASE, [RECORD], OPERATE) == ""


@pytest.mark.parametrize(
    ("record", "word"),
    [
        (changed(state="verifying", ended=None), "is verifying"),
        (changed(state="asking", ended=None), "is asking"),
        (changed(state="waiting", ended=None), "waits for a person"),
        (changed(state="ineffective", ended=NOW - 1_000), "like evidence"),
        (changed(state="rejected", applied=None, ended=NOW - 1_000), "like evidence"),
        (
            changed(state="refused", applied=None, ended=NOW - 9, result={"disproved": True}),
            "like evidence",
        ),
        (changed(ended=NOW - 100), "rests"),
    ],
    ids=["under way", "asking", "waiting", "ineffective", "rejected", "disproved", "resting"],
)
def test_what_speaks_against(record: RemedyRecord, word: str) -> None:
    assert word in against(CASE, [record], OPERATE)


def test_what_could_not_be_rehearsed_is_tried_again_ever_more_rarely() -> None:
    def untried(seconds: float) -> RemedyRecord:
        return changed(
            state="refused", applied=None, ended=NOW - seconds, result={"disproved": False}
        )

    assert against(CASE, [untried(11)], OPERATE) == ""
    assert "tried again 10 s after" in against(CASE, [untried(9)], OPERATE)
    assert "tried again 40 s after" in against(CASE, [untried(n) for n in (39, 60, 70)], OPERATE)
    often = [untried(n) for n in range(1_000, 1_050)]
    assert "tried again 3600 s after" in against(CASE, often, OPERATE)
    assert against(CASE, [untried(n) for n in range(3_600, 3_650)], OPERATE) == ""


def test_other_evidence_or_time_gives_another_chance() -> None:
    other = changed(state="ineffective", likeness="8->16", ended=NOW - 1_000)
    assert against(CASE, [other], OPERATE) == ""
    old = changed(state="ineffective", ended=NOW - 4_000)
    assert against(CASE, [old], OPERATE) == ""


def test_another_resource_is_no_conflict() -> None:
    elsewhere = changed(state="applying", resource="pool:shop/reports", ended=None)
    assert against(CASE, [elsewhere], OPERATE) == ""


def test_the_budget_binds_what_acts_by_itself_only() -> None:
    busy = [changed(id=n, resource=f"pool:{n}", applied=NOW - 60, ended=NOW - 50) for n in (1, 2)]
    assert "budget" in against(CASE, busy, OPERATE)
    asking_first = Case("grow-pool", 7, PROPOSAL, "approve", paused=False, now=NOW)
    assert against(asking_first, busy, OPERATE) == ""


def test_paused() -> None:
    paused = Case("grow-pool", 7, PROPOSAL, "auto", paused=True, now=NOW)
    assert against(paused, [], OPERATE) == "applying is paused"
