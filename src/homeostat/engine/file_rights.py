"""What a user needs of the file system to observe an SQLite file, or to act on it too.

It asks stat and access only; the file is not opened.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from homeostat.driver.sqlite_files import check_path

WAL_FILES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class FileRight:
    """One right: on what, which, why, and whether this user has it."""

    path: str
    right: str  # read, write, enter, own
    why: str
    held: bool


def file_rights(path: str, purpose: str) -> list[FileRight]:
    """Return the rights that this process's user needs.

    Args:
        path: the database file.
        purpose: `monitor` or `act`.

    Raises:
        DatabaseMissingError: there is no such file.
        NotADatabaseError: it is a directory or a device.
    """
    file = Path(path).expanduser().absolute().resolve()
    check_path(file, create=False, label=str(file))
    return list(_rights(file, purpose))


def owner_of(path: str) -> str:
    """Return the name of the user who owns a file, or its number where it has none."""
    number = Path(path).expanduser().stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _rights(file: Path, purpose: str) -> Iterator[FileRight]:
    directory = file.parent
    yield _right(directory, "enter", "to reach the file", os.X_OK)
    yield _right(file, "read", "to observe", os.R_OK)
    logs = [Path(f"{file}{ending}") for ending in WAL_FILES]
    for log in logs:
        if log.exists():
            yield _right(log, "read", "to observe what is not in the file yet", os.R_OK)
    yield FileRight(
        str(file),
        "own",
        "to read it in WAL mode while no application has it open, and to name who holds its locks",
        os.geteuid() in {0, file.stat().st_uid},
    )
    if purpose != "act":
        return
    yield _right(file, "write", "to build an index or install statistics", os.W_OK)
    yield _right(directory, "write", "for the journal of what is written", os.W_OK)
    for log in logs:
        if log.exists():
            yield _right(log, "write", "to write in WAL mode", os.W_OK)


def _right(path: Path, right: str, why: str, mode: int) -> FileRight:
    held = os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
    return FileRight(str(path), right, why, held)
