"""The health probe: does the database answer, how fast, and how it stands with space and age."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from homeostat.engine.engine import Unsupported
from homeostat.errors import DatabaseError
from homeostat.measure import Sample, Subject, Unknown
from homeostat.monitor.metrics import ANSWER_MS, ANSWERED
from homeostat.monitor.reading import samples_of, unknown_all
from homeostat.operate.probe import Watched

NAME = "health"


@dataclass(frozen=True, slots=True)
class HealthProbe:
    """Asks at `monitor.health_seconds`; the settings in force go with the answer as texts."""

    interval_seconds: float
    name: str = NAME
    help: str = "Whether the database answers; sizes, disk space, transaction-id age, settings."

    def read(self, watched: Watched) -> Iterator[Sample]:
        """Read; when the database does not answer, say so in samples and raise.

        Raises:
            DatabaseError: it does not answer.
        """
        subject = Subject(watched.identity.key)
        inspect = watched.engine.inspect
        readings: Mapping[str, float | Unknown] = {}
        settings: Mapping[str, str] = {}
        try:
            started = perf_counter()
            watched.engine.execute("SELECT 1")
            answer_ms = (perf_counter() - started) * 1000
            if not isinstance(inspect, Unsupported):
                readings, settings = inspect.health(), inspect.settings()
        except DatabaseError as error:
            yield Sample(subject, ANSWERED, watched.at, 0.0, {"error": str(error)})
            yield from unknown_all(watched, error, extra=(ANSWER_MS,))
            raise
        yield Sample(subject, ANSWERED, watched.at, 1.0, settings)
        yield Sample(subject, ANSWER_MS, watched.at, answer_ms)
        yield from samples_of(watched, readings)
