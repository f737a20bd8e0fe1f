"""Who may operate a database: one process, for a time, under an epoch that only grows.

The lease decides. While it holds, another operator is refused. After it ran out, the waiter ends
the holder by pid and start time; where it cannot (another machine), the raised epoch makes every
later write of the old holder fail. A holder whose process is gone is succeeded at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from homeostat.clock import Clock
from homeostat.errors import LeaseExpiredError, OwnedElsewhereError, OwnershipLostError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import Owner, Tenure

START_TOLERANCE_SECONDS = 1.0  # psutil rounds start times to clock ticks
END_SECONDS_MAX = 5.0


def this_process(label: str = "") -> Owner:
    """Return this process as an owner."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return Owner(
        pid=os.getpid(),
        started=psutil.Process().create_time(),
        host=socket.gethostname(),
        boot=boot.read_text().strip() if boot.exists() else str(psutil.boot_time()),
        label=label,
    )


def is_alive(owner: Owner) -> bool:
    """Return whether the very process still exists on this machine (a stopped one does)."""
    try:
        process = psutil.Process(owner.pid)
        same = abs(process.create_time() - owner.started) < START_TOLERANCE_SECONDS
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def end(owner: Owner) -> bool:
    """Kill the very process, also a stopped one; return whether it is gone."""
    try:
        process = psutil.Process(owner.pid)
        if abs(process.create_time() - owner.started) >= START_TOLERANCE_SECONDS:
            return True
        process.kill()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
    until = time.monotonic() + END_SECONDS_MAX
    while is_alive(owner) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(owner)


@dataclass(frozen=True, slots=True)
class Succession:
    """Whom this operator succeeded, and whether that process was ended for it."""

    previous: Tenure | None
    ended: bool


class Ownership:
    """This process's claim on one scope; safe to use from any thread."""

    def __init__(
        self, logbook: Logbook, *, scope: str, owner: Owner, clock: Clock, lease_seconds: float
    ) -> None:
        self._logbook = logbook
        self._scope = scope
        self._owner = owner
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._lock = threading.Lock()
        self._tenure: Tenure | None = None

    def take(self) -> Succession:
        """Become the owner.

        Raises:
            OwnedElsewhereError: another operator holds an unexpired lease and lives.
        """
        previous = self._logbook.tenure(self._scope)
        ended = False
        if previous is not None and previous.owner != self._owner:
            ended = self._succeed(previous)
        with self._lock:
            self._tenure = self._logbook.claim(
                self._scope, self._owner, lease_seconds=self._lease_seconds
            )
        return Succession(previous, ended)

    def _succeed(self, previous: Tenure) -> bool:
        local = (previous.owner.host, previous.owner.boot) == (self._owner.host, self._owner.boot)
        if local and not is_alive(previous.owner):
            self._logbook.release(previous)
            return False
        if previous.expires > self._clock.now():
            seconds = previous.expires - self._clock.now()
            message = (
                f"Process {previous.owner.pid} on {previous.owner.host} operates this database. "
                f"Use `homeostat status`, or stop it; its lease runs {seconds:.0f} s more."
            )
            raise OwnedElsewhereError(message, where=previous.owner.label)
        return local and end(previous.owner)

    @property
    def tenure(self) -> Tenure:
        """Return the tenure to write under.

        Raises:
            OwnershipLostError: nothing is claimed, or another operator took over.
            LeaseExpiredError: it ran out; `renew` brings it back unless somebody took over.
        """
        with self._lock:
            tenure = self._tenure
        if tenure is None:
            raise OwnershipLostError(where=self._scope)
        if tenure.expires <= self._clock.now():
            raise LeaseExpiredError(where=self._scope)
        return tenure

    @property
    def epoch(self) -> int:
        """Return the epoch of the claim, 0 before any."""
        with self._lock:
            return self._tenure.epoch if self._tenure else 0

    def renew(self) -> None:
        """Extend the lease, also one that ran out without anybody taking over.

        Raises:
            OwnershipLostError: another operator took over.
        """
        with self._lock:
            if self._tenure is None:
                raise OwnershipLostError(where=self._scope)
            try:
                self._tenure = self._logbook.renew(self._tenure, lease_seconds=self._lease_seconds)
            except OwnershipLostError:
                self._tenure = None
                raise

    def release(self) -> None:
        """Give the scope back, so that a successor need not wait."""
        with self._lock:
            if self._tenure is not None:
                self._logbook.release(self._tenure)
                self._tenure = None
