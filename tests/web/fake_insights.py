"""The half of the fake operator that the pages of a database ask beside its state."""

from __future__ import annotations

from homeostat.operate.insights import Chart, Charts


class FakeInsights:
    """Holds what a test gives it."""

    def forget_insights(self) -> None:
        """Forget everything."""
        self.rows_charts: list[Chart] = []

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
