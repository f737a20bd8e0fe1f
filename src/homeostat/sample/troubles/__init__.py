"""Troubles: faults put into the sample app on purpose, so that there is something to heal.

One module each; `catalogue` names them, `trouble` says what each of them can do.
"""

from homeostat.sample.troubles.asking import AskingTrouble
from homeostat.sample.troubles.catalogue import (
    CONNECTION_LEAK,
    DISK_GROWTH,
    DROPPED_INDEX,
    HURTFUL_INDEX,
    IDLE_HOLDERS,
    LOCK_HOLDER,
    OUTCOMES,
    STALE_STATISTICS,
    STORY,
    STRENGTHS,
    TROUBLES,
    WORDS,
    Act,
    checked_strength,
)
from homeostat.sample.troubles.connection_leak import EXPORT_NAME, ConnectionLeak
from homeostat.sample.troubles.disk_growth import BYTES_MAX, TABLE, WRITE_NAME, DiskGrowth
from homeostat.sample.troubles.dropped_index import DroppedIndex
from homeostat.sample.troubles.hurtful_index import HurtfulIndex
from homeostat.sample.troubles.idle_holders import PARTNER_SECONDS, SYNC_OPERATION, IdleHolders
from homeostat.sample.troubles.lock_holder import REPORT_NAME, LockHolder
from homeostat.sample.troubles.stale_statistics import StaleStatistics
from homeostat.sample.troubles.trouble import Trouble

__all__ = [
    "BYTES_MAX",
    "CONNECTION_LEAK",
    "DISK_GROWTH",
    "DROPPED_INDEX",
    "EXPORT_NAME",
    "HURTFUL_INDEX",
    "IDLE_HOLDERS",
    "LOCK_HOLDER",
    "OUTCOMES",
    "PARTNER_SECONDS",
    "REPORT_NAME",
    "STALE_STATISTICS",
    "STORY",
    "STRENGTHS",
    "SYNC_OPERATION",
    "TABLE",
    "TROUBLES",
    "WORDS",
    "WRITE_NAME",
    "Act",
    "AskingTrouble",
    "ConnectionLeak",
    "DiskGrowth",
    "DroppedIndex",
    "HurtfulIndex",
    "IdleHolders",
    "LockHolder",
    "StaleStatistics",
    "Trouble",
    "checked_strength",
]
