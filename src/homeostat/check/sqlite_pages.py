"""Pages of an SQLite file: those that are free but still taken from the disk."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.measure import Severity


def _free_pages(look: Look) -> Iterator[Finding]:
    row = look.row("pages")
    free = row["free_pages"] * row["page_size"]
    share = row["free_pages"] / row["pages"] if row["pages"] else 0.0
    limits = look.config.monitor
    if share <= limits.free_pages_share or free < limits.free_pages_bytes_min:
        return
    yield Finding(
        severity=Severity.INFO,
        what=f"{100 * share:.0f} % of the file's pages are free",
        where=look.engine.identity().label,
        cause="rows were deleted; SQLite keeps their pages for later use",
        evidence={
            "free_pages": row["free_pages"],
            "pages": row["pages"],
            "page_size_bytes": row["page_size"],
        },
        mend_sql="VACUUM;",
        risk="Writes the whole file anew and locks it meanwhile; needs as much free disk again.",
        cost=Cost(kind="bytes", amount=free),
    )


CHECKS = (
    Check(
        rule="free_pages",
        dialect="sqlite",
        sees="free pages",
        help=(
            "Much of the file is pages that hold nothing. They are used again by later rows; if "
            "none are expected, VACUUM gives them back to the disk."
        ),
        judge=_free_pages,
    ),
)
