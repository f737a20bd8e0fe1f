"""From an engine's readings to samples: totals become increases, failures become Unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from homeostat.errors import DatabaseError
from homeostat.measure import Reading, Sample, Subject, Unknown
from homeostat.monitor.metrics import COUNTERS
from homeostat.operate.probe import Watched

FIRST = Unknown("a running total was read for the first time; its increase is known from the next")
RESET = Unknown("the server's totals started anew; the increase is known from the next reading")
TOTALS, NAMES = "totals", "names"  # keys of Watched.memory


def samples_of(watched: Watched, readings: Mapping[str, float | Unknown]) -> Iterator[Sample]:
    """Yield one sample a reading; a running total as its increase since the reading before."""
    subject = Subject(watched.identity.key)
    watched.memory[NAMES] = tuple(readings)
    totals: dict[str, float] = watched.memory.setdefault(TOTALS, {})
    for name, value in readings.items():
        reading: Reading = value
        if name in COUNTERS and not isinstance(value, Unknown):
            reading = _increase(totals.get(name), value)
            totals[name] = value
        yield Sample(subject, name, watched.at, reading)


def unknown_all(
    watched: Watched, error: DatabaseError, *, extra: Iterable[str] = ()
) -> Iterator[Sample]:
    """Yield Unknown for all that was read the last time, with the error as the reason."""
    subject = Subject(watched.identity.key)
    reason = Unknown(f"the database did not answer: {error}")
    for name in (*extra, *watched.memory.get(NAMES, ())):
        yield Sample(subject, name, watched.at, reason)


def _increase(before: float | None, now: float) -> float | Unknown:
    if before is None:
        return FIRST
    return RESET if now < before else now - before
