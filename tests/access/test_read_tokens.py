"""Read-your-writes: a read with a token waits for a replica that lags, or says that it does."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, ExecutionSettings, Operation
from homeostat.driver import sqlite
from homeostat.errors import ReadTokenError, ReplicaBehindError
from tests.access.helpers import in_thread, until
from tests.replica import caught_up, running_replica
from tests.servers import PostgresServer

ADD = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)
COUNT = Operation("note.count", "SELECT count(*) FROM note")
OPERATIONS = [ADD, COUNT]
QUICK = ExecutionSettings(wait_ms=150)
TOLD = ExecutionSettings(wait_ms=150, announce_caller=True)
BRIEF = ExecutionSettings(deadline_ms=100)


def planned(settings: ExecutionSettings, *_: object) -> ExecutionSettings:
    return settings


@pytest.mark.slow
def test_a_read_with_a_token_sees_the_write_or_says_that_it_cannot(
    pg_own_server: PostgresServer,
) -> None:
    pg_own_server.execute("CREATE TABLE note (text text)")
    with (
        running_replica(pg_own_server) as standby,
        Database.open(pg_own_server.url(), agent=None, operations=OPERATIONS) as primary,
        Database.open(standby.url(), agent=None, operations=OPERATIONS) as replica,
        Database.open(
            standby.url(), agent=None, operations=OPERATIONS, planner=lambda *_: QUICK
        ) as hurried,
    ):
        caught_up(pg_own_server, standby)
        standby.execute("SELECT pg_wal_replay_pause()")
        primary.execute("note.add", {"text": "a"})
        fresh = Caller(read_token=primary.read_token())
        assert primary.execute("note.count", caller=fresh).scalar() == 1
        assert replica.execute("note.count").scalar() == 0, "without a token it reads what is there"
        with pytest.raises(ReplicaBehindError, match="come as far"):
            hurried.execute("note.count", caller=fresh)
        with pytest.raises(ReplicaBehindError), hurried.transaction(write=False, caller=fresh):
            pass
        asyncio.run(behind_in_a_loop(hurried, fresh))
        for settings in (TOLD, BRIEF):
            with (
                Database.open(
                    standby.url(),
                    agent=None,
                    operations=OPERATIONS,
                    planner=partial(planned, settings),
                ) as other,
                pytest.raises(ReplicaBehindError),
            ):
                other.execute("note.count", caller=fresh)
        assert (hurried.pool.in_use, hurried.pool.size) == (0, 1)
        seen: list[object] = []
        waits = in_thread(lambda: seen.append(replica.execute("note.count", caller=fresh).scalar()))
        until(lambda: replica.pool.in_use == 1)
        standby.execute("SELECT pg_wal_replay_resume()")
        waits.join(10)
        assert seen == [1]
        with replica.transaction(write=False, caller=fresh) as held:
            assert held.execute(COUNT).scalar() == 1
        # the next record begins behind the header of a page that is empty: nothing to wait for
        pg_own_server.execute("SELECT pg_switch_wal()")
        fresh = Caller(read_token=primary.read_token())
        assert replica.execute("note.count", caller=fresh).scalar() == 1


async def behind_in_a_loop(core: Database, caller: Caller) -> None:
    database = AsyncDatabase(core)
    with pytest.raises(ReplicaBehindError):
        await database.execute("note.count", caller=caller)
    with pytest.raises(ReplicaBehindError):
        async with database.transaction(write=False, caller=caller) as held:
            await held.execute("SELECT 1")
    database._threads.close()


def test_on_a_file_every_read_is_fresh_and_other_tokens_are_refused(
    sqlite_path: Path, tmp_path: Path
) -> None:
    other_path = tmp_path / "other.db"
    for path in (sqlite_path, other_path):
        wire = sqlite.connect(path, create=True)
        wire.execute("CREATE TABLE note (text TEXT)")
        wire.close()
    with (
        Database.open(sqlite_path, agent=None, operations=OPERATIONS) as one,
        Database.open(other_path, agent=None, operations=OPERATIONS) as other,
    ):
        one.execute("note.add", {"text": "a"})
        fresh = Caller(read_token=one.read_token())
        assert one.execute("note.count", caller=fresh).scalar() == 1
        for refused in (fresh, Caller(read_token="nonsense")):
            with pytest.raises(ReadTokenError):
                other.execute("note.count", caller=refused)
        assert other.execute("note.add", {"text": "b"}, caller=fresh).changed == 1, (
            "a write is no read"
        )
        asyncio.run(refused_in_a_loop(other, fresh))
        assert other.pool.in_use == 0


async def refused_in_a_loop(core: Database, caller: Caller) -> None:
    """A short read, which runs in the loop itself, looks at the token as the others do."""
    database = AsyncDatabase(core)
    for expected_ms in (None, 0.5):
        read = Operation("note.read", "SELECT text FROM note", expected_ms=expected_ms)
        with pytest.raises(ReadTokenError):
            await database.execute(read, caller=caller)
        fresh = Caller(read_token=await database.read_token())
        assert (await database.execute(read, caller=fresh)).rows == [("b",)]
    database._threads.close()
