"""The data path while a server, a pooler, the network or the disk fails under it.

In each case the error has the right name, no connection is left taken, no acknowledged write is
lost, and none happens twice with its key; a write that failed with any error but CommitUnknownError
did not happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.access import AsyncDatabase, Caller, Database, ExecutionSettings, Operation
from homeostat.errors import DiskFullError, PoolTimeoutError
from tests.faults.processes import running
from tests.faults.writers import OPERATIONS, Writers, check, open_wire, patient, prepare, writing
from tests.pgbouncer import running_pgbouncer
from tests.servers import PostgresServer, Proxy, small_disk, wait_until

LOST = ["ConnectionLostError", "CommitUnknownError"]
AWAY = [*LOST, "ServerUnreachableError", "ServerStartingError"]
SILENT = [*AWAY, "DeadlineExceededError", "PoolTimeoutError", "OverloadedError"]
SLEEP_BESIDE = 0.5  # how long a fault lasts that has no end of its own
HOW = pytest.mark.parametrize(  # each form and each way every time, all four with --full
    ("keyed", "in_loop"),
    [
        pytest.param(True, False, id="with-key"),
        pytest.param(False, True, id="without-key-in-loop"),
        pytest.param(False, False, id="without-key", marks=pytest.mark.long),
        pytest.param(True, True, id="with-key-in-loop", marks=pytest.mark.long),
    ],
)


@pytest.fixture
def far(
    pg_server: PostgresServer, pg_database: str, pg_proxy: Proxy
) -> Iterator[Callable[[], Database]]:
    """Return what opens the database through the proxy."""
    prepare(pg_database)
    through = pg_database.replace(f":{pg_server.port}/", f":{pg_proxy.port}/")
    opened = Database.open(through, pool=4, agent=None, operations=OPERATIONS, planner=patient)
    yield lambda: opened
    pg_proxy.thaw()
    opened.close(drain_seconds=1)


def beside(condition: Callable[[], object] | None = None) -> None:
    """Let a fault last, or until a condition holds."""
    if condition is None:
        threading.Event().wait(SLEEP_BESIDE)
    else:
        wait_until(condition, 20)


@HOW
def test_connections_cut_again_and_again(
    far: Callable[[], Database], pg_database: str, pg_proxy: Proxy, *, keyed: bool, in_loop: bool
) -> None:
    with writing(far(), keyed=keyed, in_loop=in_loop) as writers:
        for _ in range(5):
            writers.more()
            pg_proxy.cut()
        writers.more()
    check(writers, pg_database, errors=SILENT)


@pytest.mark.parametrize(
    ("direction", "keyed", "in_loop"),
    [
        ("up", False, False),
        ("down", True, True),
        ("down", False, False),
        pytest.param("up", False, True, marks=pytest.mark.long),
        pytest.param("down", False, True, marks=pytest.mark.long),
    ],
)
def test_the_network_cut_one_way(
    far: Callable[[], Database],
    pg_database: str,
    pg_proxy: Proxy,
    direction: str,
    *,
    keyed: bool,
    in_loop: bool,
) -> None:
    """Towards the server nothing happens any more; from it, what happened is not told."""
    with writing(far(), keyed=keyed, in_loop=in_loop) as writers:
        writers.more()
        pg_proxy.freeze(direction)
        beside(lambda: writers.errors)
        pg_proxy.cut()
        pg_proxy.thaw()
        writers.more()
    check(writers, pg_database, errors=SILENT)


@HOW
@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
def test_statements_and_sessions_are_killed(
    pg_server: PostgresServer, pg_database: str, how: str, *, keyed: bool, in_loop: bool
) -> None:
    prepare(pg_database)
    name = pg_database.rsplit("/", 1)[1]
    kill = (
        f"SELECT count({how}(pid)) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND application_name = 'shop'"
    )
    with Database.open(
        pg_database, pool=4, agent=None, operations=OPERATIONS, application="shop"
    ) as database:
        with writing(database, keyed=keyed, in_loop=in_loop) as writers:
            for _ in range(20):
                writers.more(3)
                pg_server.execute(kill)
            writers.more()
        lost = LOST if how == "pg_terminate_backend" else []
        check(writers, pg_database, errors=[*lost, "StatementCancelledError"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keyed", "in_loop"),
    [
        (False, False),
        pytest.param(True, False, marks=pytest.mark.long),
        pytest.param(True, True, marks=pytest.mark.long),
        pytest.param(False, True, marks=pytest.mark.long),
    ],
)
def test_the_server_restarts_and_crashes(
    pg_own_server: PostgresServer, *, keyed: bool, in_loop: bool
) -> None:
    url = pg_own_server.url()
    prepare(url)
    with Database.open(url, pool=4, agent=None, operations=OPERATIONS) as database:
        with writing(database, keyed=keyed, in_loop=in_loop) as writers:
            writers.more()
            pg_own_server.restart()
            writers.more()
            pg_own_server.kill()
            pg_own_server.start()
            writers.more()
        check(writers, url, errors=AWAY)


@HOW
def test_the_pooler_restarts(
    pg_server: PostgresServer, pg_database: str, *, keyed: bool, in_loop: bool
) -> None:
    prepare(pg_database)
    with (
        running_pgbouncer(pg_server, database="pool_size=2") as pooler,
        Database.open(
            pooler.url(pg_database), pool=4, agent=None, operations=OPERATIONS
        ) as database,
    ):
        with writing(database, keyed=keyed, in_loop=in_loop) as writers:
            for _ in range(3):
                writers.more()
                pooler.restart()
            writers.more()
        check(writers, pg_database, errors=AWAY)


def test_the_application_is_killed(url: str) -> None:
    """What it told of is there; what it did not may be."""
    with running("tests.faults.acknowledging", url) as process:
        process.ready()
        told = [process.line() for _ in range(200)]
        process.kill()
    wire = open_wire(url)
    found = [row[0] for row in wire.execute("SELECT text FROM note").rows]
    wire.close()
    assert len(found) == len(set(found))
    assert set(told) <= set(found)


BIG = Operation("note.add", "INSERT INTO note (text) VALUES (:text)", ("text",), write=True)


@contextlib.contextmanager
def full_soon(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Mount a small disk for the table; on PostgreSQL its server owns it."""
    with small_disk(tmp_path / "disk", kilobytes=4_000) as disk:
        if dialect == "postgresql" and os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(disk, user.pw_uid, user.pw_gid)
            for parent in [tmp_path, *tmp_path.parents]:
                if parent == Path(tempfile.gettempdir()):
                    break
                parent.chmod(0o755)
        yield disk


