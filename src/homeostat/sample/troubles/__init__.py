"""Troubles: faults put into the sample app on purpose, so that there is something to heal.

One module each; `catalogue` names them, `trouble` says what each of them can do.
"""

from homeostat.sample.troubles.catalogue import (
    CONNECTION_LEAK,
    DISK_GROWTH,
    IDLE_HOLDERS,
    LOCK_HOLDER,
    STORY,
    STRENGTHS,
    TROUBLES,
    WORDS,
    Act,
    checked_strength,
)
from homeostat.sample.troubles.connection_leak import EXPORT_NAME, ConnectionLeak
from homeostat.sample.troubles.disk_growth import BYTES_MAX, TABLE, WRITE_NAME, DiskGrowth
from homeostat.sample.troubles.idle_holders import PARTNER_SECONDS, SYNC_OPERATION, IdleHolders
from homeostat.sample.troubles.lock_holder import REPORT_NAME, LockHolder
from homeostat.sample.troubles.trouble import Trouble

__all__ = [
    "BYTES_MAX",
    "CONNECTION_LEAK",
    "DISK_GROWTH",
    "EXPORT_NAME",
    "IDLE_HOLDERS",
    "LOCK_HOLDER",
    "PARTNER_SECONDS",
    "REPORT_NAME",
    "STORY",
    "STRENGTHS",
    "SYNC_OPERATION",
    "TABLE",
    "TROUBLES",
    "WORDS",
    "WRITE_NAME",
    "Act",
    "ConnectionLeak",
    "DiskGrowth",
    "IdleHolders",
    "LockHolder",
    "Trouble",
    "checked_strength",
]
