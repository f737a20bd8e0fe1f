"""What was measured is there: live, after a restart, rolled up, joined, and gone when it is old."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.driver.sqlite import connect
from homeostat.logbook import SampleStore
from homeostat.logbook.series import SERIES_MAX, TAIL_MAX
from homeostat.measure import Sample, Subject, Unknown
from tests.logbook.ticking import CONFIG, DAY, DB, HOUR, MAIN, live, means, record, settle, tick


def test_the_newest_readings_are_there_at_once(store: SampleStore, clock: ManualClock) -> None:
    start = clock.now()
    made = live(store, clock, 300)
    assert store.recent(DB, "load", "database", 3) == made[-3:]
    assert store.recent(DB, "load", "database", 10_000) == made
    assert store.recent(DB, "load", "pool:main", 3) == []
    chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=100)
    assert means(chart) == made
    assert all(low == mean == high for _, mean, low, high in chart)


def test_a_range_holds_its_begin_and_not_its_end(store: SampleStore, clock: ManualClock) -> None:
    made = live(store, clock, 100)
    chart = store.range(DB, "load", "database", start=made[2][0], end=made[5][0], points=100)
    assert means(chart) == made[2:5]
    empty = store.range(DB, "load", "database", start=made[5][0], end=made[2][0], points=100)
    assert empty == []


def test_a_restart_loses_nothing(samples_path: Path, clock: ManualClock) -> None:
    start = clock.now()
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        made = live(store, clock, 2.5 * HOUR)
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=2000)
        assert means(chart) == made
        assert store.recent(DB, "load", "database", 300) == made[-300:]
        assert store.recent(DB, "load", "database", 9999) == made[-TAIL_MAX:]
        assert store.subjects(DB) == [("load", "database", made[0][0], made[-1][0])]
        made += live(store, clock, HOUR)
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=2000)
        assert means(chart) == made


def test_a_chart_has_at_most_the_points_asked_for_and_true_extremes(
    store: SampleStore, clock: ManualClock
) -> None:
    start = clock.now()
    rng = random.Random(3)
    made = live(store, clock, 5 * HOUR, values=[rng.uniform(0, 100) for _ in range(997)])
    settle(store, clock)
    for points in (1, 2, 7, 60, 300, 299, 1800):
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=points)
        assert points / 3 <= len(chart) <= points
        assert [at for at, _, _, _ in chart] == sorted({at for at, _, _, _ in chart})
        assert min(low for _, _, low, _ in chart) == pytest.approx(min(v for _, v in made))
        assert max(high for _, _, _, high in chart) == pytest.approx(max(v for _, v in made))
        assert all(low <= mean <= high for _, mean, low, high in chart)
    (only,) = store.range(DB, "load", "database", start=start, end=clock.now(), points=1)
    assert only[1] == pytest.approx(sum(value for _, value in made) / len(made))


def test_a_gap_stays_a_gap(store: SampleStore, clock: ManualClock) -> None:
    start = clock.now()
    first = live(store, clock, 2 * HOUR)
    clock.advance(3 * HOUR)
    second = live(store, clock, 2 * HOUR)
    settle(store, clock)
    for points in (20, 200, 2000):
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=points)
        inside = [at for at, _, _, _ in chart if first[-1][0] < at < second[0][0]]
        assert inside == []
        assert len(chart) > points / 4


def test_unknown_is_a_gap_with_its_newest_reason(samples_path: Path, clock: ManualClock) -> None:
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        tick(store, clock.now(), 1.0)
        tick(store, clock.now() + 10, Unknown("no agent"))
        tick(store, clock.now() + 20, Unknown("lock held"))
        tick(store, clock.now() + 30, float("nan"))
        tick(store, clock.now() + 40, Unknown("lock held"))
        tick(store, clock.now() + 50, 2.0)
        tick(store, clock.now() + 60, Unknown("never known"), "other")
        chart = store.range(
            DB, "load", "database", start=clock.now(), end=clock.now() + 99, points=9
        )
        assert means(chart) == [(clock.now(), 1.0), (clock.now() + 50, 2.0)]
        assert store.unknown(DB, "load", "database") == (clock.now() + 40, "lock held")
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        assert store.unknown(DB, "load", "database") == (clock.now() + 40, "lock held")
        assert store.unknown(DB, "other", "database") == (clock.now() + 60, "never known")
        assert store.unknown(DB, "none", "database") is None
        assert [metric for metric, _, _, _ in store.subjects(DB)] == ["load"]


def test_subjects_instances_and_databases_are_kept_apart(
    store: SampleStore, clock: ManualClock
) -> None:
    subjects = [
        Subject(DB),
        Subject(DB, "agent:a", "pool", "main"),
        Subject(DB, "agent:b", "pool", "main"),
        Subject("other"),
    ]
    at = clock.now()
    store.append([Sample(s, "used", at, float(i)) for i, s in enumerate(subjects)])
    for index, subject in enumerate(subjects):
        assert store.recent(subject.database, "used", subject.label, 1) == [(at, float(index))]
    assert [label for _, label, _, _ in store.subjects(DB)] == [
        "agent:a/pool:main",
        "agent:b/pool:main",
        "database",
    ]


def test_ticks_faster_than_the_finest_level_are_exact_live_and_rolled_up_later(
    store: SampleStore, clock: ManualClock
) -> None:
    start = clock.now()
    made = live(store, clock, 1800, every=1.0, values=[float(i) for i in range(100)])
    clock.advance(2 * HOUR)
    settle(store, clock)
    chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=2000)
    assert [at for at, _, _, _ in chart] == [start + 10 * index for index in range(180)]
    for index, (_, mean, low, high) in enumerate(chart):
        held = [value for _, value in made[10 * index : 10 * index + 10]]
        assert (mean, low, high) == (sum(held) / 10, min(held), max(held))


def test_fast_ticks_do_not_pile_up(
    store: SampleStore, clock: ManualClock, samples_path: Path
) -> None:
    live(store, clock, 3 * HOUR, every=1.0)
    rows = connect(samples_path, readonly=True)
    assert int(str(rows.execute("SELECT count(*) FROM ticks").scalar())) < 1200
    settle(store, clock)
    chunks = rows.execute("SELECT count(*) FROM chunks WHERE level = 0").scalar()
    assert chunks == 3  # the short ones of each hour were joined
    rows.close()


def test_readings_that_come_late_are_put_in_order(store: SampleStore, clock: ManualClock) -> None:
    start = clock.now()
    tick(store, start + 20, 3.0)
    tick(store, start, 1.0)
    tick(store, start + 10, 2.0)
    clock.advance(2 * HOUR)
    store.compact()
    tick(store, start + 15, 2.5)  # its hour is in a chunk already
    expected = [(start, 1.0), (start + 10, 2.0), (start + 15, 2.5), (start + 20, 3.0)]

    def chart() -> list[tuple[float, float]]:
        found = store.range(DB, "load", "database", start=start, end=clock.now(), points=900)
        return means(found)

    assert chart() == expected
    clock.advance(DAY)
    settle(store, clock)
    (hour,) = store.range(DB, "load", "database", start=start, end=start + HOUR, points=1)
    assert hour[1:] == (sum(value for _, value in expected) / 4, 1.0, 3.0)


def test_every_level_says_the_same_about_a_past_week(
    store: SampleStore, clock: ManualClock
) -> None:
    start = clock.now()
    rng = random.Random(5)
    made = live(store, clock, 3 * DAY, every=120.0, values=[rng.uniform(0, 9) for _ in range(997)])
    settle(store, clock)
    mean = sum(value for _, value in made) / len(made)
    for points in (3 * 24, 3 * 24 * 60, 3 * 24 * 120):  # hours, minutes; fine where it still is
        chart = store.range(DB, "load", "database", start=start, end=clock.now(), points=points)
        assert points / 4 <= len(chart) <= points
        each = points / (3 * 24 * 30)
        if each >= 1:
            assert len(chart) == len(made)
            assert sum(m for _, m, _, _ in chart) / len(chart) == pytest.approx(mean)
        else:
            assert sum(m for _, m, _, _ in chart) / len(chart) == pytest.approx(mean, rel=0.01)


@pytest.mark.slow
def test_after_400_days_each_level_holds_what_it_promises(
    samples_path: Path, clock: ManualClock
) -> None:
    start = clock.now()
    sizes = []
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        for day in range(430):
            for _ in range(4):
                times = [clock.now() + 1200 * number for number in range(18)]
                store.append([Sample(MAIN, "load", at, float(day)) for at in times])
                clock.advance(6 * HOUR)
                while store.compact():
                    pass
            if day % 10 == 9:
                sizes.append(store.size_bytes())
        while store.compact():
            pass
    now = clock.now()
    wire = connect(samples_path, readonly=True)
    oldest = {
        level: (now * 1000 - int(str(at))) / 86_400_000
        for level, at in wire.execute("SELECT level, min(start) FROM chunks GROUP BY level").rows
    }
    grids = wire.execute("SELECT count(*) FROM grids").scalar()
    chunks = wire.execute("SELECT count(*) FROM chunks").scalar()
    unused = wire.execute(
        "SELECT count(*) FROM grids WHERE id NOT IN (SELECT grid FROM chunks)"
    ).scalar()
    wire.close()
    assert 2 <= oldest[0] < 2.1
    assert 14 <= oldest[1] < 15.1
    assert 400 <= oldest[2] < 433
    assert int(str(chunks)) < 48 + 2 + 15 + 14 + 32 + 24 + 2
    assert int(str(unused)) <= 3  # a grid goes a span after its chunk
    assert int(str(grids)) <= int(str(chunks)) + 3
    assert sizes[-1] <= sizes[20] * 1.2  # no growth once the file is full
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as store:
        year = store.range(DB, "load", "database", start=start, end=now, points=500)
        assert len(year) > 390
        assert year[0][0] >= now - 433 * DAY
        assert all(low == (at - start) // DAY >= high - 1 for at, _, low, high in year)
        store_fine = store.range(DB, "load", "database", start=now - DAY, end=now, points=9999)
        assert len(store_fine) == 72
        ((metric, _, first_at, last_at),) = store.subjects(DB)
        assert (metric, first_at, last_at) == ("load", start, now - 1200)


def test_a_series_that_ended_long_ago_is_forgotten(store: SampleStore, clock: ManualClock) -> None:
    tick(store, clock.now(), 1.0, "old")
    clock.advance(401 * DAY)
    tick(store, clock.now(), 1.0, "new")
    settle(store, clock)
    assert [metric for metric, _, _, _ in store.subjects(DB)] == ["new"]
    tick(store, clock.now(), 2.0, "old")
    assert [metric for metric, _, _, _ in store.subjects(DB)] == ["new", "old"]


def test_plain_readings_and_histograms_do_not_mix(store: SampleStore, clock: ManualClock) -> None:
    tick(store, clock.now(), 1.0)
    tick(store, clock.now() + 1, record(random.Random(1), 3))
    assert len(store.recent(DB, "load", "database", 9)) == 1
    assert sum(store.dropped.values()) == 1


def test_the_number_of_series_is_bounded(store: SampleStore, clock: ManualClock) -> None:
    store.append(
        [
            Sample(Subject(DB, name=str(index)), "load", clock.now(), 1.0)
            for index in range(SERIES_MAX + 5)
        ]
    )
    assert len(store.subjects(DB)) == SERIES_MAX
    assert sum(store.dropped.values()) == 5
