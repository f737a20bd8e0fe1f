"""What a remedy is worth is judged on a running application: harm and placebo are not kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from homeostat.clock import SystemClock
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.main import Running, prepare_data, start
from homeostat.maintain.pool_remedy import GrowPool
from homeostat.measure import Severity
from homeostat.operate.choose import UNDER_WAY
from homeostat.operate.remedy import Proposal, Rehearsed, Resource
from homeostat.operate.room import Room
from homeostat.operate.rule import Judgement, View
from tests.faults.processes import Process, running
from tests.faults.victim import CONFIG
from tests.servers import wait_until

SECONDS = 60.0


@contextmanager
def operated(
    url: str, data: Path, mode: str, *more: Room, autonomy: str = "auto"
) -> Iterator[tuple[Running, Process]]:
    """Run an operator in this process beside an application in its own."""
    prepare_data(data)
    operate = msgspec.structs.replace(CONFIG.operate, autonomy=autonomy)
    config = msgspec.structs.replace(CONFIG, operate=operate)
    with ExitStack() as stack:
        application = stack.enter_context(running("tests.faults.application", url, str(data), mode))
        application.ready()
        operator = start(data, url=url, config=config, clock=SystemClock(), stack=stack, more=more)
        yield operator, application


def wait_for_end(operator: Running, key: str) -> RemedyRecord:
    def ended() -> list[RemedyRecord]:
        found = [r for r in operator.console.remedies() if r.key == key]
        return [r for r in found if r.state not in {*UNDER_WAY, "waiting"}]

    wait_until(ended, SECONDS, f"the end of {key}")
    return ended()[-1]


@dataclass(frozen=True)
class AlwaysRule:
    """Finds every pool, so that the harmful remedy has something to mend."""

    name: str = "any-pool"
    help: str = "for this test"
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> Iterable[Judgement]:
        for subject in view.recent.subjects("pool.limit"):
            yield Judgement(subject, Severity.INFO, "a pool", evidence={"since": view.at})


@dataclass(frozen=True)
class StarvePool(GrowPool):
    """Takes nearly all connections away."""

    key: str = "starve-pool"
    rules: tuple[str, ...] = ("any-pool",)

    def propose(self, finding: Finding, view: View) -> Proposal:
        agent = view.agents[0]
        limit = agent.report.pools[0].limit
        return Proposal(
            resource=Resource("pool", "shop/main"),
            title="starve the pool",
            why="to see whether it is undone",
            parameters={
                "agent": agent.name,
                "application": "shop",
                "pool": "main",
                "from": limit,
                "to": 1,
            },
            evidence={},
            likeness="starve",
            troubled_since=finding.opened,
        )

    def rehearse(self, parameters: object, hands: object) -> Rehearsed:  # noqa: ARG002
        return Rehearsed(ok=True, reason="not rehearsed, for this test")


@pytest.mark.slow
@pytest.mark.timed
def test_a_harmful_remedy_is_undone(sqlite_path: Path, tmp_path: Path) -> None:
    room = Room("harm", rules=(AlwaysRule(),), remedies=(StarvePool(),))
    with operated(str(sqlite_path), tmp_path / "data", "at-ease", room) as (operator, application):
        record = wait_for_end(operator, "starve-pool")
        assert record.state == "reverted", record.verdict
        assert record.result["outcome"] == "worse"
        wait_until(lambda: application.ask("limit") == "8", 5.0, "the old limit")


@pytest.mark.slow
@pytest.mark.timed
def test_a_trouble_that_ended_by_itself_is_not_credited(sqlite_path: Path, tmp_path: Path) -> None:
    with operated(str(sqlite_path), tmp_path / "data", "placebo") as (operator, application):
        record = wait_for_end(operator, "grow-pool")
        assert record.state in {"ineffective", "reverted"}, record.verdict
        wait_until(lambda: application.ask("limit") == "2", 5.0, "the old limit")


@pytest.mark.slow
def test_observe_changes_nothing_and_says_what_it_would_do(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with operated(str(sqlite_path), tmp_path / "data", "crowded", autonomy="observe") as (
        operator,
        application,
    ):
        record = wait_for_end(operator, "grow-pool")
        assert record.state == "observed"
        assert application.ask("limit") == "2"
        assert operator.console.remedy(record.id).possible == ["approve", "reject"]


@pytest.mark.slow
@pytest.mark.timed
def test_what_a_person_reverts_is_undone_and_not_tried_again(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with operated(str(sqlite_path), tmp_path / "data", "crowded") as (operator, application):
        record = wait_for_end(operator, "grow-pool")
        assert record.state == "kept", record.verdict
        operator.console.decide(record.id, "revert", actor="someone")
        wait_until(
            lambda: operator.console.remedy(record.id).remedy.state == "reverted", 10.0, "the undo"
        )
        wait_until(lambda: application.ask("limit") == "2", 5.0, "the old limit")
        actions = [(e.actor, e.action) for e in operator.console.audit()]
        assert ("someone", "revert") in actions


@pytest.mark.slow
def test_a_paused_operator_applies_nothing_until_it_is_resumed(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with operated(str(sqlite_path), tmp_path / "data", "crowded") as (operator, application):
        operator.console.pause(actor="someone")
        assert operator.console.status().databases[0].state == "paused"
        wait_until(lambda: said_paused(operator), SECONDS, "a remedy that is held back")
        assert operator.console.remedies() == []
        assert application.ask("limit") == "2"
        operator.console.resume(actor="someone")
        wait_until(operator.console.remedies, SECONDS, "the remedy")


def said_paused(operator: Running) -> bool:
    held = [f.evidence.get("not_done", {}) for f in operator.console.findings()]
    return any("paused" in why for one in held for why in one.values())
