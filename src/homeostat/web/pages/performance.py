"""The page of charts: ranges from an hour to a year, each beside an earlier one, marks of remedies.

The address holds all of it: `range` or `from`, `until`, and `compare`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import RequestError
from homeostat.operate.insights import Chart, Charts, Line
from homeostat.web import words
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight

HOUR, DAY = 3600.0, 86_400.0
RANGES: dict[str, tuple[str, float]] = {
    "15m": ("15 min", HOUR / 4),
    "1h": ("1 h", HOUR),
    "6h": ("6 h", 6 * HOUR),
    "24h": ("24 h", DAY),
    "7d": ("7 d", 7 * DAY),
    "30d": ("30 d", 30 * DAY),
    "90d": ("90 d", 90 * DAY),
    "1y": ("1 year", 365 * DAY),
}
COMPARED: dict[str, tuple[str, float | None]] = {
    "": ("Nothing", 0.0),
    "before": ("The range before", None),
    "day": ("A day earlier", DAY),
    "week": ("A week earlier", 7 * DAY),
    "month": ("4 weeks earlier", 28 * DAY),
    "year": ("52 weeks earlier", 364 * DAY),
}
RANGE, POINTS = "1h", 240
REFRESH_SHARE = 1 / 120  # of the range: how often its charts are asked for again
SECONDS_MIN = 60.0
YOUNG_SECONDS = 120.0  # the shortest time that a chart of a young operator spans
YOUNG_MARGIN = 1.12  # of what is known, so that where knowledge begins is seen


@dataclass(frozen=True, slots=True)
class Window:
    """A range of time as the address says it; `until` is None when it ends now."""

    name: str
    start: float
    end: float
    until: float | None
    compare: str

    @property
    def seconds(self) -> float:
        """Return its length."""
        return self.end - self.start

    @property
    def shift(self) -> float:
        """Return how much earlier the range is that it is compared with; 0: none."""
        given = COMPARED[self.compare][1]
        return self.seconds if given is None else given

    def query(self, **changes: str | float | None) -> str:
        """Return the address of this range with something else; None leaves a part out."""
        parts: dict[str, str | float | None] = {"range": self.name or None}
        if not self.name:
            parts["from"] = self.start
        parts |= {"until": self.until, "compare": self.compare or None, **changes}
        given = {
            key: f"{value:.0f}" if isinstance(value, float) else value
            for key, value in parts.items()
            if value is not None
        }
        return f"?{urlencode(given)}"

    def moved(self, share: float, now: float) -> str:
        """Return the address of a range so much of its length later; never past now."""
        end = self.end + share * self.seconds
        if end >= now:
            end = now
            if self.name:
                return self.query(until=None)
        changes: dict[str, str | float | None] = {"until": end}
        if not self.name:
            changes["from"] = end - self.seconds
        return self.query(**changes)


def window_of(request: Request, now: float) -> Window:
    """Return the range that an address asks for.

    Raises:
        RequestError: it names no range that there is.
    """
    given = request.query_params
    compare = given.get("compare", "")
    name = given.get("range", "" if "from" in given else RANGE)
    if compare not in COMPARED or (name and name not in RANGES):
        raise RequestError(
            f"`range` is one of {', '.join(RANGES)}, `compare` of "
            f"{', '.join(filter(None, COMPARED))}."
        )
    until = _time(given.get("until"))
    end = now if until is None else min(until, now)
    start = end - RANGES[name][1] if name else _time(given.get("from")) or 0.0
    if end - start < SECONDS_MIN:
        raise RequestError("A range is at least a minute: `from` before `until`, seconds of 1970.")
    return Window(name, start, end, until, compare)


def _time(given: str | None) -> float | None:
    if not given:
        return None
    try:
        at = float(given)
    except ValueError:
        at = -1.0
    if not 0 <= at < 1e11:
        raise RequestError("`from` and `until` are in seconds since 1970 UTC.")
    return at


@dataclass(frozen=True, slots=True)
class Key:
    """One line in a chart's legend, with its numbers in words."""

    number: int
    name: str
    mean: str
    high: str
    change: str
    worse: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A chart with what the page says of it."""

    chart: Chart
    keys: list[Key]
    data: str
    label: str


class PerformancePage:
    """The charts of a database."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [Route("/db/{key}/performance", self.frame.page(self.performance))]

    async def performance(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/performance?range=&from=&until=&compare=."""
        window = window_of(request, self.frame.clock.now())

        def look(sight: Sight) -> dict[str, Any]:
            charts = self.frame.console.charts(
                sight.database.key,
                start=window.start,
                end=window.end,
                shift=window.shift,
                points=POINTS,
            )
            return {
                "window": window,
                "now": sight.now,
                "ranges": RANGES,
                "compared": COMPARED,
                "charts": charts,
                "shown": [
                    shown(chart, window, sight, start=drawn_start(charts, window))
                    for chart in charts.charts
                ],
                "marks": marks_of(charts),
                "known": known_of(charts),
                "events": "tick remedy" if window.until is None else "remedy",
                "every": max(5.0, window.seconds * REFRESH_SHARE),
            }

        return await self.frame.view(request, visitor, "performance.html", look)


def marks_of(charts: Charts) -> str:
    """Return where remedies acted, for the script; JSON."""
    return msgspec.json.encode(charts.marks).decode()


def known_of(charts: Charts) -> float | None:
    """Return when the first of all readings was made."""
    return min((chart.known_since for chart in charts.charts if chart.known_since), default=None)


def drawn_start(charts: Charts, window: Window) -> float:
    """Return where charts begin: what a young operator knows fills them."""
    known = known_of(charts) or window.start
    if window.shift or known <= window.start:
        return window.start
    span = max((window.end - known) * YOUNG_MARGIN, YOUNG_SECONDS)
    return max(window.start, window.end - span)


def shown(chart: Chart, window: Window, sight: Sight, *, start: float) -> Shown:
    """Return a chart with its legend, its data for the script and its words for a reader."""
    before = {(line.metric, line.name): line for line in chart.before}
    keys = [
        _key(number, line, chart, before.get((line.metric, line.name)))
        for number, line in enumerate(chart.lines)
    ]
    promise = sight.database.promise_ms if chart.name == "latency" else None
    data = msgspec.json.encode(
        {
            "name": chart.name,
            "unit": chart.unit,
            "start": start,
            "end": window.end,
            "shift": window.shift,
            "known": chart.known_since,
            "promise": promise,
            "lines": [_drawn(line, before) for line in chart.lines],
        }
    )
    said = "; ".join(f"{key.name or chart.title}: mean {key.mean}, most {key.high}" for key in keys)
    label = f"{chart.title}. {said or chart.reason}."
    return Shown(chart, keys, data.decode(), label)


def _drawn(line: Line, before: dict[tuple[str, str], Line]) -> dict[str, Any]:
    other = before.get((line.metric, line.name))
    return {
        "points": [(round(p.at), *map(_short, (p.mean, p.low, p.high))) for p in line.points],
        "before": [(round(p.at), _short(p.mean)) for p in other.points] if other else [],
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _key(number: int, line: Line, chart: Chart, before: Line | None) -> Key:
    name = line.name
    if len({one.metric for one in chart.lines}) > 1:
        metric = line.metric.partition(".")[2].rsplit("_", 1)
        what = metric[0] if metric[-1] in words.FORMATS else "_".join(metric)
        name = f"{words.label(what)} {name}".strip()
    change, worse = "", False
    if before is not None and before.mean and line.mean is not None:
        share = (line.mean - before.mean) / before.mean
        change = f"{share:+.0%}"
        worse = {"up": share >= 0.1, "down": share <= -0.1}.get(chart.bad, False)
    return Key(
        number,
        name,
        words.quantity(line.mean, chart.unit),
        words.quantity(line.high, chart.unit),
        change,
        worse,
    )
