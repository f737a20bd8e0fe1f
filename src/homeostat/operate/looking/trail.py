"""The audit log for people: a page of it, and whether its chain of hashes holds.

The chain is followed from the first entry, at most once a minute however many are added; the answer
says when, and through how many entries. It shows that an entry was changed, left out or put in. It
cannot show that all of it was rewritten.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from homeostat.clock import Clock
from homeostat.errors import LogbookCorruptError
from homeostat.logbook import Logbook
from homeostat.operate.insights import Trail

KEEP_SECONDS = 60.0


@dataclass(slots=True)
class TrailReader:
    """Reads the audit log of one operator; safe to use from any thread."""

    logbook: Logbook
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: tuple[float, int | None, str] | None = None  # when, verified, broken

    def read(self, *, database: str | None, before: int | None, limit: int) -> Trail:
        """Return entries before a number, the newest first, with the state of the chain."""
        at, verified, broken = self._verify()
        newest = self.logbook.audit(limit=1)  # afterwards: the log grows, and a total holds it all
        total = newest[0].sequence if newest else 0
        return Trail(
            entries=self.logbook.audit(limit=limit, before=before, database=database),
            total=total,
            verified=verified,
            verified_at=at,
            broken=broken,
        )

    def _verify(self) -> tuple[float, int | None, str]:
        with self._lock:
            now = self.clock.now()
            known = self._known
            if known is None or now - known[0] > KEEP_SECONDS:
                try:
                    known = (now, self.logbook.verify_audit(), "")
                except LogbookCorruptError as error:
                    known = (now, None, str(error))
                self._known = known
            return known
