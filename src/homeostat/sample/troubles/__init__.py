"""Troubles: faults put into the sample app on purpose, so that there is something to heal.

One module each; `catalogue` names them, `trouble` says what each of them can do.
"""

from homeostat.sample.troubles.catalogue import (
    IDLE_HOLDERS,
    LOCK_HOLDER,
    STORY,
    STRENGTHS,
    TROUBLES,
    WORDS,
    Act,
    checked_strength,
)
from homeostat.sample.troubles.idle_holders import PARTNER_SECONDS, SYNC_OPERATION, IdleHolders
from homeostat.sample.troubles.lock_holder import REPORT_NAME, LockHolder
from homeostat.sample.troubles.trouble import Trouble

__all__ = [
    "IDLE_HOLDERS",
    "LOCK_HOLDER",
    "PARTNER_SECONDS",
    "REPORT_NAME",
    "STORY",
    "STRENGTHS",
    "SYNC_OPERATION",
    "TROUBLES",
    "WORDS",
    "Act",
    "IdleHolders",
    "LockHolder",
    "Trouble",
    "checked_strength",
]
