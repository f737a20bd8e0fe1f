"""Planting problems in PostgreSQL, looking for them, and running the mends that are found."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import pytest

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Finding, Report
from homeostat.clock import SystemClock
from homeostat.config import CheckConfig, Config, MonitorConfig
from homeostat.driver import postgres
from homeostat.driver.tokens import COMMENT, tokens
from homeostat.errors import DatabaseError
from tests.check.planted import IN_A_SERVER, Planted
from tests.patience import joined
from tests.servers import (
    OURS,
    PostgresServer,
    client_programs,
    spawn_as_postgres,
    versions,
    wait_until,
)

VERSIONS = [  # what depends on the server's version, the newer one with the long tests
    pytest.param(one, marks=[] if one == OURS else [pytest.mark.long]) for one in versions()
]
DAYS_30 = 30 * 86_400.0
WATCH_SECONDS = 1.0
END_SECONDS = 30.0  # within which a thread of a test ends


class Later(SystemClock):
    """Real time, thirty days on: statistics seem to have counted for so long."""

    def now(self) -> float:
        return super().now() + DAYS_30


def spoil_database(server: PostgresServer, database: str, problems: Sequence[Planted]) -> None:
    """Plant the problems, run what an application would, and let it get worse."""
    server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", database=database)
    server.execute("CREATE SCHEMA planted", database=database)
    for problem in problems:
        run(server, database, problem.plant)
    load(server, database, problems)
    for problem in problems:
        run(server, database, problem.then)


def run(server: PostgresServer, database: str, statements: Sequence[str]) -> None:
    """Run statements; one that begins with `-` has to fail."""
    for statement in statements:
        # a session each: what one has counted arrives when it ends
        with suppress(DatabaseError) if statement[0] == "-" else nullcontext():
            server.execute(statement.removeprefix("-"), database=database)


def load(server: PostgresServer, database: str, problems: Sequence[Planted]) -> None:
    """Count statements anew, and run those that problems are about, as an application would."""
    statements = [statement for problem in problems for statement in problem.load]
    if not statements:
        return
    wire = postgres.connect(server.url(database))
    try:
        wire.execute("SELECT pg_stat_statements_reset()")
        for statement in statements:
            wire.execute(statement)
    finally:
        wire.close()


def look_at(server: PostgresServer, database: str, problems: Sequence[Planted]) -> Report:
    """Check a database while a statement that got slower goes on, if that is a problem of it."""
    slower = [one.load[-1] for one in problems if one.rule == "regressed_statement"]
    with repeated(server, database, slower[0]) if slower else nullcontext():
        return looked(server.url(database), watch=WATCH_SECONDS if slower else 0.0)


@contextmanager
def repeated(server: PostgresServer, database: str, statement: str) -> Iterator[None]:
    """Run a statement again and again while in the context."""
    stop = threading.Event()

    def run() -> None:
        wire = postgres.connect(server.url(database))
        try:
            while not stop.wait(0.02):
                wire.execute(statement)
        finally:
            wire.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)
        assert not thread.is_alive(), f"still running after {END_SECONDS:g} s: {statement}"


def looked(
    url: str,
    *,
    watch: float = 0.0,
    monitor: MonitorConfig | None = None,
    config: Config | None = None,
) -> Report:
    """Check as if statistics had counted for a month."""
    usual = Config(check=CheckConfig(watch_seconds=watch), monitor=monitor or MonitorConfig())
    return DatabaseCheck(config or usual, clock=Later()).run(url)


def finds(report: Report, problem: Planted) -> Finding | None:
    """Return the finding that is the planted problem, with its mend; None: it was not found."""
    for one in report.findings:
        named = one.rule == problem.rule and problem.where in one.where
        if named and problem.mend in one.mend_sql:
            return one
    return None


def mend(finding: Finding, execute: Callable[[str], object]) -> None:
    """Run a finding's SQL, statement by statement, as it is printed."""
    statement = ""
    for token in tokens(finding.mend_sql):
        if token.kind == COMMENT:
            continue
        if token.text == ";":
            execute(statement)
            statement = ""
        else:
            statement += token.text
    assert not statement.strip(), "a statement without its semicolon"


