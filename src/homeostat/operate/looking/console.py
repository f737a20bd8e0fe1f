"""The half of the operator's console that the pages of a database ask beside its state."""

from __future__ import annotations

from homeostat.operate.insights import Activity, Charts, SettingsInForce, Statements, Tables
from homeostat.operate.looking.activity import activity_of
from homeostat.operate.looking.charts import charts_of
from homeostat.operate.looking.settings import settings_of
from homeostat.operate.looking.statements import statement_of, statements_of
from homeostat.operate.looking.tables import tables_of
from homeostat.operate.operator import Operator
from homeostat.operate.views import Explained


class OperatorInsights:
    """Implements `insights.Insights`; safe to use from any thread."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

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
        self, database: str, *, seconds: float = 600.0, order: str = "total", limit: int = 50
    ) -> Statements:
        """Return what statements cost in the last so many seconds."""
        one = self._operator.find(database)
        return statements_of(self._operator, one, seconds=seconds, order=order, limit=limit)

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
