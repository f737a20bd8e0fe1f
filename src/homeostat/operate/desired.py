"""The settings that the agents of an application are to have; durable, versioned, fenced.

They belong to the application, not to a process: an application that restarts gets what was kept
for it. Agents hold them for `expires_seconds` without a word from an operator, then return to the
application's own defaults.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from homeostat.access.protocol import Settings
from homeostat.logbook import Logbook
from homeostat.operate.ownership import Ownership

Values = Mapping[str, float | int | str | bool]


class DesiredSettings:
    """Settings by application for one database; safe to use from any thread."""

    def __init__(
        self, logbook: Logbook, database: str, ownership: Ownership, *, expires_seconds: float
    ) -> None:
        self._logbook = logbook
        self._database = database
        self._ownership = ownership
        self._expires_seconds = expires_seconds
        self._cache: dict[str, Settings] = {}
        self._lock = threading.RLock()  # what is read from the logbook must not hide what was set

    def of(self, application: str) -> Settings:
        """Return the settings in force for an application; version 0 and no values: none."""
        known = self._cache.get(application)
        if known is not None:
            return known
        with self._lock:
            stored: Any = self._logbook.value(self._key(application))
            found = stored or {"version": 0, "values": {}}
            known = Settings(found["version"], self._expires_seconds, found["values"])
            return self._cache.setdefault(application, known)

    def set(self, application: str, values: Values) -> int:
        """Replace the values of an application; return the new version.

        Raises:
            OwnershipLostError: another operator took over; nothing was changed.
            LogbookError: it could not be stored; nothing was changed.
        """
        with self._lock:
            version = self.of(application).version + 1
            stored = {"version": version, "values": dict(values)}
            with self._logbook.write(self._ownership.tenure) as tx:
                tx.set_value(self._key(application), stored)
            self._cache[application] = Settings(version, self._expires_seconds, dict(values))
        return version

    def _key(self, application: str) -> str:
        return f"settings/{self._database}/{application}"
