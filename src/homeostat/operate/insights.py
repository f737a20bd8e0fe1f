"""The shapes of what the pages of a database show beside its state: charts, statements, tables...

A number that is null has its reason beside it, in `unknown` or `reason`. Times are seconds since
1970 UTC. Texts of statements are redacted.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all shapes."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """One point of a line: time, mean, least and greatest within its span."""

    at: float
    mean: float
    low: float
    high: float


class Line(Shape, frozen=True, kw_only=True):
    """One line of a chart; `mean`, `low` and `high` are over all its points, null without any."""

    metric: str
    name: str  # what it stands for, e.g. a pool; empty where the metric says all
    points: list[Reading]
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Chart(Shape, frozen=True, kw_only=True):
    """Lines of one unit over one range.

    Attributes:
        name: for links.
        bad: the direction that hurts: up, down or none.
        lines: each with at least one point.
        before: the same of the range that it is compared with; their times are their own.
        more: lines that were left out, since there are many.
        known_since: when the first of its readings was made; null: there was none.
        reason: why there is no line; empty where there is one.
    """

    name: str
    title: str
    unit: str
    help: str
    bad: str
    lines: list[Line]
    before: list[Line] = []
    more: int = 0
    known_since: float | None = None
    reason: str = ""


class Mark(Shape, frozen=True, kw_only=True):
    """Where a remedy acted: when it was applied, and when and how it ended."""

    remedy: int
    title: str
    state: str
    applied: float
    ended: float | None


class Charts(Shape, frozen=True, kw_only=True):
    """What was measured of a database over a range, and over the one it is compared with."""

    database: str
    start: float
    end: float
    step_seconds: float
    compared_start: float | None
    charts: list[Chart]
    marks: list[Mark]


class Insights(Protocol):
    """The part of the Console that the pages of a database ask beside its state."""

    def charts(
        self,
        database: str,
        *,
        start: float,
        end: float,
        shift: float = 0.0,
        points: int = 240,
        only: str = "",
    ) -> Charts:
        """Return the charts of a database, or one of them, with those `shift` seconds earlier."""
        ...
