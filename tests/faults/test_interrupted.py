"""The operator is killed before and after every commit of a remedy; a successor takes over.

The commits are enumerated by a run that nothing interrupts. Whatever the point: the remedy ends,
the application's pool and the stored settings agree with how it ended, and the audit chain holds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.logbook.rows import RemedyRecord
from tests.faults.application import POOL
from tests.faults.killing import (
    ENDS,
    Point,
    around,
    commits,
    end_of,
    judged_at_each,
    logbook,
    operated,
    words_of,
)
from tests.faults.processes import Process, running
from tests.servers import wait_until

GROW = "grow-pool"
WHOLE_PLAYS = 3
PLAYS_AT_ONCE = 4
REMEDY_PARTS = frozenset({"save_remedy", "save_step", "set_value"})


def play(url: str, data: Path, kill: tuple[str, ...], *, serial: bool) -> RemedyRecord:
    """Run the application and an operator that dies; let a successor finish; check the end."""
    data.mkdir(mode=0o700)
    more = ["serial"] if serial else []
    with ExitStack() as stack:
        application = stack.enter_context(
            running("tests.faults.application", url, str(data), *more)
        )
        application.ready()
        stack.enter_context(operated("tests.faults.victim", url, str(data), kill=kill))
        record = end_of(data, GROW)
        check(record, application, data)
        return record


def check(record: RemedyRecord, application: Process, data: Path) -> None:
    limit = POOL * 2 if record.state == "kept" else POOL
    wait_until(lambda: application.ask("limit") == str(limit), 5.0, f"a pool of {limit}")
    with logbook(data) as book:
        stored = book.value(f"settings/{record.database}/shop") or {"values": {}}
        assert stored["values"] == ({"pool.limit": limit} if record.state == "kept" else {})
        assert book.verify_audit() > 0
        assert record.run is not None
        steps = {step.name: step for step in book.steps(record.run)}
        if record.applied is not None:
            assert steps["apply"].undo == {"values": {}}, "the undo of a redone move was lost"
    assert record.state in ENDS, record.verdict


@pytest.mark.slow
def test_killed_at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    kill_everywhere(new_url, tmp_path, ending="kept", serial=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "new_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
def test_killed_at_every_commit_of_one_that_does_not_help(
    new_url: Callable[[], str], tmp_path: Path
) -> None:
    kill_everywhere(new_url, tmp_path, ending="ineffective", serial=True)


def kill_everywhere(
    new_url: Callable[[], str], tmp_path: Path, *, ending: str, serial: bool
) -> None:
    """Run a remedy whole, then once more for each of its commits, killed before and after it."""
    for number in range(WHOLE_PLAYS):  # a busy machine may blur the batches, which are short here
        whole = tmp_path / f"whole-{number}"
        record = play(new_url(), whole, (), serial=serial)
        if record.state == ending:
            break
    assert record.state == ending, record.verdict
    points = commits(whole, REMEDY_PARTS)
    assert len(points) >= (11 if serial else 8), "moves commit intent and observation apart"
    if serial:
        points = points[-4:]  # up to the verdict, the commits are those of the other ending

    def killed(data: Path, point: Point) -> RemedyRecord:
        return play(new_url(), data, words_of(point), serial=serial)

    judged_at_each(around(points), killed, tmp_path, at_once=PLAYS_AT_ONCE)
