"""A streaming replica of a test's server, whose replay can be held up."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers import (
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    PostgresServer,
    free_port,
    postgres_directory,
    spawn_as_postgres,
    wait_until,
)


@contextlib.contextmanager
def running_replica(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Run a replica in the context; it answers as its primary does, with the same password."""
    directory = postgres_directory("homeostat-replica-")
    one = object.__new__(PostgresServer)
    one.bin, one.password, one.directory = primary.bin, primary.password, directory
    one.port, one.data, one.log = free_port(), directory / "data", directory / "log"
    one.settings = {
        **primary.settings,
        "port": str(one.port),
        "unix_socket_directories": str(directory),
        "hot_standby": "on",
    }
    one._process = None
    _copy(primary, one.data, one.log)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _copy(primary: PostgresServer, data: Path, log: Path) -> None:
    command = [
        str(primary.bin / "pg_basebackup"), "--pgdata", str(data), "--write-recovery-conf",
        "--checkpoint=fast", "--wal-method=stream", "--host", "127.0.0.1",
        "--port", str(primary.port), "--username", "postgres", "--no-sync",
    ]  # fmt: skip
    environment = {**os.environ, "PGPASSWORD": primary.password}
    process: subprocess.Popen[bytes] = spawn_as_postgres(command, log=log, environment=environment)
    if process.wait(START_SECONDS_MAX) != 0:
        raise RuntimeError(log.read_text())


def caught_up(primary: PostgresServer, replica: PostgresServer) -> None:
    """Wait until the replica has all of the primary."""
    place = primary.execute("SELECT pg_current_wal_insert_lsn()")[0][0]
    seen = f"SELECT pg_last_wal_replay_lsn() >= '{place}'"
    wait_until(lambda: replica.execute(seen) == [(True,)], STOP_SECONDS_MAX)
