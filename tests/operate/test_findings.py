from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord
from homeostat.measure import Severity, Subject
from homeostat.operate.findings import WRITE_SECONDS, FindingBook
from homeostat.operate.own_findings import OwnFindings
from homeostat.operate.ownership import Ownership, this_process
from homeostat.operate.rule import Judgement, Undecided, View

POOL = Subject("db", "agent:a", "pool", "main")


@dataclass(frozen=True)
class FullRule:
    name: str = "full"
    help: str = "for this test"
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> list[Judgement | Undecided]:  # noqa: ARG002
        raise AssertionError("the test judges itself")


RULE = FullRule()


def bad(what: str = "90 % in use", cause: str = "unknown") -> Judgement:
    return Judgement(POOL, Severity.HIGH, what, cause=cause)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Logbook]:
    logbook = Logbook.open(tmp_path / "logbook.db", clock=ManualClock())
    yield logbook
    logbook.close()


@pytest.fixture
def findings(book: Logbook) -> FindingBook:
    ownership = Ownership(
        book, scope="db", owner=this_process(), clock=ManualClock(), lease_seconds=1e9
    )
    ownership.take()
    return FindingBook(book, "db", ownership)


def test_a_finding_opens_once_and_clears_after_quiet_ticks(
    book: Logbook, findings: FindingBook
) -> None:
    for at in (1.0, 2.0, 3.0):
        findings.judge(RULE, [bad()], at=at)
    assert [f.opened for f in findings.open()] == [1.0]
    for at in (4.0, 5.0):
        findings.judge(RULE, [], at=at)
    assert len(findings.open()) == 1, "two quiet ticks are not enough"
    findings.judge(RULE, [], at=6.0)
    assert findings.open() == []
    stored = book.findings(database="db", open_only=False)
    assert [(f.state, f.cleared) for f in stored] == [("cleared", 6.0)]


def test_what_comes_back_between_does_not_clear(findings: FindingBook) -> None:
    for at, judged in enumerate([[bad()], [], [], [bad()], [], []]):
        findings.judge(RULE, judged, at=float(at))
    assert len(findings.open()) == 1


def test_not_knowing_keeps_a_finding_as_it_is(findings: FindingBook) -> None:
    findings.judge(RULE, [bad()], at=0.0)
    for at in range(1, 20):
        findings.judge(RULE, [Undecided(POOL)], at=float(at))
    assert len(findings.open()) == 1


def test_a_standing_trouble_is_written_now_and_then_but_a_new_cause_at_once(
    book: Logbook, findings: FindingBook
) -> None:
    findings.judge(RULE, [bad()], at=0.0)
    written = book.last_sequence()
    findings.judge(RULE, [bad("95 % in use")], at=1.0)
    assert book.last_sequence() == written
    assert findings.open()[0].what == "95 % in use", "the page shows the newest all the same"
    findings.judge(RULE, [bad(cause="lock-bound")], at=2.0)
    assert book.last_sequence() == written + 1
    findings.judge(RULE, [bad(cause="lock-bound")], at=3.0 + WRITE_SECONDS)
    assert book.last_sequence() == written + 2


def test_open_findings_survive_a_restart(book: Logbook, findings: FindingBook) -> None:
    findings.judge(RULE, [bad()], at=1.0)
    number = findings.open()[0].id
    ownership = Ownership(
        book, scope="db", owner=this_process(), clock=ManualClock(), lease_seconds=1e9
    )
    ownership.take()
    again = FindingBook(book, "db", ownership)
    again.judge(RULE, [bad()], at=2.0)
    assert [f.id for f in again.open()] == [number]


def test_a_remedy_that_nobody_looks_after_turns_critical(
    book: Logbook, findings: FindingBook
) -> None:
    clock = ManualClock()
    own = OwnFindings(findings, "db", clock, escalation_seconds=300.0)
    with book.write(None) as tx:
        record = tx.save_remedy(
            RemedyRecord(
                database="db",
                key="k",
                resource="r",
                state="asking",
                autonomy="auto",
                title="t",
                why="w",
                proposed=0.0,
            )
        )
    own.remedy(record, "it cannot be told")
    clock.advance(299.0)
    own.settle(book.remedy)
    assert [f.severity for f in findings.open()] == ["high"]
    clock.advance(1.0)
    own.settle(book.remedy)
    assert [f.severity for f in findings.open()] == ["critical"]
    assert book.findings(database="db")[0].severity == "critical"
