"""The half of the fake operator that the pages of a database ask beside its state."""

from __future__ import annotations

from homeostat.errors import NotFoundError
from homeostat.operate.insights import (
    Activity,
    Chart,
    Charts,
    SettingsInForce,
    StatementRow,
    Statements,
    Tables,
)
from homeostat.operate.views import Explained


class FakeInsights:
    """Holds what a test gives it."""

    def forget_insights(self) -> None:
        """Forget everything."""
        self.rows_charts: list[Chart] = []
        self.rows_statements: list[StatementRow] = []
        self.explained: Explained | None = None
        self.seen: Activity | None = None
        self.held: Tables | None = None
        self.in_force: SettingsInForce | None = None

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
        self, database: str, *, seconds: float = 600.0, order: str = "total", limit: int = 50
    ) -> Statements:
        """See Console."""
        rows = self.rows_statements[:limit]
        return Statements(
            database=database,
            at=0.0,
            seconds=seconds,
            order=order,
            rows=rows,
            known_since=None,
            reason="" if rows else "No statement was seen in this time.",
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
