"""Asks a file system for its space; reads nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat.measure import Unknown


def disk_readings(directory: Path) -> dict[str, float | Unknown]:
    """Return used share and free bytes of the directory's file system, as `df` shows them."""
    try:
        space = os.statvfs(directory)
    except OSError as error:
        unknown = Unknown(f"the file system cannot be asked: {error.strerror}")
        return {"disk.used_share": unknown, "disk.free_bytes": unknown}
    used = space.f_blocks - space.f_bfree
    usable = used + space.f_bavail
    share = used / usable if usable else 1.0
    return {"disk.used_share": share, "disk.free_bytes": float(space.f_bavail * space.f_frsize)}
