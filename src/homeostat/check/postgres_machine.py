"""The machine that a PostgreSQL server runs on, where that can be proven to be this one.

The process that answers is looked for here, by its number and the moment it began. A server in a
container, or elsewhere, is not found, and then nothing is said of its machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from homeostat.check.look import Look
from homeostat.measure import Unknown

START_SECONDS_APART = 2.0
FAR = Unknown("the server runs on another machine, or in a container")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
BLOCK_DEVICES = Path("/sys/block")
NOT_DISKS = ("loop", "ram", "zram", "sr", "fd", "dm-", "md")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the server has to work with.

    Attributes:
        memory_bytes: what it may use: the machine's, or the container's limit.
        cores: logical ones.
        is_spinning: whether some disk has to be moved to what it reads; None: not known.
    """

    memory_bytes: int
    cores: int
    is_spinning: bool | None


def machine(look: Look) -> Machine | Unknown:
    """Return the server's machine, or why it is not known."""
    row = look.row("machine")
    try:
        found = psutil.Process(row["pid"])
        here = abs(found.create_time() - row["started"]) < START_SECONDS_APART
        here = here and found.name().startswith("postgres")
    except (psutil.Error, KeyError):
        return FAR
    if not here:
        return FAR
    return Machine(_memory_bytes(), psutil.cpu_count() or 1, _is_spinning())


def cpu_of_backend(look: Look) -> Callable[[], float | None]:
    """Return what tells the CPU seconds of the process that answers; None while it is not seen."""
    if isinstance(machine(look), Unknown):
        return lambda: None
    found = psutil.Process(look.row("machine")["pid"])

    def seconds() -> float | None:
        try:
            used = found.cpu_times()
        except psutil.Error:  # the connection was opened again, or a pooler gave us another
            return None
        return float(used.user + used.system)

    return seconds


def _memory_bytes() -> int:
    total = int(psutil.virtual_memory().total)
    try:
        limit = MEMORY_LIMIT.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _is_spinning() -> bool | None:
    """Return whether a disk of the machine is a spinning one; None: the system does not say."""
    try:
        said = [
            (device / "queue" / "rotational").read_text().strip() == "1"
            for device in BLOCK_DEVICES.iterdir()
            if not device.name.startswith(NOT_DISKS)
        ]
    except OSError:
        return None
    return any(said) if said else None
