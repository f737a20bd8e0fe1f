"""All rules of monitoring, by the probe after which they judge."""

from __future__ import annotations

from homeostat.config import MonitorConfig
from homeostat.monitor.growth import DataGrowing
from homeostat.monitor.latency import NoAgent, PromiseBroken
from homeostat.monitor.locks import LockHolderRule
from homeostat.monitor.reachable import Unreachable
from homeostat.monitor.sessions import ConnectionsNearLimit, IdleTransaction, LongStatement
from homeostat.monitor.settings import Durability
from homeostat.monitor.storage import (
    CacheHitsLow,
    DiskNearlyFull,
    FreePages,
    TransactionIdsAgeing,
    WalGrown,
)
from homeostat.operate.rule import Rule


def all_rules(config: MonitorConfig) -> tuple[Rule, ...]:
    """Return the rules with the thresholds of a configuration."""
    return (
        Unreachable(),
        PromiseBroken(clear_ticks=config.promise_ticks),
        NoAgent(),
        LockHolderRule(clear_ticks=config.promise_ticks),
        ConnectionsNearLimit(),
        IdleTransaction(),
        LongStatement(),
        CacheHitsLow(),
        WalGrown(),
        DiskNearlyFull(),
        DataGrowing(),
        TransactionIdsAgeing(),
        FreePages(),
        Durability(),
    )
