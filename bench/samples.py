"""The store of samples: CPU of a tick, size of a filled year, time of a chart, CPU of compaction.

300 plain series in a mix as a database has it (constants, small gauges, counts, latencies, shares,
sizes), ticks of 10 s, default retention (10 s for 2 days, 1 min for 14 days, 1 h for 400 days). The
peer of the tick is one row a sample in one transaction through the same driver.

The filled year is not appended tick by tick (3.4 million ticks): chunks of every level are made by
the same code from readings of the same mix and put into the same tables. The readings of a series
are pieces of a few long ones of its kind; an hour's point stands for 60 readings where it would
be 360, which changes the counts but hardly the size.
"""

from __future__ import annotations

import math
import random
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from bench.harness import Figure, Options, Repeats, main, progress, repeated, spent
from homeostat.clock import ManualClock
from homeostat.config import SamplesConfig
from homeostat.driver.sqlite import connect
from homeostat.logbook import SampleStore, histograms, points, shelf
from homeostat.logbook.compaction import Piece, Transposition
from homeostat.logbook.histograms import Histograms
from homeostat.logbook.levels import DAY, HOUR, Level, levels_of
from homeostat.logbook.sample_file import SampleFile
from homeostat.measure import Histogram, Sample, Subject

SERIES = 300
HISTOGRAM_SERIES = 40
VALUES_A_TICK = 50  # in each histogram: 5 operations a second
TICK_SECONDS = 10
VARIANTS = 4  # different chunks of a kind
CONFIG = SamplesConfig()
LEVELS = levels_of(CONFIG)
START = 1_699_920_000.0  # midnight UTC
REFERENCE = {"tick": 0.28, "year": 92.0, "chart": 2.6}  # DESIGN.md, measured while choosing

MIX = {"constant": 20, "gauge": 15, "count": 25, "latency": 20, "share": 10, "size": 10}  # percent


def readings(kind: str, count: int, *, seed: int) -> array[float]:
    """Return a run of plain readings of a kind."""
    rng = random.Random(seed)
    level = rng.uniform(1, 500)
    value = 10.0
    run = array("d")
    for index in range(count):
        day = 1 + 0.5 * math.sin(index * TICK_SECONDS / 86_400 * 2 * math.pi)
        match kind:
            case "constant":
                run.append(100.0)
            case "gauge":
                value = max(0.0, min(40.0, value + rng.choice((-1, 0, 0, 0, 1))))
                run.append(value)
            case "count":
                run.append(float(max(0, round(rng.gauss(level * day, math.sqrt(level))))))
            case "latency":
                run.append(rng.lognormvariate(math.log(level * day), 0.2))
            case "share":
                hits = rng.randint(1000, 5000)
                run.append(hits / (hits + rng.randint(0, 100)))
            case _:
                value += rng.choice((0, 0, 0, 8192))
                run.append(1e9 + value)
    return run


