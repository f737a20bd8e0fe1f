"""A streaming standby that falls behind is told on both of its ends, and the mend has it go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from homeostat.check.report import Finding
from homeostat.config import CheckConfig, Config
from tests.check import planting
from tests.servers import (
    PostgresServer,
    client_programs,
    running_server,
    spawn_as_postgres,
    versions,
    wait_until,
)

BEHIND_BYTES = 1_000_000
CONFIG = Config(check=CheckConfig(watch_seconds=0.0, replication_lag_bytes=BEHIND_BYTES))


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Run a standby that streams from a server."""
    standby = PostgresServer(version=primary.version)
    try:
        shutil.rmtree(standby.data)
        program = str(client_programs(primary.version) / "pg_basebackup")
        command = [program, "--pgdata", str(standby.data), "--write-recovery-conf",
                   "--wal-method=stream", "--checkpoint=fast", "--no-sync", "--dbname",
                   f"{primary.url()}?application_name=second"]  # fmt: skip
        environment = {**os.environ, "PGPASSWORD": primary.password}
        if spawn_as_postgres(command, log=standby.log, environment=environment).wait(60) != 0:
            raise RuntimeError(standby.log.read_text())
        standby.password = primary.password
        standby.start()
        streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: primary.execute(streams) == [(1,)], 30, "the standby to stream")
        yield standby
    finally:
        standby.remove()


def lag_at(server: PostgresServer) -> list[Finding]:
    report = planting.looked(server.url(), config=CONFIG)
    return [one for one in report.findings if one.rule == "replication_lag"]


@pytest.mark.long
@pytest.mark.parametrize("version", versions())
def test_a_standby_that_falls_behind_is_told_on_both_ends(version: str) -> None:
    with running_server(version=version) as primary, standby_of(primary) as standby:
        assert lag_at(primary) == []
        assert lag_at(standby) == []
        standby.execute("SELECT pg_wal_replay_pause()")
        primary.execute(
            "CREATE TABLE written AS SELECT i, md5(i::text) FROM generate_series(1, 50000) i"
        )
        behind = (
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) > {} FROM pg_stat_replication"
        )
        wait_until(
            lambda: primary.execute(behind.format(BEHIND_BYTES)) == [(True,)], 30, "it to be behind"
        )
        [told] = lag_at(primary)
        assert told.severity == "high"
        assert "second" in told.where
        [paused] = lag_at(standby)
        assert paused.what == "this standby does not replay: it is paused"
        planting.mend(paused, standby.execute)
        wait_until(lambda: lag_at(primary) == [], 30, "the standby to catch up")
        assert lag_at(standby) == []
