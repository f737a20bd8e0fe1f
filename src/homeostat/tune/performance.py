"""Performance operations: slow statements explained, what they lack built and proven."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.config import Config
from homeostat.operate.room import Room
from homeostat.tune.index_remedy import CreateIndex
from homeostat.tune.probes import METRICS, FollowProbe, StatementProbe
from homeostat.tune.slow import SlowStatement
from homeostat.tune.statistics_remedy import AnalyseTables, AnalyseUndoably, RefreshStatistics


@dataclass(frozen=True, slots=True)
class OptimizationSession:
    """What runs by itself, and how often."""

    queries_seconds: float
    mean_query_ms: float
    index_benefit_share: float
    autonomy: str


class PerformanceOperations:
    """The tune room's entry."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def run_continuous_optimization(self) -> OptimizationSession:
        """Return the session in force; the room carries it out."""
        operate, tune = self._config.operate, self._config.tune
        return OptimizationSession(
            tune.queries_seconds,
            tune.mean_query_ms,
            tune.index_benefit_share,
            operate.remedies.get("create-index", operate.autonomy),
        )

    def room(self) -> Room:
        """Return what the operator runs."""
        tune = self._config.tune
        return Room(
            "tune",
            metrics=METRICS,
            probes=(StatementProbe(self._config), FollowProbe(self._config)),
            rules=(SlowStatement(),),
            remedies=(
                CreateIndex(config=tune),
                RefreshStatistics(config=tune),
                AnalyseUndoably(config=tune),
                AnalyseTables(config=tune),
            ),
        )
