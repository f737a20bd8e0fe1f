"""Named locks between the operators of one user on one machine: flock on files in a private place.

The place is $XDG_RUNTIME_DIR/homeostat, else /run/user/<uid>/homeostat if there is such a
directory, else homeostat-<uid> in the directory for temporary files. A lock ends with its holder's
process; the files stay and mean nothing. It never touches the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from homeostat.errors import PermissionRefusedError


def runtime_directory() -> Path:
    """Return the directory for locks, made if it is missing, and this user's alone.

    Raises:
        PermissionRefusedError: it belongs to somebody else, or others may write to it.
    """
    user = os.geteuid()
    given = os.environ.get("XDG_RUNTIME_DIR")
    usual = Path(f"/run/user/{user}")
    if given and Path(given).is_dir():
        path = Path(given) / "homeostat"
    elif usual.is_dir():
        path = usual / "homeostat"
    else:
        path = Path(tempfile.gettempdir()) / f"homeostat-{user}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        message = "The directory for locks cannot be made. Set XDG_RUNTIME_DIR to one of yours."
        raise PermissionRefusedError(
            message, where=str(path), detail=error.strerror or ""
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o077:
        message = "The directory for locks is not this user's alone. Remove it, or chmod 700 it."
        raise PermissionRefusedError(message, where=str(path))
    return path


class RuntimeLocks:
    """Named locks of one database."""

    def __init__(self, key: str) -> None:
        """Take the database's key."""
        self._key = key

    @contextmanager
    def hold(self, name: str) -> Iterator[bool]:
        """Hold the named lock while in the context; yields False when another holds it.

        Raises:
            PermissionRefusedError: the directory for locks, or the file in it, is not usable.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        path = runtime_directory() / f"{self._key}.{digest}.lock"
        with _naming(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with _naming(path):
                taken = _locked(descriptor)
            yield taken
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = "The file of a lock cannot be used. Mend the cause named, or remove the file."
        raise PermissionRefusedError(
            message, where=str(path), detail=error.strerror or ""
        ) from None
