"""Self-healing: the monitors that act by themselves, as VISION.md names them."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.config import Config
from homeostat.maintain.leak import ConnectionLeak
from homeostat.maintain.pool import PoolExhausted, PoolOversized
from homeostat.maintain.pool_remedy import GrowPool, ShrinkPool
from homeostat.maintain.pooler import METRICS, PoolerProbe, PoolerSilent
from homeostat.operate.room import Room


@dataclass(frozen=True, slots=True)
class HealingMonitor:
    """One monitor: what it watches, past which threshold it does what, and whether by itself."""

    name: str
    threshold: str
    action: str
    auto_resolve: bool


@dataclass(frozen=True, slots=True)
class SelfHealingConfiguration:
    """The monitors in force and when a person is called."""

    monitors: tuple[HealingMonitor, ...]
    retries_max: int
    escalation_seconds: float


class AutomatedOperations:
    """The maintain room's entry."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def enable_self_healing(self) -> SelfHealingConfiguration:
        """Return the self-healing configuration in force; the room carries it out."""
        operate = self._config.operate
        autonomy = operate.remedies.get("grow-pool", operate.autonomy)
        return SelfHealingConfiguration(
            monitors=(
                HealingMonitor(
                    "connection_pool_monitor",
                    f"pool_exhaustion > {self._config.pool.use_share_high:.0%}",
                    "increase_pool_size",
                    autonomy == "auto",
                ),
            ),
            retries_max=operate.retries_max,
            escalation_seconds=operate.escalation_seconds,
        )

    def room(self) -> Room:
        """Return what the operator runs."""
        unused = self._config.pool.shrink_after_seconds
        return Room(
            "maintain",
            look_back={"pool.in_use_max": unused, "pool.limit": unused},
            metrics=METRICS,
            probes=(PoolerProbe(self._config.monitor.performance_seconds),),
            rules=(PoolExhausted(), PoolOversized(), PoolerSilent(), ConnectionLeak()),
            remedies=(GrowPool(config=self._config.pool), ShrinkPool(config=self._config.pool)),
        )
