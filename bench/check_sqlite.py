"""Checks of SQLite files: planted problems found and mended, false findings, time and load.

    uv run python -m bench.check_sqlite [--quick] [--json]

Each problem is planted in a file of its own, found, and mended on a copy. Five files with nothing
wrong are looked at; then one of 5,000 tables (--quick: 300) and one of 2 GB (--quick: 100 MB).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Figure, Options, main, progress
from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Report
from homeostat.driver import sqlite
from tests.check.sqlite_files import CLEAN, PLANTED, fill_with_blobs, fill_with_tables
from tests.check.sqlite_mends import GOOD, tried

SECONDS_GOAL = 60.0


def figures(options: Options) -> Iterator[Figure]:
    """Yield the figures of SQLite."""
    wire = sqlite.connect(sqlite.MEMORY)
    version = f"sqlite {wire.execute('SELECT sqlite_version()').scalar()}"
    wire.close()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield from _planted(directory, version)
        yield from _clean(directory, version)
        tables = 300 if options.quick else 5000
        progress(f"a file of {tables} tables")
        fill_with_tables(directory / "tables.db", tables)
        yield from _large(directory / "tables.db", "tables", tables, version)
        size = 100 if options.quick else 2000
        progress(f"a file of {size} MB")
        fill_with_blobs(directory / "blobs.db", size)
        yield from _large(directory / "blobs.db", "megabytes", size, version)


def _planted(directory: Path, version: str) -> Iterator[Figure]:
    missed, left = [], []
    for number, (name, planted) in enumerate(PLANTED.items()):
        progress(name)
        place = directory / f"planted{number}"
        place.mkdir()
        outcome = tried(planted, place / "app.db", place / "clones")
        if not outcome.found:
            missed.append(name)
        elif outcome != GOOD:
            left.append(name)
    count = len(PLANTED)
    for what, wrong in (("found", missed), ("mended", [*missed, *left])):
        yield Figure(
            f"check_sqlite.{what}",
            1 - len(wrong) / count,
            "share",
            engine=version,
            parameters={"planted": count, "not": wrong},
        )


def _clean(directory: Path, version: str) -> Iterator[Figure]:
    false: dict[str, list[str]] = {}
    for name, make in CLEAN.items():
        progress(f"a clean file: {name}")
        path = directory / f"clean_{name}.db"
        make(path)
        path.chmod(0o600)
        false[name] = [one.what for one in DatabaseCheck().run(str(path)).findings]
    yield Figure(
        "check_sqlite.false_findings",
        sum(map(len, false.values())),
        "findings",
        engine=version,
        parameters={"files": len(false), "found": {k: v for k, v in false.items() if v}},
    )


def _large(path: Path, unit: str, count: int, version: str) -> Iterator[Figure]:
    report: Report = DatabaseCheck().run(str(path))
    yield Figure(
        f"check_sqlite.{unit}",
        report.database.seconds,
        "s",
        peer=f"goal: {SECONDS_GOAL:g} s",
        ratio=report.database.seconds / SECONDS_GOAL,
        engine=version,
        parameters={
            unit: count,
            "busy_seconds": report.database.busy_seconds,
            "not_seen": [one.what for one in report.unseen],
        },
    )


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
