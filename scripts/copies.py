"""Copies of programs for the tests, in a cache directory that all checkouts of a machine share.

A copy is put there in one step, once it has said its version: what was cut off, does not start or
is the wrong one is never taken for whole, and is replaced when a whole one comes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

VERSION_SECONDS_MAX = 20
NONE = (0, 0)


def cache() -> Path:
    """Return where they lie; as root a place that the servers' user may enter too."""
    if os.geteuid() == 0:
        return Path("/var/cache/homeostat-tests")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "homeostat-tests"


def version(words: Sequence[str | Path]) -> tuple[int, int]:
    """Return the version that a program says it is; `NONE` when it says none or does not start."""
    try:
        done = subprocess.run(
            [*words, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return NONE
    found = re.search(r"\b(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found and done.returncode == 0 else NONE


def put(draft: Path, target: Path, *, works: Callable[[Path], bool]) -> str:
    """Put a copy in its place, unless one that works is there.

    Args:
        draft: the copy, in a directory of its own on the same file system that is deleted later.
        target: its place; what is there and does not work goes into the draft's directory.
        works: whether the copy in a directory starts and is the right version.

    Returns:
        An empty string, or what is wrong with the copy; nothing was changed then.
    """
    if not works(draft):
        return "what was fetched does not start"
    if works(target):  # another checkout may have been faster
        return ""
    try:
        if target.exists():
            target.rename(draft.with_name("replaced"))
        draft.rename(target)
    except OSError as error:
        return "" if works(target) else f"it could not be put into {target.parent}: {error}"
    return ""
