from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.measure import Unknown
from tests.monitor.stage import ward
from tests.servers import PostgresServer


@pytest.mark.slow
def test_a_stopped_server_is_found_at_once_and_its_return_too(
    tmp_path: Path, pg_own_server: PostgresServer
) -> None:
    with ward(tmp_path / "data", pg_own_server.url()) as one:
        one.tick("health")
        one.tick()
        assert one.open("unreachable") is None
        pg_own_server.stop()
        one.tick("health")
        one.tick()
        found = one.open("unreachable")
        assert found is not None
        assert found.severity == "critical"
        assert "Nothing listens at this address" in found.what
        assert "last answered" in found.what
        assert pg_own_server.password not in found.what + str(found.evidence)
        assert one.reading("database.answered_share") == 0.0
        assert isinstance(one.reading("postgresql.connections_used"), Unknown)
        pg_own_server.start()
        one.tick()
        assert one.open("unreachable") is None
        one.tick("health")
        assert one.reading("database.answered_share") == 1.0


def test_a_file_that_is_gone_is_unreachable_with_what_to_do(
    tmp_path: Path, sqlite_path: Path
) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick()
        sqlite_path.rename(tmp_path / "away.db")
        one.tick()
        found = one.open("unreachable")
        assert found is not None
        assert str(sqlite_path) in found.what
        (tmp_path / "away.db").rename(sqlite_path)
        one.tick()
        assert one.open("unreachable") is None


def test_an_open_finding_stays_while_nothing_can_be_read(tmp_path: Path, sqlite_path: Path) -> None:
    from homeostat.driver import sqlite

    wire = sqlite.connect(sqlite_path)
    wire.execute("PRAGMA journal_mode = DELETE")
    wire.close()
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick("health")
        assert one.open("weak-setting") is not None
        sqlite_path.rename(tmp_path / "away.db")
        one.tick("health", times=5)
        assert one.open("weak-setting") is not None
