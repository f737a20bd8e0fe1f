"""Where the operator of this command keeps its data, and what it says about itself there.

Reads only. A directory given by --data or HOMEOSTAT_DATA is taken as it is. Without one, the only
operator that runs for this user is meant, so that `homeostat status` works beside a demo.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from homeostat.config import data_directory
from homeostat.errors import ConfigError, OperatorUnreachableError, SecretError

OPERATOR_FILE = "operator.json"
TOKEN_FILE = "token"  # noqa: S105  # a file's name
LOGBOOK_FILE = "logbook.db"
STARTED_SECONDS_APART = 1.0  # the kernel's clock of processes is told in hundredths


class OperatorFile(msgspec.Struct, frozen=True):
    """DATA/operator.json: which operator has the directory, and where it answers.

    Attributes:
        url: base of its HTTP API, on this machine.
        pid: its process.
        started: when it started, in seconds since 1970 UTC.
        epoch: its epoch as owner.
    """

    url: str
    pid: int
    started: float
    epoch: int


def locate(given: str | None) -> Path:
    """Return the data directory that a command is about.

    Args:
        given: the value of --data (or of HOMEOSTAT_DATA); None: find it.

    Raises:
        ConfigError: several operators run, so that one has to be named.
    """
    if given:
        return data_directory(given)
    usual = data_directory()
    siblings = sorted(usual.parent.glob("*/")) if usual.parent.is_dir() else []
    running = [path for path in siblings if _runs(path)]
    if len(running) > 1:  # of those that ended, another program may have the process id now
        running = [path for path in running if _began_before(path)] or running
    if len(running) > 1:
        names = " or ".join(f"--data {path}" for path in running)
        raise ConfigError(f"{len(running)} operators run here. Say which one: {names}.")
    if running:
        return running[0]
    known = [path for path in siblings if (path / LOGBOOK_FILE).exists()]
    return known[0] if len(known) == 1 and usual not in known else usual


def read_operator(data: Path) -> OperatorFile:
    """Return what the directory says about its operator.

    Raises:
        OperatorUnreachableError: it says nothing: no operator has run, or it ended as it should.
    """
    path = data / OPERATOR_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=OperatorFile)
    except FileNotFoundError:
        raise OperatorUnreachableError(
            "No operator runs here. Start one with `homeostat up URL`.", where=str(data)
        ) from None
    except PermissionError:
        raise OperatorUnreachableError(
            "The operator belongs to another user. Run this command as that user.",
            where=str(path),
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorUnreachableError(
            "This file cannot be read. Start the operator again with `homeostat up URL`.",
            where=str(path),
            detail=str(error),
        ) from None


def read_token(data: Path) -> str:
    """Return the token that the operator accepts from this user.

    Raises:
        SecretError: the file is missing, unreadable, or readable by others.
    """
    path = data / TOKEN_FILE
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            token = file.read(1000).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(
            "The operator's token cannot be read. Run this command as the operator's user.",
            where=str(path),
            detail=getattr(error, "strerror", None) or "not text",
        ) from None
    if mode & 0o077:
        raise SecretError(
            f"Others may read the operator's token (mode {mode:04o}). Run `chmod 600 {path}`, "
            "then restart the operator.",
            where=str(path),
        )
    return token


def alive(pid: int) -> bool:
    """Return whether a process of this id exists."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _began_before(data: Path) -> bool:
    """Return whether the process began before its operator did, so that it may be that one."""
    import psutil  # noqa: PLC0415  # 30 ms, for this case alone

    operator = read_operator(data)
    try:
        begun = psutil.Process(operator.pid).create_time()
    except psutil.Error:
        return False
    return bool(begun < operator.started + STARTED_SECONDS_APART)


def _runs(data: Path) -> bool:
    try:
        return alive(read_operator(data).pid)
    except OperatorUnreachableError:
        return False