@contextmanager
def sessions_in_trouble(server: PostgresServer, database: str) -> Iterator[None]:
    """Keep sessions in the context that wait, sleep and forget to end their transaction."""
    wires: list[postgres.PostgresWire] = []
    threads = []

    def session(*statements: str, wait: bool = True) -> None:
        wire = postgres.connect(server.url(database))
        wires.append(wire)

        def run() -> None:
            with suppress(DatabaseError):
                for statement in statements:
                    wire.execute(statement)

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        if wait:
            joined(thread)

    server.execute("CREATE TABLE locked (id int PRIMARY KEY, value int)", database=database)
    server.execute("INSERT INTO locked VALUES (1, 1)", database=database)
    quiet = "WITH (autovacuum_enabled = off)"
    server.execute(f"CREATE TABLE held (id int PRIMARY KEY) {quiet}", database=database)
    server.execute("INSERT INTO held SELECT generate_series(1, 40000)", database=database)
    session("BEGIN ISOLATION LEVEL REPEATABLE READ", "UPDATE locked SET value = 2")
    server.execute("DELETE FROM held WHERE id % 2 = 0", database=database)
    session("BEGIN", "CREATE TABLE promised (id int)", "PREPARE TRANSACTION 'it''s gone'")
    for _ in range(5):
        session("UPDATE locked SET value = 3", wait=False)
    session("SELECT pg_sleep(120)", wait=False)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_until(lambda: server.execute(waiting) == [(5,)], what="five sessions to wait")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_until(lambda: server.execute(sleeping) == [(1,)], what="a statement to sleep")
    dead = "SELECT n_dead_tup >= 20000 FROM pg_stat_user_tables WHERE relname = 'held'"
    wait_until(lambda: server.execute(dead, database=database) == [(True,)], what="dead rows")
    try:
        yield
    finally:
        for wire in wires:
            wire.cancel()
        for wire, thread in zip(wires, threads, strict=True):
            joined(thread)
            wire.close()


IMPATIENT = MonitorConfig(
    idle_transaction_seconds=0.01, long_query_seconds=0.01, lock_wait_seconds=0.01
)


def age(server: PostgresServer) -> None:
    """Have the stopped server go on with ids that are 60 % of the way to their end."""
    ids = 1_300_000_000
    clog, offsets = ids // 2**20, ids // 2**16
    program = str(client_programs(server.version) / "pg_resetwal")
    words = ["-x", str(ids), "-m", f"{ids},1", "-D", str(server.data)]
    log = server.directory / "resetwal.log"
    if spawn_as_postgres([program, *words], log=log).wait(30) != 0:
        raise RuntimeError(log.read_text())
    for directory, number in (("pg_xact", clog), ("pg_multixact/offsets", offsets)):
        path = server.data / directory / f"{number:04X}"
        path.write_bytes(bytes(262_144))
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")


@contextmanager
def server_to_spoil(version: str = OURS) -> Iterator[PostgresServer]:
    """Run a server whose settings problems may change; its archive works at first."""
    settings = {"max_prepared_transactions": "5", "archive_mode": "on"}
    server = PostgresServer(version=version, settings=settings)
    server.settings.pop("fsync")  # the command line would win over the mend
    try:
        server.start()
        server.execute("ALTER SYSTEM SET archive_command = '/bin/true'")
        server.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.remove()


LOCAL = "host all all 127.0.0.1/32 scram-sha-256"


def spoil(server: PostgresServer) -> None:
    """Plant the problems of a server, and wait until the archive has failed."""
    server.set_access("host all all 10.0.0.0/8 trust", LOCAL)
    for problem in IN_A_SERVER:
        for statement in problem.plant:
            server.execute(statement)
    failing = "SELECT failed_count > 0 FROM pg_stat_archiver"
    wait_until(lambda: server.execute(failing) == [(True,)], 60, "the archive to fail")


def restore(server: PostgresServer, report: Report) -> None:
    """Mend a server: the SQL of the findings, and the lines that they leave to a person."""
    server.execute("ALTER SYSTEM RESET archive_command")
    server.set_access(LOCAL)
    # first what commits wait for, so that the others can
    for one in sorted(report.findings, key=lambda one: one.rule != "replication_lag"):
        mend(one, server.execute)
    settled = "SELECT current_setting('fsync') = 'on' AND failed_count = 0 FROM pg_stat_archiver"
    wait_until(lambda: server.execute(settled) == [(True,)], what="the settings to be read")


def wait_for_rest(server: PostgresServer, database: str) -> None:
    """Wait until no session of a database does anything."""
    ended = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    busy = f"{ended} AND state <> 'idle' AND pid <> pg_backend_pid()"
    wait_until(lambda: server.execute(busy, database=database) == [(0,)], what="all to end")


def freeze(server: PostgresServer, report: Report) -> None:
    """Run what a report says of old ids, in every database."""
    server.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")  # autovacuum needs none
    for one in report.findings:
        if one.rule in {"transaction_ids", "multixact_ids"}:
            for database in ("postgres", "template1", "template0"):
                mend(one, partial(server.execute, database=database))
