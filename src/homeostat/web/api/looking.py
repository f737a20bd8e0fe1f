"""Routes of what the pages of a database show beside its state: charts, statements, activity."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeostat.clock import Clock
from homeostat.errors import NotFoundError
from homeostat.logbook.rows import AuditEntry, Finding
from homeostat.operate.insights import (
    Activity,
    Charts,
    Hits,
    Proposals,
    SettingsInForce,
    Statements,
    Tables,
    Trail,
)
from homeostat.operate.views import Console, Explained
from homeostat.web.api.calls import Calls
from homeostat.web.api.route import route
from homeostat.web.api.shapes import (
    Asked,
    OneName,
    OneNumber,
    Period,
    TheDatabase,
    TrailPage,
    WhichCharts,
    WhichStatements,
    range_of,
)


@dataclass(slots=True)
class Looking:
    """The routes behind the pages of a database."""

    console: Console
    clock: Clock
    call: Calls = field(default_factory=Calls)

    @route("GET", "/api/v1/charts", errors=(NotFoundError,))
    async def charts(self, query: WhichCharts) -> Charts:
        """Return what was measured over a range, and over an earlier one to compare it with."""
        start, end = range_of(query.start, query.end, now=self.clock.now())
        return await self.call(
            self.console.charts,
            query.database,
            start=start,
            end=end,
            shift=query.shift,
            points=query.points,
            only=query.only,
        )

    @route("GET", "/api/v1/statements", errors=(NotFoundError,))
    async def statements(self, query: WhichStatements) -> Statements:
        """Return what statements cost lately, in the order asked for."""
        return await self.call(
            self.console.statements,
            query.database,
            seconds=query.seconds,
            order=query.order,
            limit=query.limit,
            shift=query.shift,
        )

    @route("GET", "/api/v1/statements/{name}")
    async def statement(self, path: OneName, query: TheDatabase) -> Explained:
        """Return what is known of a statement by its key; without a plan it is planned, not run."""
        return await self.call(self.console.statement, query.database, path.name)

    @route("GET", "/api/v1/activity", errors=(NotFoundError,))
    async def activity(self, query: TheDatabase) -> Activity:
        """Return who is connected and who waits for whom, as last seen."""
        return await self.call(self.console.activity, query.database)

    @route("GET", "/api/v1/tables", errors=(NotFoundError,))
    async def tables(self, query: TheDatabase) -> Tables:
        """Return tables and indexes as last seen, with how they grew."""
        return await self.call(self.console.tables, query.database)

    @route("GET", "/api/v1/settings", errors=(NotFoundError,))
    async def settings(self, query: TheDatabase) -> SettingsInForce:
        """Return the settings in force, of a database and of Homeostat."""
        return await self.call(self.console.settings, query.database)

    @route("GET", "/api/v1/findings/{id}")
    async def finding(self, path: OneNumber) -> Finding:
        """Return one finding, open or cleared."""
        return await self.call(self.console.finding, path.id)

    @route("GET", "/api/v1/proposals", errors=(NotFoundError,))
    async def proposals(self, query: Period) -> Proposals:
        """Return what was found in a period, and what was or would have been done about it."""
        start, end = range_of(query.start, query.end, now=self.clock.now())
        return await self.call(self.console.proposals, query.database, start=start, end=end)

    @route("GET", "/api/v1/trail")
    async def trail(self, query: TrailPage) -> Trail:
        """Return a page of the audit log, the newest first, with its chain of hashes verified."""
        return await self.call(
            self.console.trail, database=query.database, before=query.before, limit=query.limit
        )

    @route("GET", "/api/v1/remedies/{id}/entries")
    async def story(self, path: OneNumber) -> list[AuditEntry]:
        """Return who did what for a remedy, the oldest first; the chain is not verified."""
        return await self.call(self.console.story, path.id)

    @route("GET", "/api/v1/search", errors=(NotFoundError,))
    async def search(self, query: Asked) -> Hits:
        """Return what holds all the words, the best first."""
        return await self.call(
            self.console.search, query.words, database=query.database, limit=query.limit
        )
