"""Problems planted in PostgreSQL, each with the rule that has to find it and its mend.

The tests and `bench.check` share them. What only needs SQL is here as data; problems of sessions,
files and whole servers are planted by functions.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Finding, Report
from homeostat.clock import SystemClock
from homeostat.config import CheckConfig, Config, MonitorConfig
from homeostat.driver import postgres
from homeostat.driver.tokens import COMMENT, tokens
from homeostat.errors import DatabaseError
from tests.servers import OURS, PostgresServer, spawn_as_postgres, wait_until

DAYS_30 = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Planted:
    """A problem.

    Attributes:
        name: unique among all.
        rule: has to find it.
        where: stands in the finding's `where`.
        mend: stands in its `mend_sql`.
        plant: statements that make it.
        load: statements that are run again after mending, when statistics have been reset.
    """

    name: str
    rule: str
    where: str
    mend: str
    plant: Sequence[str] = ()
    load: Sequence[str] = ()


class Later(SystemClock):
    """Real time, thirty days on: statistics seem to have counted for so long."""

    def now(self) -> float:
        return super().now() + DAYS_30


SCANS = ("SELECT total FROM planted.orders WHERE customer = '42'",) * 60
SORTS = ("SELECT count(*) FROM (SELECT * FROM planted.words ORDER BY word OFFSET 1) w",) * 51
_QUIET = "WITH (autovacuum_enabled = off)"

IN_A_DATABASE: tuple[Planted, ...] = (
    Planted(
        "unused index",
        "index_unused",
        "planted.unused_note",
        "DROP INDEX CONCURRENTLY planted.unused_note;",
        [
            "CREATE TABLE planted.unused (id int PRIMARY KEY, note text)",
            "INSERT INTO planted.unused SELECT i, md5(i::text) FROM generate_series(1, 30000) i",
            "CREATE INDEX unused_note ON planted.unused (note)",
            "ANALYZE planted.unused",
        ],
    ),
    Planted(
        "index twice",
        "index_duplicate",
        'planted."Twice again"',
        'DROP INDEX CONCURRENTLY planted."Twice again";',
        [
            'CREATE TABLE planted."Twice" (id int PRIMARY KEY, "When" timestamptz)',
            'CREATE INDEX twice_when ON planted."Twice" ("When" DESC)',
            'CREATE INDEX "Twice again" ON planted."Twice" ("When" DESC)',
        ],
    ),
    Planted(
        "index that another begins with",
        "index_duplicate",
        "planted.prefix_a",
        "DROP INDEX CONCURRENTLY planted.prefix_a;",
        [
            "CREATE TABLE planted.prefix (id int PRIMARY KEY, a int, b int)",
            "CREATE INDEX prefix_a ON planted.prefix (a)",
            "CREATE INDEX prefix_a_b ON planted.prefix (a, b)",
        ],
    ),
    Planted(
        "invalid index",
        "index_invalid",
        "planted.invalid_value",
        "REINDEX INDEX CONCURRENTLY planted.invalid_value;",
        [
            "CREATE TABLE planted.invalid (id int PRIMARY KEY, value int)",
            "INSERT INTO planted.invalid VALUES (1, 1), (2, 1)",
            "-CREATE UNIQUE INDEX CONCURRENTLY invalid_value ON planted.invalid (value)",
            "DELETE FROM planted.invalid WHERE id = 2",
        ],
    ),
    Planted(
        "bloated index",
        "index_bloat",
        "planted.bloated_pkey",
        "REINDEX INDEX CONCURRENTLY planted.bloated_pkey;",
        [
            "CREATE TABLE planted.bloated (id text PRIMARY KEY, value int)",
            (
                "INSERT INTO planted.bloated"
                " SELECT lpad(i::text, 80, '0'), i FROM generate_series(1, 150000) i"
            ),
            "DELETE FROM planted.bloated WHERE value % 10 <> 0",
            "VACUUM (ANALYZE) planted.bloated",
        ],
    ),
    Planted(
        "bloated table", "table_bloat", "planted.bloated", "VACUUM (FULL, ANALYZE) planted.bloated;"
    ),
    Planted(
        "missing index",
        "missing_index",
        'planted.orders ("customer")',
        'ON planted.orders ("customer")',
        [
            "CREATE TABLE planted.orders (id int PRIMARY KEY, customer text, total int)",
            (
                "INSERT INTO planted.orders"
                " SELECT i, (i % 9000)::text, i FROM generate_series(1, 60000) i"
            ),
            "ANALYZE planted.orders",
        ],
        SCANS,
    ),
    Planted(
        "sorts that go to disk",
        "slow_statement",
        "statement ",
        "SET work_mem = ",
        [
            "CREATE TABLE planted.words (id int PRIMARY KEY, word text)",
            "INSERT INTO planted.words SELECT i, md5(i::text) FROM generate_series(1, 100000) i",
            "ANALYZE planted.words",
        ],
        SORTS,
    ),
    Planted(
        "stale statistics",
        "stale_statistics",
        "planted.stale",
        "ANALYZE planted.stale;",
        [
            f"CREATE TABLE planted.stale (id int PRIMARY KEY, value int) {_QUIET}",
            "ANALYZE planted.stale",
            "INSERT INTO planted.stale SELECT i, i FROM generate_series(1, 20000) i",
        ],
    ),
    Planted(
        "dead rows",
        "vacuum_debt",
        "planted.dead",
        "VACUUM (ANALYZE) planted.dead;",
        [
            f"CREATE TABLE planted.dead (id int PRIMARY KEY, value int) {_QUIET}",
            "INSERT INTO planted.dead SELECT i, i FROM generate_series(1, 50000) i",
            "ANALYZE planted.dead",
            "DELETE FROM planted.dead WHERE id % 2 = 0",
        ],
    ),
    Planted(
        "sequence at its end",
        "sequence_near_end",
        "planted.ending_id_seq",
        "ALTER TABLE planted.ending ALTER COLUMN id TYPE bigint;",
        [
            "CREATE TABLE planted.ending (id serial PRIMARY KEY)",
            "SELECT setval('planted.ending_id_seq', 2000000000)",
        ],
    ),
    Planted(
        "identity at its end",
        "sequence_near_end",
        "planted.short_id_seq",
        "ALTER TABLE planted.short ALTER COLUMN id TYPE bigint;",
        [
            "CREATE TABLE planted.short (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
            "SELECT setval('planted.short_id_seq', 30000)",
        ],
    ),
    Planted(
        "foreign key without index",
        "foreign_key_without_index",
        "planted.child (parent_id)",
        "ON planted.child (parent_id);",
        [
            "CREATE TABLE planted.parent (id int PRIMARY KEY)",
            "INSERT INTO planted.parent SELECT generate_series(1, 100)",
            (
                "CREATE TABLE planted.child (id int PRIMARY KEY, parent_id int"
                " REFERENCES planted.parent)"
            ),
            "INSERT INTO planted.child SELECT i, 1 + i % 100 FROM generate_series(1, 12000) i",
            "ANALYZE planted.child",
        ],
    ),
    Planted(
        "table without primary key",
        "no_primary_key",
        "planted.keyless",
        "ADD PRIMARY KEY USING INDEX keyless_code;",
        [
            "CREATE TABLE planted.keyless (code int NOT NULL, note text)",
            "INSERT INTO planted.keyless SELECT i, 'x' FROM generate_series(1, 2000) i",
            "CREATE UNIQUE INDEX keyless_code ON planted.keyless (code)",
            "ANALYZE planted.keyless",
        ],
    ),
    Planted(
        "constraint not validated",
        "constraint_not_validated",
        "planted.unproven",
        "VALIDATE CONSTRAINT positive;",
        [
            "CREATE TABLE planted.unproven (id int PRIMARY KEY, value int)",
            "ALTER TABLE planted.unproven ADD CONSTRAINT positive CHECK (value > 0) NOT VALID",
        ],
    ),
    Planted(
        "schema open to all",
        "public_grant",
        "planted",
        "REVOKE CREATE ON SCHEMA planted FROM PUBLIC;",
        ["GRANT CREATE ON SCHEMA planted TO PUBLIC"],
    ),
    Planted(
        "table open to all",
        "public_grant",
        "planted.open",
        "REVOKE ALL ON planted.open FROM PUBLIC;",
        [
            "CREATE TABLE planted.open (id int PRIMARY KEY)",
            "GRANT SELECT, UPDATE ON planted.open TO PUBLIC",
        ],
    ),
    Planted(
        "function with its owner's rights",
        "security_definer",
        "planted.whoami(integer)",
        "SET search_path = pg_catalog, planted, pg_temp;",
        [
            (
                "CREATE FUNCTION planted.whoami(int) RETURNS text LANGUAGE sql SECURITY DEFINER"
                " AS 'SELECT current_user::text'"
            ),
        ],
    ),
    Planted(
        "statement that got slower",
        "regressed_statement",
        "statement ",
        "ANALYZE planted.marks;",
        [
            f"CREATE TABLE planted.marks (id int PRIMARY KEY, flag int) {_QUIET}",
            "INSERT INTO planted.marks SELECT i, i % 2 FROM generate_series(200001, 201000) i",
            "CREATE INDEX marks_flag ON planted.marks (flag)",
            "ANALYZE planted.marks",
        ],
    ),
)
REGRESSING = "SELECT id FROM planted.marks WHERE flag = 1 ORDER BY id LIMIT 1"
# its statistics say that every second row of the order fits: now none of the first 200,000 does
REGRESS = "INSERT INTO planted.marks SELECT i, 0 FROM generate_series(1, 200000) i"


def plant(server: PostgresServer, database: str, problems: Sequence[Planted]) -> None:
    """Plant the problems; a statement that begins with `-` is one that has to fail."""
    server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", database=database)
    server.execute("CREATE SCHEMA planted", database=database)
    for problem in problems:
        for statement in problem.plant:
            # a session each: what one has counted arrives when it ends
            with suppress(DatabaseError) if statement[0] == "-" else nullcontext():
                server.execute(statement.removeprefix("-"), database=database)


def load(server: PostgresServer, database: str, problems: Sequence[Planted]) -> None:
    """Count statements anew, and run those that problems are about, as an application would."""
    wire = postgres.connect(server.url(database))
    try:
        wire.execute("SELECT pg_stat_statements_reset()")
        for problem in problems:
            for statement in problem.load:
                wire.execute(statement)
        for _ in range(60):
            wire.execute(REGRESSING)
    finally:
        wire.close()


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
        thread.join()


def looked(url: str, *, watch: float = 0.0, monitor: MonitorConfig | None = None) -> Report:
    """Check as if statistics had counted for a month."""
    config = Config(
        check=CheckConfig(watch_seconds=watch), monitor=monitor or MonitorConfig()
    )  # fmt: skip
    return DatabaseCheck(config, clock=Later()).run(url)


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


def _set(name: str, value: str, rule: str) -> Planted:
    return Planted(
        f"{name} = {value}",
        rule,
        name,
        f"ALTER SYSTEM SET {name} = ",
        [f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()"],
    )


IN_A_SERVER: tuple[Planted, ...] = (
    _set("fsync", "off", "unsafe_setting"),
    _set("full_page_writes", "off", "unsafe_setting"),
    _set("autovacuum", "off", "unsafe_setting"),
    _set("work_mem", "8GB", "machine_setting"),
    _set("effective_cache_size", "1MB", "machine_setting"),
    _set("password_encryption", "md5", "encryption"),
    Planted(
        "superuser",
        "superuser_login",
        '"All Powers"',
        'ALTER ROLE "All Powers" NOSUPERUSER;',
        ["""CREATE ROLE "All Powers" LOGIN SUPERUSER PASSWORD 'x'"""],
    ),
    Planted(
        "slot that nobody reads",
        "replication_slot",
        "gone",
        "SELECT pg_drop_replication_slot('gone');",
        ["SELECT pg_create_physical_replication_slot('gone', true)"],
    ),
    Planted(
        "checkpoints by WAL",
        "checkpoints",
        "max_wal_size",
        "ALTER SYSTEM SET max_wal_size = ",
        ["CHECKPOINT"] * 25,
    ),
    Planted(
        "archive that fails",
        "archiving",
        "archive_command",
        "pg_stat_reset_shared('archiver');",
        [
            "ALTER SYSTEM SET archive_command = '/bin/false'",
            "SELECT pg_reload_conf()",
            "CREATE TABLE written (id int PRIMARY KEY)",
            "SELECT pg_switch_wal()",
        ],
    ),
    Planted(
        "standby that commits wait for",
        "replication_lag",
        "synchronous_standby_names",
        "ALTER SYSTEM SET synchronous_standby_names = '';",
        [
            "ALTER SYSTEM SET synchronous_standby_names = 'missing'",
            "SELECT pg_reload_conf()",
        ],
    ),
)
IN_FILES = Planted("trust", "client_authentication", "pg_hba.conf:2", "scram-sha-256")
IN_SESSIONS: tuple[Planted, ...] = (
    Planted("idle transaction", "idle_in_transaction", "pid ", "SELECT pg_terminate_backend("),
    Planted("lock chain", "lock_chain", "pid ", "SELECT pg_terminate_backend("),
    Planted("long statement", "long_statement", "pid ", "SELECT pg_cancel_backend("),
    Planted("prepared", "prepared_transaction", "it's gone", "ROLLBACK PREPARED 'it''s gone';"),
    Planted("held vacuum", "vacuum_debt", "public.held", "SELECT pg_terminate_backend("),
)
IN_THE_IDS: tuple[Planted, ...] = (
    Planted("transaction ids", "transaction_ids", "postgres", "VACUUM (FREEZE);"),
    Planted("multixact ids", "multixact_ids", "postgres", "VACUUM (FREEZE);"),
)


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
            thread.join()

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
            thread.join()
            wire.close()


IMPATIENT = MonitorConfig(
    idle_transaction_seconds=0.01, long_query_seconds=0.01, lock_wait_seconds=0.01
)


def age(server: PostgresServer) -> None:
    """Have the stopped server go on with ids that are 60 % of the way to their end."""
    ids = 1_300_000_000
    clog, offsets = ids // 2**20, ids // 2**16
    program = str(server.bin / "pg_resetwal")
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
