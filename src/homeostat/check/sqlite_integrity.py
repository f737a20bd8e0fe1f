"""Whether an SQLite file is whole: pages, trees, and indexes that agree with their tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.driver.tokens import quoted
from homeostat.errors import CorruptDatabaseError
from homeostat.measure import Severity

MESSAGES_MAX = 20
BUDGET_SHARE = 0.5  # of what is left: the other checks want their turn
_INDEX = re.compile(
    r"(?:row \d+ missing from index|wrong # of entries in index|non-unique entry in index"
    r"|row \d+ values differ from index|rowid not at end-of-record for row \d+ of index) (.+)\Z"
)
_DATA = re.compile(r"(?:CHECK constraint failed in|NULL value in|\S+ value in) (.+)\Z")
RESTORE = (
    "-- Stop writing, copy the file with its -wal, restore the last proven backup. Without one: "
    "sqlite3 FILE .recover | sqlite3 NEW"
)


def _integrity(look: Look) -> Iterator[Finding]:
    row = look.row("file")
    size = row["pages"] * row["page_bytes"]
    limits = look.config.check
    if size > limits.quick_check_bytes_max:
        look.miss(
            "whether every page is whole",
            reason=f"the file is larger than [check] quick_check_bytes_max ({size / 1e6:,.0f} MB)",
            mend="Run PRAGMA integrity_check on a copy or a restored backup.",
        )
        return
    pragma = "quick_check"
    if size <= limits.integrity_check_bytes_max:
        pragma = "integrity_check"
    else:
        look.miss(
            "whether indexes agree with their tables",
            reason="the file is larger than [check] integrity_check_bytes_max; every page was read",
            mend="Run PRAGMA integrity_check on a copy.",
        )
    try:
        rows = look.execute(
            f"PRAGMA {pragma}({MESSAGES_MAX})", deadline_ms=BUDGET_SHARE * look.deadline_ms
        ).rows
    except CorruptDatabaseError as error:
        yield _broken(look, [error.detail or error.message], "the file could not be read through")
        return
    messages = [line for (cell,) in rows for line in str(cell).splitlines() if line != "ok"]
    yield from _judged(look, [line for line in messages if not line.startswith("***")])


def _judged(look: Look, messages: list[str]) -> Iterator[Finding]:
    indexes: dict[str, int] = {}
    data: list[str] = []
    broken: list[str] = []
    for message in messages:
        if found := _INDEX.search(message):
            indexes[found[1]] = indexes.get(found[1], 0) + 1
        elif _DATA.match(message):
            data.append(message)
        else:
            broken.append(message)
    if broken:
        yield _broken(look, broken, "unknown: a disk that failed, a copy of an open file, or locks "
                      "that do not work on this file system")  # fmt: skip
        return
    for name, count in indexes.items():
        yield Finding(
            severity=Severity.HIGH,
            what="the index does not agree with its table: rows are missing in what it finds",
            where=quoted(name),
            cause="unknown: the file was damaged, or a function or collation that the index uses "
            "has changed",
            evidence={"messages": count, "first": next(m for m in messages if m.endswith(name))},
            mend_sql=f"REINDEX {quoted(name)};",
            risk="Writers wait while it is built; it fails if rows break its uniqueness.",
            cost=Cost(kind="risk", amount=0.9),
        )
    if data:
        yield Finding(
            severity=Severity.WARNING,
            what="rows break constraints of their own table",
            where=look.engine.identity().label,
            cause="they were written before the constraint, or with checks off (PRAGMA "
            "ignore_check_constraints, writable_schema)",
            evidence={"messages": len(data), "first": data[0]},
            mend_sql="-- Look at the rows that the constraint named in the evidence refuses, and "
            "correct them: the right values are known only to you.",
            risk="That of the change you choose.",
            cost=Cost(kind="risk", amount=0.5),
        )


def _broken(look: Look, messages: list[str], cause: str) -> Finding:
    return Finding(
        severity=Severity.CRITICAL,
        what="the file is damaged: pages or trees are not whole",
        where=look.engine.identity().label,
        cause=cause,
        evidence={"messages": len(messages), "first": messages[0]},
        mend_sql=RESTORE,
        risk="What was written since the backup is lost, unless it can be recovered.",
        cost=Cost(kind="risk", amount=1.0),
    )


CHECKS = (
    Check(
        rule="integrity",
        dialect="sqlite",
        sees="whether the file is whole",
        help=(
            "The file is damaged (critical), an index disagrees with its table (high), or rows "
            "break constraints (warning). A damaged index is built anew; a damaged file is "
            "restored. Files above `[check] integrity_check_bytes_max` are read less thoroughly."
        ),
        judge=_integrity,
    ),
)
