"""The performance probe: load, waiting, locks, and who is connected, as this moment shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from homeostat.engine.engine import Activity, LockHolder, Unsupported
from homeostat.errors import DatabaseError
from homeostat.measure import Sample, Subject, Unknown
from homeostat.monitor.metrics import BLOCKED, HOLDERS
from homeostat.monitor.reading import samples_of, unknown_all
from homeostat.operate.probe import Watched

NAME = "performance"
HOLDERS_KEPT = 8  # as text evidence with each tick


@dataclass(frozen=True, slots=True)
class PerformanceProbe:
    """Asks at `monitor.performance_seconds`; lock holders go with their count as texts."""

    interval_seconds: float
    name: str = NAME
    help: str = "Connections, waiting, lock holders, reads and writes since the reading before."

    def read(self, watched: Watched) -> Iterator[Sample]:
        """Read; when the database does not answer, say so in samples and raise.

        Raises:
            DatabaseError: it does not answer.
        """
        inspect = watched.engine.inspect
        if isinstance(inspect, Unsupported):
            reason = Unknown(f"{inspect.reason} {inspect.mend}")
            yield Sample(Subject(watched.identity.key), HOLDERS, watched.at, reason)
            return
        try:
            readings = inspect.performance()
            activity = inspect.activity()
        except DatabaseError as error:
            watched.activity = None  # what was seen before says nothing about now
            yield from unknown_all(watched, error, extra=(HOLDERS, BLOCKED))
            raise
        watched.activity = activity
        yield from samples_of(watched, readings)
        yield from _lock_samples(watched, activity)


def name_of(holder: LockHolder) -> str:
    """Return who a holder is, for people: application or else user."""
    return holder.application or holder.user or "unnamed"


def _lock_samples(watched: Watched, activity: Activity) -> Iterator[Sample]:
    subject = Subject(watched.identity.key)
    texts = {str(one.pid): name_of(one) for one in activity.holders[:HOLDERS_KEPT]}
    yield Sample(subject, HOLDERS, watched.at, float(len(activity.holders)), texts)
    blocked: float | Unknown
    if any(one.blocked is None for one in activity.holders):
        blocked = Unknown("SQLite does not say who waits; an agent in the application does")
    elif isinstance(activity.waiting, Unknown):
        blocked = activity.waiting
    else:
        blocked = float(max(crowds(activity).values(), default=0))
    yield Sample(subject, BLOCKED, watched.at, blocked)


def crowds(activity: Activity) -> dict[int, int]:
    """Return how many sessions wait for each holder, also through others that wait for it.

    Of sessions that want one row, the first waits for its holder and the rest wait for the first:
    counted directly, nobody would have a crowd.
    """
    waits = {one.pid: one.blocked_by for one in activity.sessions if one.blocked_by}
    counts: Counter[int] = Counter()
    for pid, holders in waits.items():
        seen: set[int] = set()
        ahead = list(holders)
        while ahead:
            holder = ahead.pop()
            if holder not in seen and holder != pid:
                seen.add(holder)
                ahead += waits.get(holder, ())
        counts.update(seen)
    return dict(counts)
