"""The second lock: a database's own, beside the lease, against operators with other logbooks.

PostgreSQL: a session advisory lock on a direct connection. SQLite: flock in the runtime directory.
A stopped operator keeps it until it is ended, or goes on and finds that it lost ownership; a server
that restarts drops it. Without it nothing is applied.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress

from homeostat.engine import Engine, Unsupported
from homeostat.errors import HomeostatError


class DatabaseLock:
    """One database's lock; used by one thread at a time."""

    def __init__(self, engine: Engine, key: str) -> None:
        self._engine = engine
        self._name = f"homeostat:{key}"
        self._stack = ExitStack()
        self.held = False
        self.reason = "it was not asked for yet"

    def keep(self) -> bool:
        """Take the lock, or look whether it is still held; return whether it is held now.

        `reason` says why it is not.

        Raises:
            DatabaseError: the database could not be asked; the lock counts as not held.
        """
        control = self._engine.control
        if isinstance(control, Unsupported):
            self.reason = f"{control.reason} {control.mend}"
            return False
        if self.held and control.holds(self._name):
            return True
        self.release()
        if self._stack.enter_context(control.lock(self._name)):
            self.held = True
            self.reason = ""
        else:
            self.release()
            self.reason = (
                "another operator has the database's lock: stop it, or wait until it has ended"
            )
        return self.held

    def release(self) -> None:
        """Give the lock back, if it is held."""
        self.held = False
        self.reason = "it was given back"
        with suppress(HomeostatError):
            self._stack.close()
