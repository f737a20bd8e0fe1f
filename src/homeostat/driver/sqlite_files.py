"""Looks at SQLite files from outside: what stands at a path, who has it open, who holds its locks.

It uses stat and /proc only and never opens a database file: closing a raw handle would drop the
locks of every connection that this process has to the file (POSIX advisory locks).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from homeostat.errors import (
    DatabaseMissingError,
    EncryptedDatabaseError,
    HomeostatError,
    NotADatabaseError,
    PermissionRefusedError,
)
from homeostat.measure import Unknown

FileId = tuple[int, int]  # st_dev, st_ino

HEADER_BYTES = 100
MAGIC = b"SQLite format 3\0"

# os_unix.c and wal.c of SQLite: the bytes that are locked
_PENDING_BYTE = 0x40000000
_SHARED_LAST = _PENDING_BYTE + 2 + 510 - 1
_WAL_WRITE_LOCK = 120
# the payload fractions that every SQLite header holds at byte 21; SEE-like ciphers leave 16 to 23
# unencrypted so that the page size can be read
_FRACTIONS = bytes((64, 32, 32))


def check_path(path: Path, *, create: bool, label: str) -> FileId | None:
    """Return the file's identity, or None when it will be created.

    Raises:
        DatabaseMissingError: there is no such file (and `create` is not set) or directory.
        NotADatabaseError: it is a directory or a device.
        PermissionRefusedError: a directory on the way may not be entered, or the file not read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if create and path.parent.is_dir():
            return None
        what = "file" if path.parent.is_dir() else "directory"
        message = f"There is no such {what}. Check the path; nothing was created."
        raise DatabaseMissingError(message, where=label) from None
    except NotADirectoryError:
        message = "A part of the path is a file, not a directory. Check the path."
        raise DatabaseMissingError(message, where=label) from None
    except PermissionError:
        message = "A directory of the path may not be entered. Grant the right, or run as its user."
        raise PermissionRefusedError(message, where=label) from None
    except OSError as error:
        raise DatabaseMissingError(where=label, detail=error.strerror or "") from None
    if stat.S_ISDIR(status.st_mode):
        message = "This is a directory. Give the path of the database file inside it."
        raise NotADatabaseError(message, where=label)
    if not stat.S_ISREG(status.st_mode):
        message = "This is a device, pipe or socket, not a database file. Check the path."
        raise NotADatabaseError(message, where=label)
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        message = "This user may not read the file. Grant the right, or run as its owner."
        raise PermissionRefusedError(message, where=label)
    return status.st_dev, status.st_ino


def open_descriptors(file: FileId) -> frozenset[int]:
    """Return this process's descriptors of a file; empty where there is no /proc."""
    found = set()
    for number in _descriptors():
        try:
            status = os.fstat(number)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) == file:
            found.add(number)
    return frozenset(found)


def _descriptors() -> Iterator[int]:
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208  a Path object for each is too slow
    except OSError:
        return
    yield from map(int, names)


def not_a_database(header: bytes, size: int, *, key_given: bool, label: str) -> HomeostatError:
    """Return the error for a file that SQLite does not take, judged by its first bytes.

    An encrypted file cannot be told from noise; it is called encrypted when its size is a whole
    number of pages and it looks like no text, or when a cipher left SQLite's fractions in place.
    """
    if header.startswith(MAGIC):
        if key_given:
            message = "The database is not encrypted, but a key was given. Leave the key away."
            return EncryptedDatabaseError(message, where=label)
        message = (
            "The file begins like an SQLite database, but its header is damaged. Restore the last "
            "proven backup."
        )
        return NotADatabaseError(message, where=label)
    page_like = size >= 512 and size % 512 == 0
    text_like = sum(32 <= byte < 127 or byte in {9, 10, 13} for byte in header) > len(header) * 0.85
    empty_like = len(set(header)) <= 4
    if header[21:24] == _FRACTIONS or (page_like and not text_like and not empty_like):
        if key_given:
            message = "The key does not open this database. Check where the key comes from."
            return EncryptedDatabaseError(message, where=label)
        return EncryptedDatabaseError(where=label)
    return NotADatabaseError(where=label)


def is_wal(header: bytes) -> bool:
    """Return whether a database's first bytes say that it is in WAL mode."""
    return len(header) > 19 and header[18] == 2


def refuse_to_own_wal(header: bytes, path: str) -> None:
    """Refuse to make a -wal and -shm that the application could then not write.

    SQLite gives them to the user who opens first (as root, to the owner of the database file).

    Raises:
        PermissionRefusedError: reading the file as this user would make them.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    file = Path(path)
    if user in {0, file.stat().st_uid} or not is_wal(header) or Path(f"{path}-shm").exists():
        return
    message = (
        "The database is in WAL mode and nobody has it open; reading it as another user would "
        "leave files that its application cannot write. Run as the file's owner, or start the "
        "application first."
    )
    raise PermissionRefusedError(message, where=path)


def held_by(path: str) -> str:
    """Return `, held by process N` for an error's detail, or nothing if that cannot be told."""
    holders = writers(path)
    if isinstance(holders, Unknown) or not holders:
        return ""
    return ", held by process " + " and ".join(str(pid) for pid in holders)


def writers(path: str | Path) -> tuple[int, ...] | Unknown:
    """Return the processes that hold the write lock of an SQLite database now.

    In WAL mode that is the byte WAL_WRITE_LOCK of the -shm file, in rollback mode a write lock on
    the bytes PENDING to SHARED of the database file. Read from /proc/locks, so on Linux only; the
    process ids are those of this process's namespace.
    """
    if sys.platform != "linux":
        return Unknown("only Linux tells who holds the lock of a file (/proc/locks)")
    ranges: dict[FileId, tuple[int, int]] = {}
    database = os.path.realpath(path)
    for place, span in (
        (database, (_PENDING_BYTE, _SHARED_LAST)),
        (f"{database}-shm", (_WAL_WRITE_LOCK, _WAL_WRITE_LOCK)),
    ):
        try:
            status = Path(place).stat()
        except OSError:
            continue
        ranges[status.st_dev, status.st_ino] = span
    try:
        with open("/proc/locks", encoding="ascii") as file:  # noqa: PTH123  hot: no Path object
            lines = file.readlines()
    except OSError as error:
        return Unknown(f"/proc/locks cannot be read: {error.strerror}")
    return _holders(lines, ranges)


def _holders(lines: list[str], ranges: dict[FileId, tuple[int, int]]) -> tuple[int, ...] | Unknown:
    """Return who holds a write lock within the ranges, from the lines of /proc/locks.

    A line: `1: POSIX  ADVISORY  WRITE 4711 08:01:131077 120 120`; waiting ones have `->` second.
    """
    inodes = {inode for _, inode in ranges}
    found: set[int] = set()
    for line in lines:
        parts = line.split()
        if len(parts) < 8 or parts[3] != "WRITE" or parts[1] == "->":
            continue
        major, minor, inode_text = parts[5].split(":")
        inode = int(inode_text)
        if inode not in inodes:
            continue
        start = int(parts[6])
        end = sys.maxsize if parts[7] == "EOF" else int(parts[7])
        span = ranges.get((os.makedev(int(major, 16), int(minor, 16)), inode))
        if span is None:
            if any(_overlap((start, end), ranges[key]) for key in ranges if key[1] == inode):
                return Unknown("this file system does not show its own device in /proc/locks")
        elif _overlap((start, end), span):
            if int(parts[4]) <= 0:
                return Unknown("the lock belongs to a process that this one cannot see")
            found.add(int(parts[4]))
    return tuple(sorted(found))


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
