"""Routes that read: what the operator and its databases are like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import anyio
from starlette.requests import Request
from starlette.responses import Response

from homeostat.clock import Clock
from homeostat.config import WebConfig
from homeostat.errors import InvalidRequestError, NotFoundError, TooManyStreamsError
from homeostat.logbook.rows import AuditEntry, Event, Finding, RemedyRecord
from homeostat.operate.views import (
    CloneView,
    Console,
    Explained,
    RemedyView,
    Series,
    SeriesNow,
    Status,
    Tick,
)
from homeostat.web.api.calls import THREADS_COPIES, Calls
from homeostat.web.api.route import route
from homeostat.web.api.shapes import (
    WHOLE_MAX,
    OneDatabase,
    OneName,
    OneNumber,
    TheDatabase,
    WhichEntries,
    WhichEvents,
    WhichFindings,
    WhichGroups,
    WhichRemedies,
    WhichSeries,
    range_of,
)
from homeostat.web.auth import Visitor
from homeostat.web.fleet import Group, Wanted, fleet
from homeostat.web.prometheus import MEDIA_TYPE, exposition
from homeostat.web.stream import EventStream, Pump


def copies() -> Calls:
    """Return calls with threads of their own for what may take minutes."""
    return Calls(anyio.CapacityLimiter(THREADS_COPIES))


@dataclass(slots=True)
class Reading:
    """The routes that a viewer may ask."""

    console: Console
    pump: Pump
    config: WebConfig
    clock: Clock
    call: Calls = field(default_factory=Calls)
    call_copies: Calls = field(default_factory=copies)

    @route("GET", "/api/v1/status")
    async def status(self) -> Status:
        """Return the operator and its databases at a glance."""
        return await self.call(self.console.status)

    @route("GET", "/api/v1/fleet")
    async def fleet(self, query: WhichGroups) -> list[Group]:
        """Return the databases by group; in each those that wait for a person or are worst first.

        Databases that could not be attached yet count as unreachable and carry no labels.
        """
        wanted = Wanted(query.label, query.group, query.state, query.words)
        return fleet(await self.call(self.console.status), wanted)

    @route("GET", "/api/v1/findings")
    async def findings(self, query: WhichFindings) -> list[Finding]:
        """Return open findings, the newest first."""
        return await self.call(
            self.console.findings, database=query.database or None, open_only=not query.all
        )

    @route("GET", "/api/v1/remedies")
    async def remedies(self, query: WhichRemedies) -> list[RemedyRecord]:
        """Return remedies, the newest first."""
        return await self.call(
            self.console.remedies, database=query.database or None, limit=query.limit
        )

    @route("GET", "/api/v1/remedies/{id}")
    async def remedy(self, path: OneNumber) -> RemedyView:
        """Return a remedy with its finding, its moves, and what can be decided now."""
        return await self.call(self.console.remedy, path.id)

    @route("GET", "/api/v1/explain/{name}")
    async def explain(self, path: OneName) -> Explained:
        """Return what is known of a statement: by a finding's number, its key, or an operation."""
        return await self.call(self.console.explain, path.name)

    @route("GET", "/api/v1/series", errors=(NotFoundError,))
    async def series(self, query: WhichSeries) -> Series:
        """Return a metric over time; there are no points where nothing was measured."""
        start, end = range_of(query.start, query.end, now=self.clock.now())
        return await self.call(
            self.console.series,
            query.database,
            query.metric,
            query.subject or "database",
            start=start,
            end=end,
            points=query.points,
        )

    @route("GET", "/api/v1/readings", errors=(NotFoundError,))
    async def readings(self, query: OneDatabase) -> list[SeriesNow]:
        """Return the newest reading of every series, with the reason where it is unknown."""
        return await self.call(self.console.readings, database=query.database or None)

    @route("GET", "/metrics", answer=str, media="text/plain")
    async def metrics(self) -> Response:
        """Return the newest readings in Prometheus' text format; docs/how-to/prometheus.md."""

        def scrape() -> str:
            return exposition(self.console.status(), self.console.readings())

        return Response(await self.call(scrape), media_type=MEDIA_TYPE)

    @route("GET", "/api/v1/tick", errors=(NotFoundError,))
    async def tick(self, query: TheDatabase) -> Tick:
        """Return the newest reading of all that the page shows live."""
        return await self.call(self.console.tick, query.database)

    @route("GET", "/api/v1/audit")
    async def audit(self, query: WhichEntries) -> list[AuditEntry]:
        """Return who did what, the newest first."""
        return await self.call(self.console.audit, limit=query.limit)

    @route(
        "GET",
        "/api/v1/events",
        answer=Event,
        media="text/event-stream",
        errors=(TooManyStreamsError,),
    )
    async def events(self, request: Request, query: WhichEvents, visitor: Visitor) -> Response:
        """Return committed events as they come, as server-sent events; docs/reference/api.md."""
        last = request.headers.get("last-event-id")
        if last is not None and not (last.isascii() and last.isdigit() and int(last) <= WHOLE_MAX):
            raise InvalidRequestError("The header `Last-Event-ID` is the number of an event.")
        who = visitor.session or _token_of(request)
        if self.pump.by_visitor[who] >= self.config.streams_per_visitor_max or (
            self.pump.streams >= self.config.streams_max
        ):
            raise TooManyStreamsError
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type)
        return EventStream(
            self.pump,
            clock=self.clock,
            after=query.after if last is None else int(last),
            database=query.database or None,
            visitor=who,
        )

    @route("GET", "/api/v1/clones", errors=(NotFoundError,))
    async def clones(self, query: OneDatabase) -> list[CloneView]:
        """Return the copies that Homeostat made and that are still there, the newest first."""
        return await self.call_copies(self.console.clones, database=query.database or None)


def _token_of(request: Request) -> str:
    """Return what tells programs apart: a digest of their token, which stays a secret."""
    token = request.headers.get("authorization", "").rpartition(" ")[2]
    return hashlib.sha256(token.encode()).hexdigest()
