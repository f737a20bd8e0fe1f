"""The PgBouncer before a PostgreSQL database: watched over its console, sized through its file.

The file first, then RELOAD: what SET changes is lost at the next RELOAD, and the size of a single
database's pool cannot be set. Both steps may be repeated; between them PgBouncer goes on with the
old size. Nothing in the database itself is touched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from homeostat.driver import pgbouncer, pgbouncer_ini
from homeostat.driver.pgbouncer import PoolerReading
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.postgres_url import database_of, user_of
from homeostat.engine.engine import PoolerTarget, Target, Unsupported
from homeostat.engine.facets import PoolSetting
from homeostat.engine.reserved import Reserved
from homeostat.errors import ConnectionLostError, DatabaseError, PoolerFileError
from homeostat.secret import Secret, with_password

T = TypeVar("T")

NO_POOLER = Unsupported(
    "No PgBouncer is configured for this database.",
    "If there is one, set `pooler` in [databases.NAME] to its console's URL, and `pooler_ini`.",
)


def find_pooler(target: Target, *, application_name: str) -> PgBouncer | Unsupported:
    """Return the facet, if the target names a PgBouncer; nothing is opened yet."""
    if not target.pooler.url:
        return NO_POOLER
    database = target.pooler.database or database_of(target.url)
    return PgBouncer(
        target.pooler,
        database=database,
        application_name=application_name,
        connect_timeout_seconds=target.connect_timeout_seconds,
    )


class PgBouncer:
    """Facet: fulfils `facets.Pooler`; safe to use from any thread, which take turns."""

    def __init__(
        self,
        target: PoolerTarget,
        *,
        database: str,
        application_name: str,
        connect_timeout_seconds: int,
    ) -> None:
        """Take where it is; the console's connection is opened when it is first needed."""
        self.database = database
        self._target = target
        self._application_name = application_name
        self._connect_timeout_seconds = connect_timeout_seconds
        self._reserved: Reserved[PostgresWire] | None = None
        self._lock = threading.RLock()  # the console's connection is used by one at a time
        self._ini = Path(target.ini).expanduser() if target.ini else None

    def reading(self) -> PoolerReading:
        """Return what its pools do now.

        Raises:
            SecretError: the password cannot be read.
            DatabaseError: the console cannot be reached, or does not know the database.
        """
        return self._ask(lambda wire: pgbouncer.reading(wire, self.database))

    def cannot_size(self) -> str:
        """Return why the size cannot be changed, and what would let it; empty: it can."""
        if self._ini is None:
            return (
                "PgBouncer's file is not configured: set `pooler_ini` in [databases.NAME] to its "
                "path on this machine"
            )
        try:
            setting = self.setting()
            user = user_of(self._target.url)
            admin = self._ask(lambda wire: pgbouncer.may_reload(wire, user))
        except DatabaseError as error:
            return str(error)
        if setting.name != self.database:
            return (
                f"PgBouncer sizes {self.database} by its line for `{setting.name}`, which holds "
                "for other databases too: give it a line of its own in [databases]"
            )
        if not admin:
            return f"{user} may not RELOAD: add it to PgBouncer's admin_users"
        why = pgbouncer_ini.cannot_write(self._ini)
        return f"{self._ini}: {why}" if why else ""

    def size_before(self) -> int | None:
        """Return the size from before it was first changed; None: it was not, or nobody knows."""
        if self._ini is None:
            return None
        try:
            return pgbouncer_ini.find(pgbouncer_ini.read(self._ini), self.database).size_before
        except PoolerFileError:
            return None

    def setting(self) -> PoolSetting:
        """Return what the file says now, and the size in force.

        Raises:
            PoolerFileError: it has no line for the database.
            DatabaseError: as `reading`.
        """
        entry = pgbouncer_ini.find(self._text(), self.database)
        size = self.reading().size
        return PoolSetting(size, entry.name, entry.token, entry.mark, entry.digest)

    def changed_digest(self, size: int) -> str:
        """Return the digest that the line will have with another size."""
        new = self._changed(self._text(), size)
        return pgbouncer_ini.find(new, self.database).digest

    def resize(self, size: int) -> None:
        """Write the file, then have it read; harmless when it says so already.

        Raises:
            PoolerFileError: it cannot be written; PgBouncer goes on as before.
            DatabaseError: as `reading`.
        """
        text = self._text()
        if not _says(pgbouncer_ini.find(text, self.database).token, size):
            pgbouncer_ini.replace(self._path(), text, self._changed(text, size))
        self._ask(pgbouncer.reload)

    def restore(self, setting: PoolSetting, *, ours: str) -> None:
        """Put back what the file said, then have it read; harmless when it does already.

        Raises:
            PoolerFileError: the line is neither this nor ours (by its digest).
            DatabaseError: as `reading`.
        """
        text = self._text()
        digest = pgbouncer_ini.find(text, self.database).digest
        if digest not in {setting.digest, ours}:
            message = (
                "Somebody changed this database's line in PgBouncer's file since. Set pool_size "
                f"there yourself (it was {setting.size}), then RELOAD."
            )
            raise PoolerFileError(message, where=self.database)
        if digest != setting.digest:
            old = pgbouncer_ini.restored(
                text, self.database, token=setting.token, mark=setting.mark
            )
            pgbouncer_ini.replace(self._path(), text, old)
        self._ask(pgbouncer.reload)

    def close(self) -> None:
        """Close the console's connection."""
        if self._reserved is not None:
            self._reserved.close()

    def _ask(self, question: Callable[[PostgresWire], T]) -> T:
        """Ask the console; once more when PgBouncer has restarted meanwhile."""
        with self._lock:
            if self._reserved is None:
                self._reserved = Reserved(self._open)
            try:
                return question(self._reserved.wire())
            except ConnectionLostError:
                return question(self._reserved.wire())

    def _open(self) -> PostgresWire:
        reference = self._target.password
        password = Secret.parse(reference).resolve() if reference else None
        return pgbouncer.connect(
            with_password(self._target.url, password),
            application_name=self._application_name,
            connect_timeout_seconds=self._connect_timeout_seconds,
        )

    def _path(self) -> Path:
        if self._ini is None:
            raise PoolerFileError(self.cannot_size(), where=self.database)
        return self._ini

    def _text(self) -> str:
        return pgbouncer_ini.read(self._path())

    def _changed(self, text: str, size: int) -> str:
        return pgbouncer_ini.changed(text, self.database, size=size, before=self.reading().size)


def _says(token: str, size: int) -> bool:
    digits = "".join(one for one in token if one.isdigit())
    return digits == str(size)
