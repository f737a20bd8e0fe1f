"""The operator is down: the logbook speaks, and nobody decides."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from homeostat.cli.shapes import StatusReport
from homeostat.clock import ManualClock
from homeostat.logbook import Logbook
from homeostat.logbook.rows import DatabaseRow, Run
from tests.cli.stage import NOW, Run_, announce, finding, remedy, step
from tests.cli.test_failure import gone


@pytest.fixture
def logbook(data: Path) -> Path:
    """Write what an operator wrote two minutes ago."""
    path = data / "logbook.db"
    with Logbook.open(path, clock=ManualClock(time.time() - 120)) as book, book.write(None) as tx:
        tx.save_database(
            DatabaseRow(
                key="sqlite-1-2",
                dialect="sqlite",
                label="/srv/users.db",
                url="/srv/users.db",
                version="3.54.0",
                attached=NOW - 1000,
            )
        )
        found = tx.save_finding(finding(0))
        run = tx.save_run(
            Run(kind="remedy", version=1, database="sqlite-1-2", epoch=3, started=NOW - 190)
        )
        for number, name in ((1, "rehearse"), (2, "apply"), (3, "verify")):
            tx.save_step(msgspec.structs.replace(step(number, name), run=run.id))
        tx.save_remedy(remedy(0, finding=found.id, run=run.id))
        tx.save_remedy(remedy(0, state="waiting", run=None, applied=None, ended=None, verdict=""))
    announce(data, url="http://127.0.0.1:1", pid=gone())
    return path


def test_status_says_in_one_line_that_it_is_the_logbook_that_speaks(
    homeostat: Run_, data: Path, logbook: Path
) -> None:
    said = homeostat("status")
    assert said.code == 0, said.err
    first, second, *_ = said.out.splitlines()
    assert first.startswith("operator not running; this is what the logbook says, as of ")
    assert "2 min ago" in first
    assert "logbook" in second
    assert "1 healed, 0 reverted, 1 waiting for you" in said.out
    assert "8 of 8 connections in use" in said.out
    assert "unknown: no operator is running" in said.out
    assert said.out.splitlines()[-1] == f"next: homeostat up /srv/users.db --data {data}"


def test_json_marks_it_and_leaves_null_what_only_an_operator_knows(
    homeostat: Run_, logbook: Path
) -> None:
    report = msgspec.json.decode(homeostat("status", "--json").out, type=StatusReport)
    assert (report.state, report.pid, report.uptime_seconds) == ("logbook", None, None)
    assert "operator not running" in report.detail
    [database] = report.databases
    assert database.p99_ms is None
    assert database.unknown["p99_ms"]
    assert (database.healed, database.waiting) == (1, 1)


def test_remedies_are_listed_and_told_but_not_decided(
    homeostat: Run_, data: Path, logbook: Path
) -> None:
    listed = homeostat("remedy", "list")
    assert listed.out.startswith("operator not running")
    assert "waiting" in listed.out
    shown = homeostat("remedy", "show", "1")
    assert "median" in shown.out
    assert "next:" not in shown.out
    assert homeostat("remedy", "show", "1", "--json").json()["possible"] == []
    refused = homeostat("remedy", "approve", "2")
    assert refused.code == 1
    assert f"homeostat up /srv/users.db --data {data}" in refused.err
    assert homeostat("remedy", "show", "77").code == 1


def test_reading_leaves_the_logbook_as_it_was(homeostat: Run_, logbook: Path) -> None:
    before = logbook.read_bytes()
    homeostat("status")
    homeostat("remedy", "list")
    assert logbook.read_bytes() == before


def test_a_damaged_logbook_is_named(homeostat: Run_, logbook: Path) -> None:
    logbook.write_bytes(b"this is no database" * 500)
    said = homeostat("status")
    assert said.code == 1
    assert str(logbook) in said.err
    assert "Traceback" not in said.err


def test_without_operator_and_logbook_it_says_how_to_start(homeostat: Run_, data: Path) -> None:
    said = homeostat("status")
    assert said.code == 1
    assert f"homeostat up URL --data {data}" in said.err
    assert not any(data.iterdir())
