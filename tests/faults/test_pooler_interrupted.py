"""The operator is killed at every step of sizing a PgBouncer's pool: a process, a real pooler.

The growth is kept and then undone by a person; whatever the point, a successor ends it: the file is
to the byte, with its mode, what it was, nothing is left beside it, and PgBouncer has the old size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeostat.driver import pgbouncer
from homeostat.logbook.rows import RemedyRecord
from tests.faults.killing import around, at_each, commits, end_of, ended, logbook, operated
from tests.maintain.pooling import clients
from tests.pgbouncer import PgBouncer, running_pgbouncer
from tests.servers import PostgresServer, wait_until

GROW = "grow-pool"
SIZE = 2
WHOLE_PLAYS = 3
PLAYS_AT_ONCE = 2
REACH_SECONDS = 120.0
COMMITS_MIN = 8  # moves commit intent and observation apart, and so do those of the undo
VICTIM = "tests.faults.pooler_victim"


@pytest.fixture
def server(pg_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """Return the server; the console's password is in the environment."""
    monkeypatch.setenv("POOLER_PASSWORD", pg_server.password)
    return pg_server


@contextmanager
def pooler(server: PostgresServer) -> Iterator[tuple[str, PgBouncer]]:
    """Run a PgBouncer before a database of its own; each can have one operator only."""
    name = server.create_database()
    with running_pgbouncer(server, name=name, database=f"pool_size={SIZE}") as one:
        yield server.url(name), one
    server.drop_database(name)


def play(server: PostgresServer, data: Path, kill: tuple[str, ...] = ()) -> RemedyRecord:
    """Let the pool run out under an operator that dies; check how its successor leaves it."""
    data.mkdir(mode=0o700)
    with pooler(server) as (url, one), clients(one.url(url)):
        before, mode = one.ini.read_bytes(), one.ini.stat().st_mode
        beside = {path.name for path in one.ini.parent.iterdir()}
        words = (url, str(data), one.console, str(one.ini))
        with operated(VICTIM, *words, kill=kill, seconds=REACH_SECONDS):
            wait_until(lambda: over(data), 90, "the end of the undo")
            record = end_of(data, GROW)
            wait_until(lambda: size(server, one, url) == SIZE, what="the old size")
        assert record.state in {"reverted", "ineffective"}, (kill, record.state, record.verdict)
        assert one.ini.read_bytes() == before, kill
        assert one.ini.stat().st_mode == mode
        assert {path.name for path in one.ini.parent.iterdir()} == beside
        with logbook(data) as book:
            assert book.verify_audit() > 0
        return record


def over(data: Path) -> bool:
    """Return whether the growth has ended, and was undone if it was kept."""
    found = ended(data, GROW)
    return found is not None and found.state != "kept"


def size(server: PostgresServer, one: PgBouncer, url: str) -> int:
    address = one.console.replace("postgres@", f"postgres:{server.password}@")
    wire = pgbouncer.connect(address, application_name="tests")
    try:
        return pgbouncer.reading(wire, url.rsplit("/", 1)[1]).size
    finally:
        wire.close()


def whole(server: PostgresServer, directory: Path) -> Path:
    """Return the data of a play that nothing interrupts, in which the growth was kept at first."""
    for number in range(WHOLE_PLAYS):  # a busy machine may blur the batches, which are short here
        data = directory / f"whole-{number}"
        record = play(server, data)
        if record.state == "reverted":
            return data
    raise AssertionError(record.verdict)


@pytest.mark.long
@pytest.mark.timed
def test_killed_when_the_file_is_written_and_the_pooler_not_told(
    server: PostgresServer, tmp_path: Path
) -> None:
    play(server, tmp_path / "data", ("reload", "1"))


@pytest.mark.long
@pytest.mark.timed
def test_killed_at_every_step_and_every_commit(server: PostgresServer, tmp_path: Path) -> None:
    numbers = commits(whole(server, tmp_path))
    assert len(numbers) >= COMMITS_MIN

    def killed(when: str, number: int) -> None:
        for again in range(WHOLE_PLAYS):  # a growth that was not kept has fewer commits
            with contextlib.suppress(TimeoutError):
                play(server, tmp_path / f"{when}-{number}-{again}", (when, str(number)))
                return
        raise AssertionError((when, number))

    steps = [(step, number) for step in ("write", "reload", "reloaded") for number in (1, 2)]
    at_each([*steps, *around(numbers)[:-1]], killed, at_once=PLAYS_AT_ONCE)
