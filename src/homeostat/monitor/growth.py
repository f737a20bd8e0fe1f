"""The rule about data that grows so fast that the disk will be full soon, and which table it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from homeostat.config import MonitorConfig
from homeostat.logbook.rows import Json
from homeostat.measure import Severity, Unknown, size_text
from homeostat.monitor.growing import TABLE_GROWTH, inserts
from homeostat.monitor.storage import newest
from homeostat.operate.rule import Judgement, Undecided, View

SIZE = "database.size_bytes"
STEADY_SHARE = 0.8  # of the ticks in which it grows: one bulk load is no trend
CAUSE_SHARE = 0.5  # of the growth that one table must take to be named as its cause
SHARE_MAX = 1.0  # a table's own measure and the database's are not of one moment


@dataclass(frozen=True, slots=True)
class Growth:
    """How the data grows: bytes a second, and how long until the disk is full, if that is known."""

    rate: float
    full_seconds: float | None


@dataclass(frozen=True, slots=True)
class DataGrowing:
    """Opens when the data grows steadily and fills the disk within days at this rate."""

    name: str = "data-growing"
    help: str = (
        "The database grew in most ticks of `monitor.growth_seconds`, and at this rate the disk is "
        "full within `monitor.growth_full_hours` (kubernetes-mixin, KubePersistentVolumeFillingUp: "
        "4 days); high within 24 hours (node-exporter mixin). Where the free space is not known: "
        "it would double in that time. Names the table that takes most of the growth and who "
        "writes it. Stop what writes it needlessly, delete old rows by a retention, or enlarge the "
        "disk."
    )
    after: str = "capacity"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the growth over the newest ticks."""
        size = newest(view, SIZE)
        if not isinstance(size, float):
            if isinstance(size, Unknown):
                yield Undecided(view.subject("growth"))
            return
        found = _growth(view)
        monitor = view.config.monitor
        if found is None:
            return
        hours = (found.full_seconds if found.full_seconds is not None else size / found.rate) / 3600
        if hours > monitor.growth_full_hours:
            return
        end = "the disk is full in" if found.full_seconds is not None else "it doubles in"
        table, cause = _cause(view, found.rate)
        high = found.full_seconds is not None and hours <= monitor.growth_full_hours_high
        yield Judgement(
            view.subject("growth"),
            Severity.HIGH if high else Severity.WARNING,
            f"the data grows by {size_text(found.rate)} a second; at this rate {end} "
            f"{_hours(hours)}",
            cause=cause,
            mend=f"Stop what fills {table or 'it'} needlessly, delete old rows by a retention, or "
            "enlarge the disk before it is full.",
            evidence=_evidence(view, found, size, hours),
        )


def _growth(view: View) -> Growth | None:
    """Return how the data grows, or None when it does not, or not steadily."""
    ticks = _ticks(view.config.monitor)
    samples = [
        (one.at, one.value)
        for one in view.recent.window(SIZE, view.subject(), ticks=ticks)
        if isinstance(one.value, float)
    ]
    if len(samples) < ticks:
        return None
    (began, first), (ended, last) = samples[0], samples[-1]
    steps = [after[1] - before[1] for before, after in itertools.pairwise(samples)]
    growing = sum(step > 0 for step in steps)
    if last <= first or ended <= began or growing < STEADY_SHARE * len(steps):
        return None
    rate = (last - first) / (ended - began)
    free = newest(view, "disk.free_bytes")
    return Growth(rate, free / rate if isinstance(free, float) else None)


def _ticks(monitor: MonitorConfig) -> int:
    return max(3, 1 + math.ceil(monitor.growth_seconds / monitor.health_seconds))


def _tables(view: View) -> dict[str, float]:
    """Return the mean growth of each table over the window, in bytes a second."""
    start = view.at - view.config.monitor.growth_seconds
    found = {}
    for subject in view.recent.subjects(TABLE_GROWTH, since=start):
        values = view.recent.between(TABLE_GROWTH, subject, start=start, end=view.at)
        known = [value for value in values if isinstance(value, float)]
        if known:
            found[subject.name] = fmean(known)
    return found


def _cause(view: View, rate: float) -> tuple[str, str]:
    """Return the table that takes most of the growth and the sentence about it, if one does."""
    tables = _tables(view)
    table = max(tables, key=lambda name: tables[name], default="")
    share = tables.get(table, 0.0) / rate
    if share < CAUSE_SHARE:
        return "", "unknown"
    start = view.at - view.config.monitor.growth_seconds
    who = inserts(view.statements, start=start, end=view.at).get(table)
    by = ""
    if who is not None and who.operations:
        of = f" of {' and '.join(who.applications)}" if who.applications else ""
        by = f"; {', '.join(who.operations[:3])}{of} inserts {who.rows:.3g} rows a second"
    return table, f"the table {table} takes {min(share, SHARE_MAX):.0%} of it{by}"


def _evidence(view: View, found: Growth, size: float, hours: float) -> Json:
    tables = sorted(_tables(view).items(), key=lambda one: -one[1])[:5]
    known: Json = {
        "bytes_a_second": round(found.rate),
        "size_bytes": size,
        "tables": {name: round(rate) for name, rate in tables},
    }
    if found.full_seconds is not None:
        known |= {"free_bytes": round(found.full_seconds * found.rate), "full_in_hours": hours}
    return known


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
