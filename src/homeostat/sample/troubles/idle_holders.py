"""The trouble `idle-holders`: a slow partner is waited for with a connection in hand.

A share of the requests takes a connection, reads one row, and keeps the connection while the
partner answers. The processor idles, no lock is held against anyone, and the pool runs out: more
connections help.
"""

from __future__ import annotations

import threading
from random import Random

from homeostat.access import Caller, Database
from homeostat.clock import Clock
from homeostat.sample.operations import MIX, Person
from homeostat.sample.troubles.catalogue import IDLE_HOLDERS

SYNC_OPERATION = "sync_partner_profile"
PARTNER_SECONDS = (0.150, 0.250)


class IdleHolders:
    """The slow partner: decides which requests meet it, and is the request that does.

    Attributes:
        strength: the share of the requests; None: off.
        pid: None, it is no process.
    """

    pid = None

    def __init__(self, *, random_seed: int, clock: Clock) -> None:
        """Start switched off."""
        self.strength: float | None = None
        self._share_due = 0.0
        self._chance = Random(f"{random_seed}/{IDLE_HOLDERS}")
        self._clock = clock

    def start(self, strength: float) -> None:
        """Let the partner be slow for this share of the requests."""
        self.strength = strength

    def stop(self) -> None:
        """Ask the partner no more."""
        self.strength = None

    def strikes(self) -> float | None:
        """Return how long the partner takes for the next request, in seconds; None: not asked.

        Every n-th request meets it, not each by chance: the load stays as even as it can be.
        """
        self._share_due += self.strength or 0.0
        if self._share_due < 1:
            return None
        self._share_due -= 1
        return self._chance.uniform(*PARTNER_SECONDS)

    def sync(
        self,
        database: Database,
        person: Person,
        *,
        caller: Caller,
        partner_seconds: float,
        stop: threading.Event,
    ) -> None:
        """Hold a connection in a reading transaction while the partner takes its time."""
        operation = MIX["load_profile"].operation
        with database.transaction(write=False, name=SYNC_OPERATION, caller=caller) as session:
            session.execute(operation, {"user_id": person.id})
            self._clock.wait(stop, partner_seconds)
