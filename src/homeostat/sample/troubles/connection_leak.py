"""The trouble `connection-leak`: an export that takes a connection and never gives it back.

Every run enters a session and forgets to leave it, until a share of the pool's connections is gone.
The rest serves the traffic, ever more closely: a larger pool helps until its share is gone too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from homeostat.access import Caller, Database
from homeostat.access.session import Session
from homeostat.clock import Clock
from homeostat.sample.operations import MIX
from homeostat.sample.troubles.background import Background
from homeostat.sample.troubles.catalogue import CONNECTION_LEAK

EXPORT_NAME = "export_profile"
CALLER = Caller(source="export")


class ConnectionLeak(Background):
    """The export; `strength` is the share of the pool's connections that it leaks, at least one."""

    turn_seconds = 0.5

    def __init__(self, database: Database, *, clock: Clock) -> None:
        """Start switched off."""
        super().__init__(CONNECTION_LEAK, clock=clock)
        self._database = database
        self._leaked: list[AbstractContextManager[Session]] = []

    def turn(self, strength: float) -> None:
        """Export one more profile, unless the share is leaked already."""
        if len(self._leaked) < max(1, int(strength * self._database.pool.limit)):
            self._export()

    def end(self) -> None:
        """Give the connections back, as the end of a process would."""
        leaked, self._leaked = self._leaked, []
        for session in leaked:
            session.__exit__(None, None, None)

    def _export(self) -> None:
        context = self._database.session(caller=CALLER, name=EXPORT_NAME)
        session = context.__enter__()  # and no __exit__: this is the fault
        self._leaked.append(context)
        session.execute(MIX["load_profile"].operation, {"user_id": 1})
