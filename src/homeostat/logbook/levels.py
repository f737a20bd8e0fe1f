"""The resolutions at which samples are kept, and for how long.

All levels are filled at the same time, when ticks are transposed; a level only forgets sooner. So
what a finer level no longer has, the next one has.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.config import SamplesConfig

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000  # ms
HOURS_SPAN = 32 * DAY  # a year's chart reads 12 chunks and what is newer


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution; all in milliseconds.

    Attributes:
        number: 0 fine, 1 minute, 2 hour.
        step: the span of one point.
        keep: age after which points are forgotten.
        spans: chunks are joined to ever longer ones, to at most these.
    """

    number: int
    step: int
    keep: int
    spans: tuple[int, ...]

    def forgets_before(self, now: int) -> int:
        """Return the time before which this level holds nothing: a whole multiple of its span.

        The next level's points do not straddle it, so a chart can change levels there.
        """
        oldest = now - self.keep
        return oldest - oldest % self.spans[0]


def levels_of(config: SamplesConfig) -> tuple[Level, ...]:
    """Return the levels, the finest first; finer than a second counts as a second."""
    fine = max(SECOND, round(config.fine_seconds * SECOND))
    return (
        Level(0, fine, round(config.fine_days * DAY), (HOUR,)),
        Level(1, MINUTE, round(config.minute_days * DAY), (DAY,)),
        Level(2, HOUR, round(config.hour_days * DAY), (DAY, HOURS_SPAN)),
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a time range and the level that answers it."""

    level: Level
    start: int
    end: int


def sections_of(
    levels: tuple[Level, ...], *, start: int, end: int, width: float, now: int
) -> list[Section]:
    """Choose levels for a range: the coarsest whose step is at most `width`, coarser before that.

    Args:
        levels: the finest first.
        start: the range's begin, ms.
        end: the range's end, not part of it, ms.
        width: the span of one point wanted, ms.
        now: the time now, ms.

    Returns:
        Sections in order of time, without gap or overlap.
    """
    chosen = max((level.number for level in levels if level.step <= width), default=0)
    sections: list[Section] = []
    for level in levels[chosen:]:
        last = level is levels[-1]
        begin = start if last else max(start, level.forgets_before(now))
        if begin < end:
            sections.append(Section(level, begin, end))
            end = begin
    return sections[::-1]
