"""What happens to the logbook when disk, file or process fail: a named error, nothing half."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from homeostat.clock import ManualClock, SystemClock
from homeostat.errors import (
    LogbookCorruptError,
    LogbookError,
    LogbookFullError,
    LogbookLockedError,
)
from homeostat.logbook import Logbook
from tests.logbook.making import PAGE, child, fill, finding, owner, said, tell


def test_a_full_disk_writes_nothing_and_heals_without_restart(
    small_disk: Path, clock: ManualClock
) -> None:
    with Logbook.open(small_disk / "logbook.db", clock=clock) as logbook:
        tenure = logbook.claim("scope", owner(), lease_seconds=15)
        with logbook.write(tenure) as tx:
            tx.save_finding(finding())
            tx.audit(actor="", action="before", database="", subject="", detail={})
        ballast = fill(small_disk)
        failures = 0
        for _ in range(30):  # the -wal file may have room for some more at first
            try:
                with logbook.write(tenure) as tx:
                    tx.save_finding(finding(evidence={"big": "x" * 20_000}))
                    tx.audit(actor="", action="more", database="", subject="", detail={})
            except LogbookFullError:
                failures += 1
        assert failures >= 5
        assert len(logbook.findings()) == 31 - failures  # reading goes on
        assert logbook.verify_audit() == 31 - failures
        ballast.unlink()
        with logbook.write(logbook.renew(tenure, lease_seconds=15)) as tx:
            tx.save_finding(finding(evidence={"big": "x" * 20_000}))
        assert len(logbook.findings()) == 32 - failures


def test_no_space_to_begin_is_named(small_disk: Path, clock: ManualClock) -> None:
    fill(small_disk)
    with pytest.raises(LogbookError) as failed:
        Logbook.open(small_disk / "logbook.db", clock=clock)
    assert isinstance(failed.value, LogbookFullError), failed.value


def test_another_program_that_locks_it_is_waited_for_then_named(
    path: Path, logbook: Logbook
) -> None:
    with child("locker", path) as locker:
        assert said(locker) == "locked"
        with pytest.raises(LogbookLockedError, match=str(locker.pid)), logbook.write(None):
            pass
        assert logbook.findings() == []  # readers are not in its way
        tell(locker, "let go")
        assert said(locker) == "released"
        with logbook.write(None) as tx:
            tx.save_finding(finding())
    assert len(logbook.findings()) == 1


def filled(path: Path, clock: ManualClock) -> int:
    """Make a logbook of some size; return its pages."""
    with Logbook.open(path, clock=clock) as logbook, logbook.write(None) as tx:
        for number in range(400):
            tx.save_finding(finding(what=f"finding {number} " + "x" * 300))
            tx.audit(actor="", action="", database="", subject=str(number), detail={})
    return path.stat().st_size // PAGE


def overwrite(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def test_a_damaged_file_is_named_on_opening_and_left_as_it_is(
    path: Path, clock: ManualClock
) -> None:
    pages = filled(path, clock)
    whole = path.read_bytes()
    for page in {1, 2, pages // 4, pages // 2, pages}:
        path.write_bytes(whole)
        overwrite(path, page)
        damaged = path.read_bytes()
        with pytest.raises(LogbookCorruptError, match="Move it away"):
            Logbook.open(path, clock=clock)
        assert path.read_bytes() == damaged
    path.write_bytes(whole)
    with Logbook.open(path, clock=clock) as logbook:
        assert logbook.verify_audit() == 400


def test_text_in_place_of_a_logbook_is_named(path: Path, clock: ManualClock) -> None:
    path.write_text("this is no database, and it is longer than a header " * 20)
    with pytest.raises(LogbookCorruptError):
        Logbook.open(path, clock=clock)


def test_a_damaged_row_is_named_when_it_is_read(path: Path, clock: ManualClock) -> None:
    filled(path, clock)
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"what":"finding 7 ', b'"wh\xc3\xa4":"finding 7 '))
    with Logbook.open(path, clock=clock) as logbook:
        with pytest.raises(LogbookCorruptError, match="findings 8"):
            logbook.finding(8)
        assert logbook.finding(9).id == 9


def test_damage_while_in_use_writes_nothing_more(path: Path, clock: ManualClock) -> None:
    filled(path, clock)
    with Logbook.open(path, clock=clock) as logbook:
        for page in range(2, path.stat().st_size // PAGE + 1):
            overwrite(path, page)
        with pytest.raises(LogbookCorruptError):
            logbook.findings()
        damaged = path.read_bytes()
        with pytest.raises(LogbookCorruptError), logbook.write(None) as tx:
            tx.save_finding(finding())  # though the writer has sound pages in memory
    assert path.read_bytes() == damaged


def test_a_logbook_moved_away_is_refused_until_it_is_back(
    path: Path, logbook: Logbook, tmp_path: Path
) -> None:
    with logbook.write(None) as tx:
        tx.save_finding(finding())
    aside = tmp_path / "aside.db"
    path.rename(aside)
    with pytest.raises(LogbookCorruptError, match="moved"), logbook.write(None):
        pass
    shutil.copy(aside, path)  # a copy is not the file that others may hold
    with pytest.raises(LogbookCorruptError, match="moved"), logbook.write(None):
        pass
    aside.rename(path)
    with logbook.write(None) as tx:
        tx.save_finding(finding())
    assert len(logbook.findings()) == 2


def test_an_error_of_the_managed_database_stays_what_it_is(logbook: Logbook) -> None:
    def fail_inside() -> None:
        with logbook.write(None) as tx:
            tx.save_finding(finding())
            raise OSError("the managed database is gone")

    with pytest.raises(OSError, match="managed database"):
        fail_inside()
    assert logbook.findings() == []


@pytest.mark.slow
def test_killed_in_the_middle_of_writing_nothing_is_half(path: Path) -> None:
    clock = SystemClock()
    for _ in range(25):
        with child("writer", path) as writer:
            assert said(writer) == "writing"
            said(writer)
            if _ % 2:
                said(writer)
            writer.kill()
        with Logbook.open(path, clock=clock) as logbook:
            findings = logbook.findings(limit=100_000)
            entries = logbook.audit(limit=100_000)
            runs = logbook.runs(limit=100_000)
            assert logbook.verify_audit() == len(findings) == len(entries) == len(runs)
            assert [entry.subject for entry in entries] == [row.what for row in findings]
            assert logbook.value("number") == int(findings[0].what)
            assert len(logbook.steps(runs[0].id)) == 1
            assert logbook.last_sequence() == 4 * len(findings)
