"""All series of samples.db: found by what they measure, bounded in number, saved when changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from homeostat.logbook.file import Session
from homeostat.logbook.series import SERIES_MAX, Series
from homeostat.measure import Sample

Key = tuple[str, str, str, str, str]  # database, instance, kind, name, metric

_SAVE = """
INSERT INTO series (id, database, metric, subject, histogram, first_at, last_at, reason, reason_at)
VALUES (:id, :database, :metric, :subject, :histogram, :first_at, :last_at, :reason, :reason_at)
ON CONFLICT (id) DO UPDATE SET histogram = excluded.histogram, first_at = excluded.first_at,
    last_at = excluded.last_at, reason = excluded.reason, reason_at = excluded.reason_at
"""


class Registry:
    """Series by key; not safe for several threads at once.

    Attributes:
        changed: series whose row is to be saved.
        dropped: readings that were not kept, by reason.
    """

    def __init__(self, *, histograms_max: int) -> None:
        """Begin empty; at most so many series may hold histograms."""
        self.changed: set[Series] = set()
        self.dropped: Counter[str] = Counter()
        self._histograms_max = histograms_max
        self._known: dict[Key, Series | None] = {}
        self._named: dict[tuple[str, str, str], Series] = {}
        self._numbers_ever = 0

    def __iter__(self) -> Iterator[Series]:
        """Return all series."""
        return iter(self._named.values())

    def load(self, session: Session) -> None:
        """Read all series of a file."""
        for row in session.execute("SELECT * FROM series").dicts():
            found: dict[str, Any] = row
            histogram = found.pop("histogram")
            number = found.pop("id")
            series = Series(
                number, **found, histogram=None if histogram is None else bool(histogram)
            )
            self._named[series.database, series.metric, series.subject] = series
            self._numbers_ever = max(self._numbers_ever, number)

    def save(self, session: Session, changed: set[Series]) -> None:
        """Write the rows of changed series, inside the transaction that is open."""
        rows = [
            {
                "id": series.number,
                "database": series.database,
                "metric": series.metric,
                "subject": series.subject,
                "histogram": series.histogram,
                "first_at": series.first_at,
                "last_at": series.last_at,
                "reason": series.reason,
                "reason_at": series.reason_at,
            }
            for series in changed
        ]
        if rows:
            session.execute_many(_SAVE, rows)

    def named(self, database: str, metric: str, subject: str) -> Series | None:
        """Return a series by its subject's label, or None."""
        return self._named.get((database, metric, subject))

    def of(self, sample: Sample) -> Series | None:
        """Return the series of a sample, a new one if need be; None if there are too many."""
        subject = sample.subject
        key = (subject.database, subject.instance, subject.kind, subject.name, sample.metric)
        try:
            series = self._known[key]
        except KeyError:
            series = self._known[key] = self._first_seen(sample)
        if series is None:
            self.dropped[f"more than {SERIES_MAX} series"] += 1
        return series

    def becomes(self, series: Series, *, histogram: bool) -> bool:
        """Settle what a series holds at its first known reading; return whether it may."""
        if series.histogram is None:
            if histogram and self._histograms() >= self._histograms_max:
                self.dropped[f"more than {self._histograms_max} histogram series"] += 1
                return False
            series.histogram = histogram
            self.changed.add(series)
        elif series.histogram is not histogram:
            self.dropped["a histogram among plain readings, or the other way round"] += 1
            return False
        return True

    def forget(self, before: int) -> list[Series]:
        """Drop series without a reading since a time (ms); return them."""
        gone = [s for s in self._named.values() if max(s.last_at or 0, s.reason_at or 0) < before]
        for series in gone:
            del self._named[series.database, series.metric, series.subject]
            self.changed.discard(series)
        if gone:
            self._known.clear()
        return gone

    def retry_refused(self) -> None:
        """Let series that were refused try again: others may be gone."""
        for key in [key for key, series in self._known.items() if series is None]:
            del self._known[key]

    def _first_seen(self, sample: Sample) -> Series | None:
        name = (sample.subject.database, sample.metric, sample.subject.label)
        series = self._named.get(name)
        if series is None and len(self._named) < SERIES_MAX:
            self._numbers_ever += 1
            series = self._named[name] = Series(self._numbers_ever, *name)
            self.changed.add(series)
        return series

    def _histograms(self) -> int:
        return sum(1 for series in self._named.values() if series.histogram)
