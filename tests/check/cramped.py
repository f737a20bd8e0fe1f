"""A server that does not fit its machine, and whose settings were left as they came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from homeostat.check.report import Report
from homeostat.config import CheckConfig, Config, MonitorConfig
from homeostat.driver import postgres
from tests.check import planting
from tests.check.planted import Planted
from tests.check.planting import run
from tests.driver.test_postgres_errors import self_signed
from tests.servers import NEWEST, PostgresServer, client_programs, spawn_as_postgres

MEMORY_BYTES = 512 * 1024**2
CLIENTS_MAX = 4
# thresholds for databases that are too small to matter, and a disk that is far from full
CONFIG = Config(
    check=CheckConfig(watch_seconds=0.0, database_bytes_min=1),
    monitor=MonitorConfig(disk_share_warning=1e-6),
)

PROBLEMS: tuple[Planted, ...] = (
    Planted(
        "buffers larger than the memory",
        "machine_setting",
        "shared_buffers",
        "ALTER SYSTEM SET shared_buffers = '128MB';",
        ["ALTER SYSTEM SET shared_buffers = '400MB'"],
    ),
    Planted(
        "cache larger than the memory",
        "machine_setting",
        "effective_cache_size",
        "ALTER SYSTEM SET effective_cache_size = '400MB';",  # no less than shared_buffers
    ),
    Planted(
        "cost of a spinning disk",
        "machine_setting",
        "random_page_cost",
        "ALTER SYSTEM SET random_page_cost = 1.1;",
    ),
    Planted("no TLS", "encryption", "ssl", "ALTER SYSTEM SET ssl = on;"),
    Planted("no checksums", "checksums", "data_checksums", "pg_checksums --enable"),
    Planted("no archive", "archiving", "archive_mode", "ALTER SYSTEM SET archive_mode = on;"),
    Planted(
        "setting that waits",
        "pending_restart",
        "max_wal_senders",
        "ALTER SYSTEM RESET max_wal_senders;",
        then=["ALTER SYSTEM SET max_wal_senders = 7", "SELECT pg_reload_conf()"],
    ),
    Planted("full disk", "disk_nearly_full", "/", "-- Free space on the disk"),
    Planted(
        "connections used up",
        "connections",
        "database postgres",
        "SELECT pg_terminate_backend(pid)",
    ),
    Planted(
        "reads that miss the buffers",
        "cache_hits",
        "shared_buffers",
        "ALTER SYSTEM SET shared_buffers = ",
        [
            "CREATE TABLE cold (id int PRIMARY KEY, text text)",
            "INSERT INTO cold SELECT i, repeat('x', 1800) FROM generate_series(1, 8000) i",
            "VACUUM (ANALYZE) cold",
        ],
        then=["SELECT pg_stat_reset()", "SELECT count(text) FROM cold"],
    ),
    Planted(
        "scans that no statement explains",
        "sequential_scans",
        "public.scanned",
        "CREATE EXTENSION",
        [
            "CREATE TABLE scanned (id int PRIMARY KEY, a int)",
            "INSERT INTO scanned SELECT i, i FROM generate_series(1, 20000) i",
            "VACUUM (ANALYZE) scanned",
        ],
        then=["DO $$ BEGIN FOR i IN 1..60 LOOP PERFORM FROM scanned WHERE a = i; END LOOP; END $$"],
    ),
)


def small_machine(directory: Path) -> None:
    """Write what the system would say of a machine with little memory and no spinning disk."""
    (directory / "memory.max").write_text(f"{MEMORY_BYTES}\n")
    queue = directory / "block" / "vda" / "queue"
    queue.mkdir(parents=True)
    (queue / "rotational").write_text("0\n")


def set_checksums(server: PostgresServer, how: str) -> None:
    """Turn checksums of the stopped server on or off."""
    program = str(client_programs(server.version) / "pg_checksums")
    command = [program, how, "--no-sync", "--pgdata", str(server.data)]
    if spawn_as_postgres(command, log=server.log).wait(60) != 0:
        raise RuntimeError(server.log.read_text())


@contextmanager
def cramped_server(version: str) -> Iterator[PostgresServer]:
    """Run a server with all of it; nothing listens at the address that no machine has."""
    settings = {"listen_addresses": "127.0.0.1,192.0.2.1"}
    server = PostgresServer(version=version, settings=settings, max_connections=20)
    try:
        if version == NEWEST:  # from 18 on initdb turns them on
            set_checksums(server, "--disable")
        server.start()
        for problem in PROBLEMS:
            run(server, "postgres", problem.plant)
        server.restart()
        for problem in PROBLEMS:
            run(server, "postgres", problem.then)
        yield server
    finally:
        server.remove()


@contextmanager
def clients(server: PostgresServer) -> Iterator[None]:
    """Take all the connections that the database allows."""
    server.execute(f"ALTER DATABASE postgres CONNECTION LIMIT {CLIENTS_MAX}")
    with ExitStack() as stack:
        for _ in range(CLIENTS_MAX):
            stack.callback(postgres.connect(server.url()).close)
        yield


def amended(server: PostgresServer, report: Report) -> None:
    """Run the SQL of the findings, and do what their comments leave to a person."""
    self_signed(server.data)  # for ssl
    for one in report.findings:
        if one.rule not in {"cache_hits", "connections"}:  # another mend; nobody waited 10 minutes
            planting.mend(one, server.execute)
    run(server, "postgres", ["ALTER SYSTEM RESET max_wal_senders", "SELECT pg_reload_conf()"])
    run(server, "postgres", ["CREATE INDEX ON scanned (a)", "VACUUM scanned"])
    server.stop()
    set_checksums(server, "--enable")
    server.start()
    read = "SELECT count(text) FROM cold"
    run(server, "postgres", [read, "SELECT pg_stat_reset()", read, read])
