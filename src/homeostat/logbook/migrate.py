"""Our own schema changes: numbered pairs of SQL files around a deploy.

`0007_name.pre.sql` only adds, so the release before it still reads and writes; it is applied when
the new release opens the file. `0007_name.post.sql` removes what only the old release needed; it
is applied once no process of the old one owns anything. `PRAGMA user_version` counts both: 2n - 1
after the pre file of migration n, 2n after its post file. Every file is one transaction together
with its version, so an interrupted one is simply applied again.

A file may hold several statements; each ends with a `;` at the end of a line that is followed by an
empty line or the end of the file. Nothing here looks into the tables it changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Protocol

from homeostat.driver.wire import NO_PARAMS, Params, Rows, Wire
from homeostat.errors import LogbookError, LogbookNewerError

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.(pre|post)\.sql")
_END = re.compile(r";[ \t]*\n(?:[ \t]*\n|\Z)")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of a pair.

    Attributes:
        level: the `user_version` after it: 2n - 1 for a pre file, 2n for a post file.
        name: the file's name.
        statements: what it runs, in order.
    """

    level: int
    name: str
    statements: tuple[str, ...]


def statements_of(text: str) -> tuple[str, ...]:
    """Split a migration file into its statements; pieces that are only comments are left out."""
    pieces = (piece.strip() for piece in _END.split(text + "\n"))
    return tuple(piece for piece in pieces if _without_comments(piece))


def _without_comments(piece: str) -> str:
    lines = (line for line in piece.splitlines() if not line.lstrip().startswith("--"))
    return "".join(lines).strip()


def migrations_in(directory: Traversable) -> tuple[Migration, ...]:
    """Read all pairs of a directory, in order of their levels.

    Raises:
        LogbookError: a number or one half of a pair is missing; the installation is damaged.
    """
    found: dict[int, Migration] = {}
    for entry in directory.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            level = 2 * int(match[1]) - (match[2] == "pre")
            statements = statements_of(entry.read_text(encoding="utf-8"))
            found[level] = Migration(level, entry.name, statements)
    if not found or sorted(found) != list(range(1, max(found) + 1)) or max(found) % 2:
        message = "A migration file is missing. Install Homeostat again."
        raise LogbookError(message, where=str(directory))
    return tuple(found[level] for level in sorted(found))


def migrations_of(name: str) -> tuple[Migration, ...]:
    """Return the migrations that come with Homeostat: of `logbook` or of `samples`."""
    return migrations_in(files("homeostat.logbook") / "migrations" / name)


class Executes(Protocol):
    """A wire, or a session that names the errors."""

    def execute(self, sql: str, params: Params = NO_PARAMS) -> Rows:
        """Run one statement."""
        ...


def level_of(wire: Executes) -> int:
    """Return the file's `user_version`."""
    level = wire.execute("PRAGMA user_version").scalar()
    return level if isinstance(level, int) else 0


def refuse_newer(wire: Wire, migrations: tuple[Migration, ...]) -> int:
    """Return the file's level if this release may use it.

    One pre file past what is known is fine: it only added.

    Raises:
        LogbookNewerError: the post file of a later release was applied.
    """
    level = level_of(wire)
    known = migrations[-1].level
    if level > known + 1:
        detail = f"it has schema level {level}, this Homeostat knows {known}"
        raise LogbookNewerError(where=wire.label, detail=detail)
    return level


def migrate(wire: Wire, migrations: tuple[Migration, ...]) -> None:
    """Apply what is due on opening: everything but the newest post file.

    An empty file has no older release to wait for and gets that too.

    Raises:
        LogbookNewerError: the file is newer than this release; it was not touched.
    """
    level = refuse_newer(wire, migrations)
    until = migrations[-1].level - (1 if level else 0)
    for migration in migrations:
        if level < migration.level <= until:
            wire.begin(write=True)
            try:
                apply(wire, migration)
                wire.commit()
            except BaseException:
                wire.rollback()
                raise


def finish(wire: Executes, migrations: tuple[Migration, ...]) -> None:
    """Apply the newest post file if it is due, inside the transaction that is open."""
    if level_of(wire) == migrations[-1].level - 1:
        apply(wire, migrations[-1])


def apply(wire: Executes, migration: Migration) -> None:
    """Apply one file inside the transaction that is open, unless another process just did."""
    if level_of(wire) >= migration.level:
        return
    for statement in migration.statements:
        wire.execute(statement)
    wire.execute(f"PRAGMA user_version = {migration.level}")
