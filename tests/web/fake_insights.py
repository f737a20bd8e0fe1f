"""The half of the fake operator that the pages of a database ask beside its state."""

from __future__ import annotations

from homeostat.errors import NotFoundError
from homeostat.logbook.rows import AuditEntry, Finding
from homeostat.operate.insights import (
    Activity,
    Chart,
    Charts,
    Hit,
    Hits,
    Proposals,
    SettingsInForce,
    StatementRow,
    Statements,
    Tables,
    Trail,
)
from homeostat.operate.views import Explained


class FakeInsights:
    """Holds what a test gives it."""

    rows_audit: list[AuditEntry]
    rows_findings: dict[int, Finding]

    def forget_insights(self) -> None:
        """Forget everything."""
        self.rows_charts: list[Chart] = []
        self.rows_statements: list[StatementRow] = []
        self.statements_since: float | None = None
        self.compared_known = 600.0
        self.explained: Explained | None = None
        self.seen: Activity | None = None
        self.held: Tables | None = None
        self.in_force: SettingsInForce | None = None
        self.report_of: Proposals | None = None
        self.rows_hits: list[Hit] = []
        self.broken = ""

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
        """See Console."""
        found = [one for one in self.rows_charts if only in {"", one.name}]
        return Charts(
            database=database,
            start=start,
            end=end,
            step_seconds=(end - start) / points,
            compared_start=start - shift if shift else None,
            charts=found,
            marks=[],
        )

    def statements(
        self,
        database: str,
        *,
        seconds: float = 600.0,
        order: str = "total",
        limit: int = 50,
        shift: float = 0.0,
    ) -> Statements:
        """See Console."""
        rows = self.rows_statements[:limit]
        return Statements(
            database=database,
            at=1.7e9,
            seconds=seconds,
            order=order,
            rows=rows,
            known_since=self.statements_since,
            known_seconds=seconds,
            reason="" if rows else "No statement was seen in this time.",
            compared_start=1.7e9 - seconds - shift if shift else None,
            compared_known_seconds=self.compared_known if shift else None,
        )

    def statement(self, database: str, key: str) -> Explained:  # noqa: ARG002
        """See Console."""
        if self.explained is None:
            raise NotFoundError(where=key)
        return self.explained

    def activity(self, database: str) -> Activity:
        """See Console."""
        return self.seen or Activity(
            database=database,
            at=None,
            connections=None,
            connections_max=None,
            waiting=None,
            sessions=None,
            locks=[],
            agents=[],
            unknown={"sessions": "nothing was seen yet"},
        )

    def tables(self, database: str) -> Tables:
        """See Console."""
        return self.held or Tables(
            database=database, at=None, tables=[], reason="tables were not read yet"
        )

    def settings(self, database: str) -> SettingsInForce:
        """See Console."""
        return self.in_force or SettingsInForce(
            database=database, of_database=[], of_homeostat=[], reason="the database is away"
        )

    def finding(self, number: int) -> Finding:
        """See Console."""
        if number not in self.rows_findings:
            raise NotFoundError
        return self.rows_findings[number]

    def proposals(self, database: str, *, start: float, end: float) -> Proposals:
        """See Console."""
        return self.report_of or Proposals(
            database=database,
            start=start,
            end=end,
            since=start,
            autonomy="observe",
            found=[],
            proposed=[],
        )

    def trail(
        self, *, database: str | None = None, before: int | None = None, limit: int = 100
    ) -> Trail:
        """See Console."""
        entries = [e for e in self.rows_audit[::-1] if before is None or e.sequence < before]
        return Trail(
            entries=[e for e in entries if database in {None, e.database}][:limit],
            total=len(self.rows_audit),
            verified=None if self.broken else len(self.rows_audit),
            verified_at=0.0,
            broken=self.broken,
        )

    def story(self, number: int) -> list[AuditEntry]:
        """See Console."""
        return [entry for entry in self.rows_audit if entry.subject == f"remedy {number}"]

    def search(self, words: str, *, database: str | None = None, limit: int = 50) -> Hits:
        """See Console."""
        hits = [hit for hit in self.rows_hits if database in {None, hit.database}]
        return Hits(asked=words, hits=hits[:limit], more=max(0, len(hits) - limit))
