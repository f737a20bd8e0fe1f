"""The monitor room's entry, and the configuration that is in force."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.config import Config
from homeostat.monitor.growing import GrowthProbe
from homeostat.monitor.health import HealthProbe
from homeostat.monitor.metrics import METRICS
from homeostat.monitor.performance import PerformanceProbe
from homeostat.monitor.rules import all_rules
from homeostat.monitor.tables import TablesProbe
from homeostat.operate.room import Room


@dataclass(frozen=True, slots=True)
class MonitoringTask:
    """One periodic task: its name, how often it runs, and what it does."""

    name: str
    interval_seconds: float
    what: str


@dataclass(frozen=True, slots=True)
class MonitoringConfiguration:
    """What is monitored, how often, and which rules judge it after every tick."""

    tasks: tuple[MonitoringTask, ...]
    rules: tuple[str, ...]
    promise_ms: float


class ProductionMonitoring:
    """Continuous monitoring of the attached databases."""

    def __init__(self, config: Config) -> None:
        """Use the thresholds and intervals of a configuration."""
        self._config = config

    def start_continuous_monitoring(self) -> MonitoringConfiguration:
        """Return the monitoring in force; the operator carries it out through `room`."""
        room = self.room()
        return MonitoringConfiguration(
            tasks=tuple(
                MonitoringTask(probe.name, probe.interval_seconds, probe.help)
                for probe in room.probes
            ),
            rules=tuple(rule.name for rule in room.rules),
            promise_ms=self._config.monitor.promise_ms,
        )

    def room(self) -> Room:
        """Return what the operator runs."""
        monitor = self._config.monitor
        return Room(
            "monitor",
            metrics=METRICS,
            probes=(
                HealthProbe(monitor.health_seconds),
                GrowthProbe(monitor.capacity_seconds),
                PerformanceProbe(monitor.performance_seconds),
                TablesProbe(monitor.capacity_seconds),
            ),
            rules=all_rules(monitor),
            look_back={
                "postgresql.connections_used_share": monitor.connections_seconds,
                "sqlite.wal_bytes": monitor.wal_growing_seconds,
                "database.size_bytes": monitor.growth_seconds,
            },
        )
