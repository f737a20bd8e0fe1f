"""A file that another program writes all the time: attach, observe, detach change nothing in it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.clock import SystemClock
from homeostat.driver import sqlite
from homeostat.main import Running, prepare_data, start
from tests.faults.victim import CONFIG
from tests.patience import line_of
from tests.servers import wait_until

WRITER = Path(__file__).with_name("writer.py")
ROUNDS = 5


def described(path: Path) -> dict[str, object]:
    wire = sqlite.connect(path, mode="foreign", readonly=True)
    try:
        asked = ("journal_mode", "schema_version", "user_version", "application_id", "page_size")
        found = {name: wire.execute(f"PRAGMA {name}").scalar() for name in asked}
        found["schema"] = wire.execute("SELECT name, sql FROM sqlite_schema ORDER BY 1").rows
        return found
    finally:
        wire.close()


def watch_for_a_while(operator: Running) -> None:
    key = operator.console.status().databases[0].key
    watch = operator.operator.find(key).watch
    subject = watch.view().subject()
    wait_until(lambda: watch.recent.last("sqlite.wal_bytes", subject), 10.0, "a health check")
    operator.console.detach(key, actor="test")


@pytest.mark.slow
def test_a_database_in_use_is_observed_without_a_trace(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    data = tmp_path / "data"
    prepare_data(data)
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        line_of(writer.stdout)
        before = described(path)
        for _ in range(ROUNDS):
            with ExitStack() as stack:
                operator = start(
                    data, url=str(path), config=CONFIG, clock=SystemClock(), stack=stack
                )
                watch_for_a_while(operator)
        writer.stdin.close()
        acknowledged = [int(line) for line in writer.stdout]
        assert writer.wait(10.0) == 0
    assert described(path) == before
    assert acknowledged, "it wrote all the time"
    wire = sqlite.connect(path, mode="foreign", readonly=True)
    rows = wire.execute("SELECT count(*), max(number) FROM row").rows[0]
    wire.close()
    assert rows == (acknowledged[-1] + 1, acknowledged[-1])
    names = {file.name.removeprefix("theirs.db") for file in tmp_path.glob("theirs.db*")}
    assert names <= {"", "-wal", "-shm"}
