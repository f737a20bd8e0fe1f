"""The newest reading of every series, as collectors take it."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.measure import Histogram, Kind, MetricSpec, Subject, Unknown
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.views import Buckets, SeriesNow

FRESH_INTERVALS = 3  # a series that was silent for so many of its own intervals is not told
# A histogram keeps 16 buckets an octave; told are the octaves from 16 us to 67 s, the same for all
# series, so that those of several operators can be added.
OCTAVES = range(4, 27)


def readings(operator: Operator, *, database: str | None = None) -> list[SeriesNow]:
    """Return the newest reading of every series of a database or of all.

    Raises:
        NotFoundError: there is no such database.
    """
    chosen = list(operator.attached.values()) if database is None else [operator.find(database)]
    return [found for one in chosen for found in _of(operator, one)]


def _of(operator: Operator, one: Attached) -> Iterator[SeriesNow]:
    recent = one.watch.recent
    for spec in operator.registry.specs():
        for subject in sorted(recent.subjects(spec.name), key=lambda subject: subject.label):
            now = _now(operator, one, spec, subject)
            if now is not None:
                yield now


def _now(operator: Operator, one: Attached, spec: MetricSpec, subject: Subject) -> SeriesNow | None:
    """Return the newest reading of a series; None when it has been silent."""
    newest = one.watch.recent.window(spec.name, subject, ticks=2)
    monitor = operator.config.monitor
    interval = max(monitor.performance_seconds, monitor.health_seconds)
    if len(newest) == 2:
        interval = max(interval, newest[1].at - newest[0].at)
    sample = newest[-1]
    if operator.clock.now() - sample.at > FRESH_INTERVALS * interval:
        return None
    value: float | None = None
    buckets = None
    reason = ""
    if isinstance(sample.value, Unknown):
        reason = sample.value.reason
    elif isinstance(sample.value, Histogram):
        buckets = octaves(one.watch.totals.histogram(spec.name, subject))
    elif spec.kind is Kind.COUNTER:
        value = one.watch.totals.sum(spec.name, subject)
    else:
        value = sample.value
    return SeriesNow(
        database=one.row.key,
        metric=spec.name,
        unit=spec.unit,
        kind=spec.kind.value,
        help=spec.help,
        instance=subject.instance,
        subject=subject.kind,
        name=subject.name,
        at=sample.at,
        value=value,
        reason=reason,
        buckets=buckets,
    )


def octaves(histogram: Histogram) -> Buckets:
    """Return a histogram in octaves: how many values were below each power of two."""
    index_of = {octave: (octave - 3) * 16 for octave in OCTAVES}  # its first bucket, see measure
    return Buckets(
        below=[2.0**octave for octave in OCTAVES],
        counts=[
            sum(n for index, n in histogram.counts.items() if index < index_of[octave])
            for octave in OCTAVES
        ],
        count=histogram.count,
        total=histogram.total,
    )
