"""The half of the operator's console that the pages of a database ask beside its state."""

from __future__ import annotations

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
from homeostat.operate.looking.activity import activity_of
from homeostat.operate.looking.charts import charts_of
from homeostat.operate.looking.kept_statements import KeptStatements
from homeostat.operate.looking.proposals import proposals_of
from homeostat.operate.looking.search import search
from homeostat.operate.looking.settings import settings_of
from homeostat.operate.looking.statements import statement_of, statements_of
from homeostat.operate.looking.tables import tables_of
from homeostat.operate.looking.trail import TrailReader
from homeostat.operate.operator import Operator
from homeostat.operate.views import Explained


class OperatorInsights:
    """Implements `insights.Insights`; safe to use from any thread."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._trail = TrailReader(operator.logbook, operator.clock)
        self._kept = KeptStatements(operator)

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
        one = self._operator.find(database)
        return charts_of(
            self._operator, one, start=start, end=end, shift=shift, points=points, only=only
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
        """Return what statements cost in the last so many seconds, and `shift` seconds earlier."""
        one = self._operator.find(database)
        return statements_of(
            self._operator, one, self._kept, seconds=seconds, order=order, limit=limit, shift=shift
        )

    def statement(self, database: str, key: str) -> Explained:
        """Return what is known of a statement; one without a plan is planned now, not run."""
        return statement_of(self._operator, self._operator.find(database), key)

    def activity(self, database: str) -> Activity:
        """Return who is connected and who waits for whom, as last seen."""
        return activity_of(self._operator, self._operator.find(database))

    def tables(self, database: str) -> Tables:
        """Return tables and indexes as last seen, with how they grew."""
        return tables_of(self._operator, self._operator.find(database))

    def settings(self, database: str) -> SettingsInForce:
        """Return the settings in force of a database and of Homeostat."""
        return settings_of(self._operator, self._operator.find(database))

    def finding(self, number: int) -> Finding:
        """Return one finding, open or cleared."""
        return self._operator.logbook.finding(number)

    def proposals(self, database: str, *, start: float, end: float) -> Proposals:
        """Return what was found in a period, and what was or would have been done about it."""
        return proposals_of(self._operator, self._operator.find(database), start=start, end=end)

    def trail(
        self, *, database: str | None = None, before: int | None = None, limit: int = 100
    ) -> Trail:
        """Return audit entries before a number, the newest first, with the chain verified."""
        return self._trail.read(database=database, before=before, limit=limit)

    def story(self, number: int) -> list[AuditEntry]:
        """Return the audit entries about a remedy, the oldest first; the chain is not verified."""
        logbook = self._operator.logbook
        return logbook.audit_about(f"remedy {logbook.remedy(number).id}")[::-1]

    def search(self, words: str, *, database: str | None = None, limit: int = 50) -> Hits:
        """Return what holds all the words: findings, remedies, statements, tables, settings..."""
        return search(self._operator, words, database=database, limit=limit)
