"""The half of the operator's console that the pages of a database ask beside its state."""

from __future__ import annotations

from homeostat.operate.insights import Charts
from homeostat.operate.looking.charts import charts_of
from homeostat.operate.operator import Operator


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
