"""The manifests of clones: one small JSON file each, so that nothing a killed copy left is lost.

A manifest is written before the copy begins and removed after the copy is gone. It names who makes
it; when that process is gone and the copy was not finished, it is a leftover. Manifests hold no
passwords.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil

from homeostat.engine.facets import CloneInfo
from homeostat.errors import CloneRefusedError

SUFFIX = ".json"
_NAME = re.compile(r"[a-z0-9_]{1,60}\Z")
_DRAFT = re.compile(r"\.[a-z0-9_]+\.([0-9]+)\.draft\Z")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a clone; `ready` says that the copy was finished."""

    name: str
    dialect: str
    source: str
    label: str
    url: str
    owner: str
    created: float
    expires: float
    pid: int
    pid_started: float
    ready: bool = False
    bytes: int = 0
    share: float = 1.0
    seconds: float = 0.0

    def info(self) -> CloneInfo:
        """Return it as the facet shows it."""
        return CloneInfo(
            self.name, self.source, self.url, self.bytes, self.share, self.seconds, self.created,
            self.expires, self.owner,
        )  # fmt: skip

    @property
    def left_over(self) -> bool:
        """Return whether the copy was not finished and nobody is at it any more."""
        return not self.ready and _started(self.pid) != self.pid_started


class CloneShelf:
    """A directory of manifests, and beside them the files of SQLite clones."""

    def __init__(self, directory: Path) -> None:
        """Take the directory; it is made when the first clone is."""
        self.directory = directory

    def prepare(self) -> None:
        """Make the directory, for its owner only.

        Raises:
            CloneRefusedError: it cannot be made, or others may write to it.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = self.directory.stat()
        except OSError as error:
            message = "The directory for clones cannot be made. Set [clone] directory to another."
            raise CloneRefusedError(
                message, where=str(self.directory), detail=error.strerror or ""
            ) from None
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            message = "Others may write to the directory for clones. Make it yours: chmod 700 it."
            raise CloneRefusedError(message, where=str(self.directory))

    def save(self, manifest: Manifest) -> None:
        """Write a manifest so that after a crash the old or the new one is there.

        Raises:
            CloneRefusedError: it cannot be written.
        """
        path = self._path(manifest.name)
        draft = self.directory / f".{manifest.name}.{os.getpid()}.draft"
        try:
            number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(number, "wb") as file:
                file.write(msgspec.json.encode(manifest))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            sync_directory(self.directory)
        except OSError as error:
            message = "The directory for clones cannot be written. Mend the cause named."
            raise CloneRefusedError(
                message, where=str(self.directory), detail=error.strerror or ""
            ) from None

    def find(self, name: str) -> Manifest | None:
        """Return the manifest of a clone, or None."""
        if not _NAME.match(name):
            return None
        return _read(self._path(name))

    def all(self) -> Iterator[Manifest]:
        """Yield every manifest that can be read."""
        for path in sorted(self.directory.glob(f"*{SUFFIX}")):
            found = _read(path)
            if found is not None and found.name == path.stem:
                yield found

    def remove(self, name: str) -> None:
        """Remove a manifest; harmless when it is gone."""
        self._path(name).unlink(missing_ok=True)

    def remove_drafts(self) -> None:
        """Remove drafts whose writers are gone."""
        for path in self.directory.glob(".*.draft"):
            match = _DRAFT.match(path.name)
            if match and not psutil.pid_exists(int(match.group(1))):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"


def new_name(owner: str) -> str:
    """Return a name for a clone: its owner's letters and digits, and 12 random hex digits."""
    short = re.sub(r"[^a-z0-9]+", "_", owner.lower()).strip("_")[:24] or "clone"
    return f"{short}_{secrets.token_hex(6)}"


def me() -> tuple[int, float]:
    """Return this process's id and when it started."""
    return os.getpid(), _started(os.getpid())


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _started(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return -1.0


def _read(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
