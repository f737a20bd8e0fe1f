"""The second lock: a database's own, beside the lease, against operators with other logbooks.

PostgreSQL: a session advisory lock on a direct connection. SQLite: flock in the runtime directory.
A stopped operator keeps it until it is ended, or goes on and finds that it lost ownership; a server
that restarts drops it. Without it nothing is applied.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress

from homeostat.engine import Engine, Unsupported
from homeostat.errors import HomeostatError


class DatabaseLock:
    """One database's lock; safe to use from any thread."""

    def __init__(self, engine: Engine, key: str) -> None:
        self._engine = engine
        self._name = f"homeostat:{key}"
        self._stack = ExitStack()
        self._turn = threading.Lock()
        self._closed = False
        self.held = False
        self.reason = "it was not asked for yet"

    def keep(self) -> bool:
        """Take the lock, or look whether it is still held; return whether it is held now.

        `reason` says why it is not.

        Raises:
            DatabaseError: the database could not be asked; the lock counts as not held.
        """
        with self._turn:
            return self._keep()

    def still_held(self) -> bool:
        """Look whether the lock that was held is: for whoever is about to change something."""
        try:
            return self.held and self.keep()
        except HomeostatError as error:
            self.release(str(error))
            return False

    def release(self, reason: str = "it was given back") -> None:
        """Give the lock back, if it is held; the reason says why it is not held."""
        with self._turn:
            self._give_back(reason)

    def close(self) -> None:
        """Give the lock back for good: nobody takes it through this any more."""
        with self._turn:
            self._closed = True
            self._give_back("the database was detached")

    def _keep(self) -> bool:
        control = self._engine.control
        if self._closed:
            return False
        if isinstance(control, Unsupported):
            self.reason = f"{control.reason} {control.mend}"
            return False
        if self.held and control.holds(self._name):
            return True
        self._give_back("it was lost")
        if self._stack.enter_context(control.lock(self._name)):
            self.held = True
            self.reason = ""
        else:
            self._give_back(
                "another operator has the database's lock: stop it, or wait until it has ended"
            )
        return self.held

    def _give_back(self, reason: str) -> None:
        self.held = False
        self.reason = reason
        with suppress(HomeostatError):
            self._stack.close()
