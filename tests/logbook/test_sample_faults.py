"""Samples when the file is damaged, newer, without space, or its writer is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.driver.sqlite import connect
from homeostat.errors import LogbookFullError, LogbookNewerError
from homeostat.logbook import SampleStore
from homeostat.logbook.migrate import migrations_of
from tests.logbook.making import child, fill, said
from tests.logbook.ticking import CONFIG, DAY, DB, HOUR, live, means, settle, tick


@pytest.mark.parametrize("page", [1, 2, 5])
def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(
    samples_path: Path, clock: ManualClock, page: int
) -> None:
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        assert store.moved_aside is None
        live(store, clock, 2 * HOUR)
    with samples_path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    damaged = samples_path.read_bytes()
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        assert store.moved_aside is not None
        assert store.moved_aside.read_bytes() == damaged
        assert store.moved_aside.name.startswith("samples.db.corrupt-2023")
        assert store.subjects(DB) == []
        tick(store, clock.now(), 1.0)
        assert store.recent(DB, "load", "database", 1) == [(clock.now(), 1.0)]


def test_damage_while_in_use_keeps_what_is_in_memory(
    samples_path: Path, clock: ManualClock
) -> None:
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        start = clock.now()
        live(store, clock, HOUR + 300)
        other = connect(samples_path)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        for page in range(2, samples_path.stat().st_size // 4096 + 1):
            with samples_path.open("r+b") as file:
                file.seek((page - 1) * 4096)
                file.write(b"\xa5" * 4096)
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=999)
        assert store.moved_aside is not None
        assert len(chart) == 30  # of the hour under way; the one before is lost
        tick(store, clock.now(), 7.0)
        clock.advance(HOUR)
        settle(store, clock)
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        assert store.moved_aside is None
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=999)
        assert len(chart) == 31
        assert store.subjects(DB)[0][2] == chart[0][0]  # it says since when it knows


def test_only_two_damaged_files_are_kept(samples_path: Path, clock: ManualClock) -> None:
    for _ in range(4):
        samples_path.write_bytes(b"damaged " * 1000)
        SampleStore.open(samples_path, clock=clock, config=CONFIG).close()
        clock.advance(60)
    kept = sorted(found.name for found in samples_path.parent.glob("samples.db.corrupt-*"))
    assert kept == [
        "samples.db.corrupt-20231114T000200Z",
        "samples.db.corrupt-20231114T000300Z",
    ]


def test_a_newer_file_is_not_touched(samples_path: Path, clock: ManualClock) -> None:
    SampleStore.open(samples_path, clock=clock, config=CONFIG).close()
    newer = connect(samples_path)
    newer.execute(f"PRAGMA user_version = {migrations_of('samples')[-1].level + 2}")
    newer.close()
    before = samples_path.read_bytes()
    with pytest.raises(LogbookNewerError):
        SampleStore.open(samples_path, clock=clock, config=CONFIG)
    assert samples_path.read_bytes() == before


def test_a_full_disk_loses_nothing_that_fits_into_memory(
    small_disk: Path,
    clock: ManualClock,
) -> None:
    with SampleStore.open(small_disk / "samples.db", clock=clock, config=CONFIG) as store:
        start = clock.now()
        made = live(store, clock, 100)
        ballast = fill(small_disk)
        failures = 0
        for _ in range(200):
            made.append((clock.now(), 5.0))
            try:
                tick(store, *made[-1])
            except LogbookFullError:
                failures += 1
            clock.advance(10)
        assert failures > 50
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=999)
        assert means(chart) == made
        ballast.unlink()
        clock.advance(HOUR)
        settle(store, clock)
        made += live(store, clock, 100)
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=999)
        assert means(chart) == made


@pytest.mark.slow
def test_killed_in_the_middle_nothing_is_seen_twice(samples_path: Path, clock: ManualClock) -> None:
    for turn in range(8):
        samples_path.unlink(missing_ok=True)
        with child("sampler", samples_path) as sampler:
            for _ in range(2 + turn % 3):
                last = int(said(sampler))
            sampler.kill()
        with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
            assert store.moved_aside is None
            ((_, _, first, _), *_) = store.subjects("d")
            clock.advance(max(0.0, first + 2 * DAY - clock.now()))
            for metric in ("m0", "m19"):
                chart = store.range(
                    "d", metric, "database", start=first, end=first + 2 * DAY, points=99_999
                )
                values = [value for _, value, _, _ in chart]
                assert values == [float(number) for number in range(len(values))]
                assert len(values) > last
        for leftover in samples_path.parent.glob("samples.db-*"):
            leftover.unlink()


def test_readings_that_wait_in_memory_are_bounded(
    small_disk: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homeostat.logbook.series.OPEN_MAX", 60)
    with SampleStore.open(small_disk / "samples.db", clock=clock, config=CONFIG) as store:
        start = clock.now()
        tick(store, start, 1.0)
        fill(small_disk)
        failures = 0
        while failures < 100:
            try:
                tick(store, clock.now(), 5.0)
            except LogbookFullError:
                failures += 1
            clock.advance(10)
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=999)
        assert len(chart) == 60
        assert chart[-1][0] == clock.now() - 10  # the newest are kept
