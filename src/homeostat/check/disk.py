"""The disk under a database, where the check runs on the same machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.engine.disk import disk_readings
from homeostat.measure import Severity, size_text


def nearly_full(
    look: Look, directory: Path, *, fails: str, evidence: Mapping[str, float | None]
) -> Iterator[Finding]:
    """Yield that a directory's disk is filled past `[monitor] disk_share_warning`.

    Args:
        look: for the thresholds, and to tell when the disk cannot be asked.
        directory: what is on the disk.
        fails: what happens when it is full.
        evidence: what else to show.
    """
    readings = disk_readings(directory)
    used, free = readings["disk.used_share"], readings["disk.free_bytes"]
    if not isinstance(used, float) or not isinstance(free, float):
        look.miss("the free disk", reason=str(used), mend="Check as a user who may see the disk.")
        return
    monitor = look.config.monitor
    if used < monitor.disk_share_warning:
        return
    yield Finding(
        severity=(Severity.CRITICAL if used >= monitor.disk_share_critical else Severity.WARNING),
        what=f"the disk under the database is {100 * used:.0f} % full; {size_text(free)} are free",
        where=str(directory),
        cause="unknown: look with `du -x` for what has grown",
        evidence={"used_share": used, "free_bytes": free, **evidence},
        mend_sql=f"-- Free space on the disk or enlarge it, before {fails}.",
        risk="None for the database.",
        cost=Cost(kind="risk", amount=used),
    )
