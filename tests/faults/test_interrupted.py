"""The operator is killed before and after every commit of a remedy; a successor takes over.

The commits are enumerated by a run that nothing interrupts. Whatever the point: the remedy ends
kept or undone, the application's pool and the stored settings agree with how it ended, and the
audit chain holds.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from homeostat.clock import SystemClock
from homeostat.driver import sqlite
from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord
from homeostat.operate.choose import UNDER_WAY
from tests.faults.application import POOL
from tests.faults.processes import Process, running
from tests.servers import PostgresServer, wait_until

SECONDS = 45.0
WHOLE_PLAYS = 3
PLAYS_AT_ONCE = 3  # most of a play is waiting for windows
REMEDY_PARTS = {"save_remedy", "save_step", "set_value"}


@contextmanager
def logbook(data: Path) -> Iterator[Logbook]:
    book = Logbook.open(data / "logbook.db", clock=SystemClock(), readonly=True)
    try:
        yield book
    finally:
        book.close()


def ended(data: Path) -> RemedyRecord | None:
    """Return the first growth when it is over."""
    if not (data / "operator.json").exists():
        return None
    with logbook(data) as book:
        found = [record for record in book.remedies() if record.key == "grow-pool"]
        done = found and found[-1].state not in UNDER_WAY
        return found[-1] if done else None


def play(url: str, data: Path, kill: tuple[str, ...], *, serial: bool) -> RemedyRecord:
    """Run the application and an operator that dies; let a successor finish; check the end."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    more = ["serial"] if serial else []
    with ExitStack() as stack:
        application = stack.enter_context(
            running("tests.faults.application", url, str(data), *more)
        )
        application.ready()
        victim = stack.enter_context(running("tests.faults.victim", url, str(data), *kill))
        if kill:
            assert victim.wait(SECONDS) == -9, "it did not reach the commit it was to die at"
            successor = stack.enter_context(running("tests.faults.victim", url, str(data)))
            successor.ready()
        wait_until(lambda: ended(data), SECONDS, "the end of the remedy")
        record = ended(data)
        assert record is not None
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
    assert record.state in {"kept", "ineffective", "reverted"}, (record.state, record.verdict)


def remedy_commits(data: Path) -> list[int]:
    lines = [line.split() for line in (data / "commits").read_text().splitlines()]
    return [int(words[0]) for words in lines if REMEDY_PARTS & set(words[1:])]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return what makes an empty database; each can have one operator only."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("pg_server")
        return lambda: server.url(server.create_database())
    numbers = itertools.count()

    def new_file() -> str:
        path = tmp_path / f"app-{next(numbers)}.db"
        sqlite.connect(path, create=True).close()
        return str(path)

    return new_file


@pytest.mark.slow
@pytest.mark.timed
def test_killed_at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    kill_everywhere(new_url, tmp_path, ending="kept", serial=False)


@pytest.mark.slow
@pytest.mark.timed
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
    for _ in range(WHOLE_PLAYS):  # a busy machine may blur the batches, which are short here
        record = play(new_url(), tmp_path / "whole", (), serial=serial)
        if record.state == ending:
            break
    assert record.state == ending, record.verdict
    points = remedy_commits(tmp_path / "whole")
    assert len(points) >= (11 if serial else 8), "moves commit intent and observation apart"
    if serial:
        points = points[-4:]  # up to the verdict, the commits are those of the other ending

    def killed(when: str, number: int) -> None:
        data = tmp_path / f"{when}-{number}"
        found = play(new_url(), data, (when, str(number)), serial=serial)
        assert found.state in {ending, "reverted"}, (when, number, found.verdict)

    with ThreadPoolExecutor(PLAYS_AT_ONCE) as executor:
        plays = [
            executor.submit(killed, when, number)
            for number in points
            for when in ("before", "after")
        ]
        for one in plays:
            one.result()
