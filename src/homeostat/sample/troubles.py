"""Troubles: faults put into the sample app on purpose, so that there is something to heal.

`idle-holders`: a share of the requests takes a connection, reads one row, and keeps the connection
while a slow partner answers. The processor idles, no lock is held against anyone, and the pool runs
out: more connections help.

`lock-holder`: a separate process, `nightly-report`, takes the write lock again and again and sits
on it, first for moments and after some seconds for long. Writers queue and fill the pool, whatever
its size: only the end of the holder helps.

Nothing here changes data.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from random import Random

from homeostat.access import Caller, Database
from homeostat.clock import Clock
from homeostat.errors import ConfigError
from homeostat.sample.operations import MIX, Person

IDLE_HOLDERS = "idle-holders"
LOCK_HOLDER = "lock-holder"
TROUBLES = (IDLE_HOLDERS, LOCK_HOLDER)
SYNC_OPERATION = "sync_partner_profile"
PARTNER_SECONDS = (0.150, 0.250)
REPORT_NAME = "nightly-report"
STOP_SECONDS = 2.0
STRENGTHS = {IDLE_HOLDERS: 0.28, LOCK_HOLDER: 0.85}


@dataclass(frozen=True, slots=True)
class Act:
    """One act of the demo's story, at the default rate: what is on, and what then holds.

    Attributes:
        idle_holders: strength, or None.
        lock_holder: strength, or None.
        pool_short: a pool of this size is exhausted.
        pool_enough: this size mends it; None: none does.
    """

    idle_holders: float | None
    lock_holder: float | None
    pool_short: int
    pool_enough: int | None


STORY = (
    Act(idle_holders=0.28, lock_holder=None, pool_short=4, pool_enough=8),
    Act(idle_holders=0.50, lock_holder=0.80, pool_short=8, pool_enough=None),
    Act(idle_holders=0.60, lock_holder=None, pool_short=8, pool_enough=16),
)


def checked_strength(name: str, strength: float | None) -> float:
    """Return the strength of a trouble; None: its own one in STRENGTHS.

    Raises:
        ConfigError: there is no such trouble, or the strength is not above 0 and below 1.
    """
    if name not in TROUBLES:
        raise ConfigError(f"Name one of the troubles {', '.join(TROUBLES)}.", detail=name)
    if strength is None:
        return STRENGTHS[name]
    if not 0 < strength < 1:
        raise ConfigError("A trouble's strength is above 0 and below 1.", detail=f"{strength:g}")
    return strength


class IdleHolders:
    """The slow partner: decides which requests meet it, and is the request that does.

    `strength` is the share of the requests; None: off.
    """

    def __init__(self, *, random_seed: int, clock: Clock) -> None:
        """Start switched off."""
        self.strength: float | None = None
        self._share_due = 0.0
        self._chance = Random(f"{random_seed}/{IDLE_HOLDERS}")
        self._clock = clock

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


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    strength: float


class LockHolder:
    """The nightly report: starts it, knows its pid, ends it."""

    def __init__(self, url: str) -> None:
        """Remember which database it is to lock; nothing runs yet."""
        self._url = url
        self._running: _Running | None = None

    @property
    def pid(self) -> int | None:
        """Return the process that holds the lock, or None when it does not run."""
        running = self._running
        return (
            None if running is None or running.process.poll() is not None else running.process.pid
        )

    def start(self, strength: float) -> int:
        """Start it, anew with another strength; return its pid.

        `strength` is the part of the time that the lock is held.
        """
        running = self._running
        if running is not None and running.process.poll() is None:
            if running.strength == strength:
                return running.process.pid
            self.stop()
        process = subprocess.Popen(  # noqa: S603  our own module with our own interpreter
            [
                sys.executable,
                "-m",
                "homeostat.sample.nightly_report",
                f"--name={REPORT_NAME}",
                f"--held-share={strength:g}",
                f"--parent={os.getpid()}",
                "-",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self._running = _Running(process, strength)
        assert process.stdin is not None, "it was asked for"  # noqa: S101
        process.stdin.write(self._url.encode() + b"\n")  # a URL may hold a password: not in argv
        process.stdin.flush()
        return process.pid

    def stop(self) -> None:
        """End it, by its own pid; does nothing when it does not run."""
        running, self._running = self._running, None
        if running is None:
            return
        process = running.process
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
