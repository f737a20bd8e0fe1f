"""The pages of decisions: remedies with their story, findings, and what would have been done."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from homeostat.errors import NotFoundError, RequestError
from homeostat.logbook.rows import RemedyRecord
from homeostat.web.auth import Visitor
from homeostat.web.pages.frame import Frame, Sight
from homeostat.web.pages.performance import Window, marks_of, shown

LIST_MAX = 500
AROUND_SECONDS = 1800.0  # shown before and after what happened
AROUND_MIN = 300.0
PERIODS: dict[str, tuple[str, float]] = {
    "1": ("The last day", 86_400.0),
    "7": ("The last 7 days", 7 * 86_400.0),
    "30": ("The last 30 days", 30 * 86_400.0),
}
CHARTS = ("latency", "throughput", "pools", "waits")


class RemedyPages:
    """Remedies, findings, and the report."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        page = self.frame.page
        return [
            Route("/db/{key}/remedies", page(self.remedies)),
            Route("/db/{key}/remedies/{id:int}", page(self.remedy)),
            Route("/db/{key}/findings/{id:int}", page(self.finding)),
            Route("/db/{key}/report", page(self.report)),
        ]

    async def remedies(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/remedies: all of them, the newest first."""

        def look(sight: Sight) -> dict[str, Any]:
            records = self.frame.console.remedies(database=sight.database.key, limit=LIST_MAX)
            return {"records": records, "most": LIST_MAX, "events": "remedy", "every": 1}

        return await self.frame.view(request, visitor, "remedies.html", look)

    async def remedy(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/remedies/{id}: one with its story."""
        number = request.path_params["id"]

        def look(sight: Sight) -> dict[str, Any]:
            console = self.frame.console
            view = console.remedy(number)
            if view.remedy.database != sight.database.key:
                raise NotFoundError("This remedy is not of this database.")
            return {
                "tab": "remedies",
                "view_of": view,
                "entries": console.story(number),
                **self._around(sight, *span_of(view.remedy, sight.now)),
                "events": "remedy run step tick",
                "every": 2,
            }

        return await self.frame.view(request, visitor, "remedy.html", look)

    async def finding(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/findings/{id}: one, open or cleared, with what was done about it."""
        number = request.path_params["id"]

        def look(sight: Sight) -> dict[str, Any]:
            console = self.frame.console
            found = console.finding(number)
            if found.database != sight.database.key:
                raise NotFoundError("This finding is not of this database.")
            records = console.remedies(database=sight.database.key, limit=LIST_MAX)
            return {
                "tab": "remedies",
                "one": found,
                "records": [record for record in records if record.finding == number],
                **self._around(sight, found.opened, found.cleared or sight.now),
                "events": "finding remedy tick",
                "every": 5,
            }

        return await self.frame.view(request, visitor, "finding.html", look)

    async def report(self, request: Request, visitor: Visitor) -> Response:
        """GET /db/{key}/report?days=."""
        days = request.query_params.get("days", "7")
        if days not in PERIODS:
            raise RequestError(f"`days` is one of {', '.join(PERIODS)}.")

        def look(sight: Sight) -> dict[str, Any]:
            found = self.frame.console.proposals(
                sight.database.key, start=sight.now - PERIODS[days][1], end=sight.now
            )
            return {
                "found": found,
                "days": days,
                "periods": PERIODS,
                "would": [one for one in found.proposed if one.state in {"observed", "waiting"}],
                "done": [one for one in found.proposed if one.state not in {"observed", "waiting"}],
                "events": "finding remedy",
                "every": 5,
            }

        return await self.frame.view(request, visitor, "report.html", look)

    def _around(self, sight: Sight, start: float, end: float) -> dict[str, Any]:
        """Return the charts of the time around something."""
        around = max(AROUND_MIN, min(AROUND_SECONDS, end - start))
        window = Window("", start - around, min(end + around, sight.now), end, "")
        parts = [
            self.frame.console.charts(
                sight.database.key, start=window.start, end=window.end, only=name
            )
            for name in CHARTS
        ]
        charts = [chart for part in parts for chart in part.charts if chart.lines]
        return {
            "shown": [shown(chart, window, sight, start=window.start) for chart in charts],
            "marks": marks_of(parts[0]) if parts else "[]",
        }


def span_of(record: RemedyRecord, now: float) -> tuple[float, float]:
    """Return from when to when a remedy was on its way."""
    return record.proposed, record.ended or now