def filled(database: Database) -> int:
    """Write until the disk is full; return how often that went well."""
    for number in itertools.count():
        try:
            database.execute(BIG, {"text": os.urandom(20_000).hex()})
        except DiskFullError:
            return number
    raise AssertionError


async def full_in_a_loop(core: Database) -> None:
    database = AsyncDatabase(core)
    for _ in range(3):
        with pytest.raises(DiskFullError):
            await database.execute(BIG, {"text": os.urandom(200_000).hex()})
    database._threads.close()


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_disk_is_full(dialect: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with full_soon(dialect, tmp_path, request) as disk, contextlib.ExitStack() as stack:
        url = str(disk / "app.db")
        if dialect == "postgresql":
            server: PostgresServer = request.getfixturevalue("pg_server")
            server.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            stack.callback(server.execute, "DROP TABLESPACE small")
            name = server.create_database()
            stack.callback(server.drop_database, name)
            server.execute(f"ALTER DATABASE {name} SET default_tablespace = small")
            url = server.url(name)
        prepare(url)
        filler = disk / "filler"
        filler.write_bytes(b"x" * 2_000_000)
        with Database.open(url, pool=2, agent=None, operations=[BIG]) as database:
            acknowledged = filled(database)
            asyncio.run(full_in_a_loop(database))
            assert database.pool.in_use == 0
            with database.session() as session:
                assert session.execute("SELECT count(*) FROM note").scalar() == acknowledged
            filler.unlink()
            database.execute(BIG, {"text": "there is room again"})


def test_the_pool_is_exhausted(url: str) -> None:
    """Five hundred blocking callers on eight connections: each is served, or told who is not."""
    hurried, usual = ExecutionSettings(wait_ms=200), ExecutionSettings()  # to open one takes long

    def planner(operation: Operation, _: Caller) -> ExecutionSettings:
        return usual if operation.name.startswith("holder") else hurried

    with Database.open(url, pool=8, agent=None, operations=OPERATIONS, planner=planner) as database:
        with contextlib.ExitStack() as held:
            for number in range(8):
                held.enter_context(database.session(name=f"holder {number}"))
            with pytest.raises(PoolTimeoutError) as caught:
                database.execute("note.count")
            assert {name for name, _ in caught.value.holders} <= {f"holder {n}" for n in range(8)}
            assert database.pool.in_use == 8
        writers = Writers(database, keyed=False)
        names = [f"caller-{number}" for number in range(500)]
        threads = [
            threading.Thread(target=writers._write, args=(name,), daemon=True) for name in names
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        refused = {"PoolTimeoutError", "OverloadedError", "DatabaseLockedError"}
        check(writers, url, errors=[*refused])
        assert len(writers.acknowledged) + len(writers.refused) == 500
        assert writers.acknowledged


@pytest.mark.long
def test_a_frozen_backend_holds_nobody_up(pg_server: PostgresServer, pg_database: str) -> None:
    prepare(pg_database)
    with Database.open(
        pg_database, pool=2, agent=None, operations=OPERATIONS, planner=patient
    ) as database:
        lease = database.pool.acquire("look")
        pid = lease.wire.execute("SELECT pg_backend_pid()").scalar()
        database.pool.release(lease)
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGSTOP)
        try:
            with writing(database, keyed=True, count=3) as writers:
                beside(lambda: writers.errors)
                writers.more()
        finally:
            os.kill(pid, signal.SIGCONT)
        check(writers, pg_database, errors=SILENT)
