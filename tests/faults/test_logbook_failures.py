"""A logbook that fails: nothing is applied, the database is untouched, and a finding says why."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.clock import SystemClock
from homeostat.driver import sqlite
from homeostat.errors import LogbookCorruptError, LogbookNewerError
from homeostat.logbook import Logbook
from homeostat.main import Running, prepare_data, start
from homeostat.operate.own_findings import LOGBOOK_FAILING
from tests.faults.processes import running
from tests.faults.victim import CONFIG
from tests.servers import small_disk, wait_until

SECONDS = 60.0


def failing(operator: Running) -> bool:
    return any(f.rule == LOGBOOK_FAILING for f in operator.console.findings())


@pytest.mark.slow
def test_a_locked_logbook_stops_applying_until_it_is_free(
    sqlite_path: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    prepare_data(data)
    with ExitStack() as stack:
        operator = start(
            data, url=str(sqlite_path), config=CONFIG, clock=SystemClock(), stack=stack
        )
        wire = sqlite.connect(data / "logbook.db", mode="foreign")
        stack.callback(wire.close)
        wire.begin(write=True)
        application = stack.enter_context(
            running("tests.faults.application", str(sqlite_path), str(data))
        )
        application.ready()
        wait_until(lambda: failing(operator), SECONDS, "a finding about the logbook")
        assert operator.console.status().state == "logbook"
        assert operator.console.remedies() == []
        assert application.ask("limit") == "2"
        wire.rollback()
        wait_until(lambda: not failing(operator), SECONDS, "the logbook to work again")
        wait_until(operator.console.remedies, SECONDS, "the remedy that was held back")


@pytest.mark.slow
def test_a_full_disk_under_the_logbook_stops_applying_until_there_is_space(
    sqlite_path: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data", kilobytes=4_000) as data, ExitStack() as stack:
        operator = start(
            data, url=str(sqlite_path), config=CONFIG, clock=SystemClock(), stack=stack
        )
        filler = data / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        application = stack.enter_context(
            running("tests.faults.application", str(sqlite_path), str(data))
        )
        application.ready()
        wait_until(lambda: failing(operator), SECONDS, "a finding about the logbook")
        assert application.ask("limit") == "2"
        assert operator.console.remedies() == []
        filler.unlink()
        wait_until(lambda: not failing(operator), SECONDS, "the logbook to work again")
        wait_until(operator.console.remedies, SECONDS, "the remedy that was held back")


def test_a_newer_logbook_is_left_alone(sqlite_path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare_data(data)
    Logbook.open(data / "logbook.db", clock=SystemClock()).close()
    wire = sqlite.connect(data / "logbook.db")
    wire.execute("PRAGMA user_version = 9999")
    wire.close()
    before = sqlite_path.read_bytes()
    with ExitStack() as stack, pytest.raises(LogbookNewerError, match="newer Homeostat"):
        start(data, url=str(sqlite_path), config=CONFIG, clock=SystemClock(), stack=stack)
    assert sqlite_path.read_bytes() == before


def test_a_damaged_logbook_is_named_and_left_alone(sqlite_path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare_data(data)
    Logbook.open(data / "logbook.db", clock=SystemClock()).close()
    damaged = bytearray((data / "logbook.db").read_bytes())
    damaged[4096:8192] = b"\xff" * 4096
    (data / "logbook.db").write_bytes(damaged)
    before = sqlite_path.read_bytes()
    with ExitStack() as stack, pytest.raises(LogbookCorruptError):
        start(data, url=str(sqlite_path), config=CONFIG, clock=SystemClock(), stack=stack)
    assert sqlite_path.read_bytes() == before
    assert (data / "logbook.db").read_bytes() == bytes(damaged)