def kinds() -> list[str]:
    """Return the kind of each plain series."""
    return [kind for kind, percent in MIX.items() for _ in range(SERIES * percent // 100)]


def subject(index: int) -> Subject:
    """Return what a series is about."""
    return Subject("sqlite-1-1", "primary", "operation", f"operation-{index // 10}")


def ticks(hours: float, *, with_histograms: bool) -> Iterator[list[Sample]]:
    """Return the samples of each tick."""
    count = round(hours * 3600 / TICK_SECONDS)
    runs = [readings(kind, count, seed=i) for i, kind in enumerate(kinds())]
    subjects = [subject(index) for index in range(SERIES)]
    names = [f"metric-{index % 10}.value" for index in range(SERIES)]
    rng = random.Random(7)
    pool = [histogram(rng, VALUES_A_TICK) for _ in range(200)]
    for position in range(count):
        at = START + position * TICK_SECONDS + rng.uniform(0, 0.01)
        samples = [
            Sample(about, name, at, run[position])
            for about, name, run in zip(subjects, names, runs, strict=True)
        ]
        if with_histograms:
            samples += [
                Sample(subject(10 * index), "latency_us", at, rng.choice(pool))
                for index in range(HISTOGRAM_SERIES)
            ]
        yield samples


def histogram(rng: random.Random, count: int) -> Histogram:
    """Return a histogram of so many latencies (us)."""
    made = Histogram()
    for _ in range(count):
        made.record(rng.lognormvariate(math.log(8_000), 0.6))
    return made


def measure_ticks(directory: Path, options: Options) -> Iterator[Figure]:
    """Yield CPU of appending and compaction."""
    hours = 2.1 if options.quick else 6.1
    for with_histograms in (False, True):
        clock = ManualClock(START)
        appended, compacted = [], []
        path = directory / f"ticks-{with_histograms}.db"
        with SampleStore.open(path, clock=clock, config=CONFIG) as store:
            for samples in ticks(hours, with_histograms=with_histograms):
                clock.advance(TICK_SECONDS)
                with spent() as one:
                    store.append(samples)
                appended.append(one.cpu)
                with spent() as one:
                    written = store.compact()
                if written:
                    compacted.append(one.cpu)
        name = "samples.histograms" if with_histograms else "samples"
        parameters: dict[str, object] = {
            "series": SERIES,
            "tick_s": TICK_SECONDS,
            "ticks": len(appended),
        }
        if with_histograms:
            parameters |= {"histogram_series": HISTOGRAM_SERIES, "values": VALUES_A_TICK}
        yield mean_figure(
            f"{name}.tick_cpu", appended, with_histograms=with_histograms, parameters=parameters
        )
        yield Repeats(tuple(compacted)).figure(
            f"{name}.compaction_cpu_hour", "ms", scale=1000, parameters=parameters
        )
        whole = (sum(appended) + sum(compacted)) / len(appended)
        yield Figure(f"{name}.tick_and_compaction_cpu", whole * 1000, "ms", parameters=parameters)


def mean_figure(
    name: str, appended: list[float], *, with_histograms: bool, parameters: dict[str, object]
) -> Figure:
    """Return the mean CPU of a tick (ms); the first tick, which registers all, counts too."""
    mean = sum(appended) / len(appended) * 1000
    peer = "" if with_histograms else f"the reference of {REFERENCE['tick']} ms"
    ratio = None if with_histograms else mean / REFERENCE["tick"]
    return Figure(name, mean, "ms", peer=peer, ratio=ratio, parameters=dict(parameters))


def measure_peer(directory: Path, options: Options) -> Iterator[Figure]:
    """Yield CPU and size of one row a sample."""
    path = directory / "rows.db"
    wire = connect(path, create=True, synchronous="NORMAL")
    wire.execute(
        "CREATE TABLE samples (series INTEGER, at INTEGER, value REAL, PRIMARY KEY (series, at)) "
        "WITHOUT ROWID"
    )
    cpu, rows_all = 0.0, 0
    for samples in ticks(0.5 if options.quick else 2, with_histograms=False):
        rows = [
            {"series": i, "at": round(s.at * 1000), "value": s.value} for i, s in enumerate(samples)
        ]
        with spent() as one:
            wire.begin(write=True)
            wire.execute_many("INSERT INTO samples VALUES (:series, :at, :value)", rows)
            wire.commit()
        cpu += one.cpu
        rows_all += len(rows)
    wire.close()
    parameters = {"series": SERIES, "rows": rows_all}
    tick_ms = cpu / (rows_all / SERIES) * 1000
    yield Figure("peer.row_a_sample.tick_cpu", tick_ms, "ms", parameters=parameters)
    size = path.stat().st_size / rows_all
    yield Figure("peer.row_a_sample.bytes", size, "B/sample", parameters=parameters)


def fill(path: Path, *, with_histograms: bool) -> ManualClock:
    """Make a file as after 400 days; return a clock at its end."""
    clock = ManualClock(START)
    samples = next(ticks(1, with_histograms=with_histograms))
    with SampleStore.open(path, clock=clock, config=CONFIG) as store:
        store.append(samples)  # registers the series, numbered from 1
    end = int(START * 1000)
    file = SampleFile(path, clock=clock, on_new=lambda: None)
    plain = {kind: chunk_variants(kind) for kind in MIX}
    numbered = list(enumerate(kinds(), 1))
    for level in LEVELS:
        for span_start in spans(level, end):
            pieces = (shifted(plain[kind], level, number, span_start) for number, kind in numbered)
            file.write(partial(shelf.put, pieces=list(pieces)))
    if with_histograms:
        fill_histograms(file, end)
    file.close()
    return clock


def fill_histograms(file: SampleFile, end: int) -> None:
    """Put the chunks of the histogram series, whose numbers follow those of the plain ones."""
    made = histogram_variants()
    numbers = range(SERIES + 1, SERIES + 1 + HISTOGRAM_SERIES)
    for level in LEVELS:
        for span_start in spans(level, end):
            pieces = (shifted(made, level, number, span_start) for number in numbers)
            file.write(partial(shelf.put, pieces=list(pieces)))


Variants = dict[int, list[Piece]]  # by level: chunks that begin at time 0


def spans(level: Level, end: int) -> Iterable[int]:
    """Return the begin of each span that a level keeps."""
    return range(end - level.keep, end, level.spans[-1])


def shifted(variants: Variants, level: Level, number: int, start: int) -> Piece:
    """Return a variant as the chunk of a series at a time."""
    one = random.Random(number * 1_000_003 + start).choice(variants[level.number])
    times = [time + start for time in one.times]
    return Piece(number, level.number, start, one.stop + start, times, one.data)


def points_a_span(level: Level) -> int:
    """Return how many points a full chunk has."""
    return level.spans[-1] // level.step


def chunk_variants(kind: str) -> Variants:
    """Return chunks of each level for a kind of plain readings."""
    transposition = Transposition(LEVELS)
    made: Variants = {level.number: [] for level in LEVELS}
    per_point = (1, 6, 60)
    for variant in range(VARIANTS):
        for level, each in zip(LEVELS, per_point, strict=True):
            size = points_a_span(level)
            values = readings(kind, size * each, seed=variant)
            step = level.step // each
            whole = points.plain([i * step for i in range(len(values))], values)
            rolled = whole if level.number == 0 else points.roll(whole, level.step)
            span = level.spans[-1]
            made[level.number] += transposition.cut_points(0, level, rolled, span=span)
    return made


def histogram_variants() -> Variants:
    """Return chunks of each level for histograms; counts grow with the level's step."""
    rng = random.Random(11)
    pool = [histogram(rng, VALUES_A_TICK) for _ in range(2000)]
    packed = [histograms.pack(one) for one in pool]
    transposition = Transposition(LEVELS)
    made: Variants = {level.number: [] for level in LEVELS}
    for level, each in zip(LEVELS, (1, 6, 60), strict=True):
        size = points_a_span(level) * each
        step = level.step // each
        single = histograms.of_packed(
            array("q", [i * step for i in range(size)]), [rng.choice(packed) for _ in range(size)]
        )
        whole = single if level.number == 0 else rolled_histograms(single, each)
        span = level.spans[-1]
        made[level.number] += transposition.cut_histograms(0, level, whole, span=span)
    return made


def rolled_histograms(single: Histograms, each: int) -> Histograms:
    """Return histograms added up, so many to one."""
    indexes = list(pairwise(range(0, len(single) + 1, each)))
    return histograms.roll(single, indexes, array("q", [single.times[a] for a, _ in indexes]))


def measure_year(directory: Path, options: Options) -> Iterator[Figure]:
    """Yield size and chart times of a filled year."""
    parameters = {"series": SERIES, "days": CONFIG.hour_days}
    progress("filling a year")
    path = directory / "year.db"
    clock = fill(path, with_histograms=True)
    with SampleStore.open(path, clock=clock, config=CONFIG) as store:
        size = store.size_bytes() / 1e6
        wire = connect(path, readonly=True)
        sql = "SELECT sum(length(data)) FROM chunks WHERE series > :plain"
        extra = float(str(wire.execute(sql, {"plain": SERIES}).scalar())) / 1e6
        wire.close()
        plain_size = size - extra
        ratio = plain_size / REFERENCE["year"]
        peer = f"the reference of {REFERENCE['year']:g} MB"
        yield Figure(
            "samples.year_size", plain_size, "MB", peer=peer, ratio=ratio, parameters=parameters
        )
        more = parameters | {"histogram_series": HISTOGRAM_SERIES, "values": VALUES_A_TICK}
        yield Figure("samples.year_size_with_histograms", size, "MB", parameters=more)
        with spent() as opening, SampleStore.open(path, clock=clock, config=CONFIG):
            pass
        yield Figure("samples.open", opening.wall * 1000, "ms", parameters=parameters)
        yield from measure_charts(store, clock.now(), times=20 if options.quick else 100)


def measure_charts(store: SampleStore, now: float, *, times: int) -> Iterator[Figure]:
    """Yield the time of a chart of 300 points over an hour, a day and a year."""
    about = subject(200).label  # a latency: the least compressible kind
    for name, seconds in (("hour", HOUR / 1000), ("day", DAY / 1000), ("year", 365 * DAY / 1000)):

        def chart(span: float = seconds) -> Sequence[object]:
            return store.range(
                "sqlite-1-1", "metric-0.value", about, start=now - span, end=now, points=300
            )

        found = len(chart())
        timed = repeated(chart, times=times)
        reference = REFERENCE["chart"] if name == "year" else None
        yield timed.figure(
            f"samples.chart_{name}",
            "ms",
            scale=1000,
            peer=f"the reference of {reference} ms" if reference else "",
            ratio=timed.median * 1000 / reference if reference else None,
            parameters={"points": found},
        )

    def quantiles() -> object:
        label = subject(0).label
        start = now - 365 * DAY / 1000
        return store.quantiles(
            "sqlite-1-1", "latency_us", label, q=0.99, start=start, end=now, points=300
        )

    timed = repeated(quantiles, times=max(3, times // 10))
    yield timed.figure("samples.chart_year_p99", "ms", scale=1000)


def figures(options: Options) -> Iterator[Figure]:
    """Yield all figures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        progress("ticks")
        yield from measure_ticks(directory, options)
        yield from measure_peer(directory, options)
        yield from measure_year(directory, options)


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
