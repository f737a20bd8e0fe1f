"""Plant a problem in a file, look at it, mend it on a clone; shared by tests and benchmark."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Finding, Report
from homeostat.config import Config
from homeostat.driver import sqlite
from homeostat.driver.tokens import quoted
from tests.check.cloning import clone_of_file
from tests.check.sqlite_files import Planted, new_shop

SHELL = "-- In a shell: "
ENDINGS = ("", "-wal", "-shm", "-journal")
NOT_IN_THE_PAGES = {"wal_growth", "file_open_to_others"}  # a clone has no log, and other rights
Print = dict[str, tuple[str, int, int]]
Rows = dict[str, list[tuple[Any, ...]]]


def made(planted: Planted, path: Path) -> Path:
    """Make a shop with the problem at a path that only its owner may read."""
    wire = new_shop(path, before=planted.before)
    after = planted.make(wire)
    wire.close()
    path.chmod(0o600)
    if after is not None:
        after(path)
    return path


def looked(path: Path, config: Config) -> Report:
    return DatabaseCheck(config).run(str(path))


def found(report: Report, rule: str, where: str) -> Finding | None:
    hits = [one for one in report.findings if one.rule == rule and where in one.where]
    return hits[0] if hits else None


def mended(path: Path, sql: str) -> None:
    """Run a mend as a person would: in the shell of SQLite, or in that of the system."""
    if sql.startswith(SHELL):
        subprocess.run(sql.removeprefix(SHELL), shell=True, check=True)
        return
    wire = sqlite.connect(path, mode="foreign")
    try:
        wire.execute_script(sql)
    finally:
        wire.close()


@contextmanager
def cloned(planted: Planted, path: Path, directory: Path) -> Iterator[Path]:
    """Yield a clone of a file; of what is not in its pages, a copy of all that lies beside it."""
    if planted.rule not in NOT_IN_THE_PAGES:
        with clone_of_file(path, directory) as clone:
            yield clone
        return
    directory.mkdir()
    directory.chmod(path.parent.stat().st_mode)
    for one in path.parent.glob(f"{path.name}*"):
        shutil.copy2(one, directory / one.name)
    yield directory / path.name


def printed(path: Path) -> Print:
    """Return digest, size and time of change of a file and of what belongs to it."""
    found = {}
    for ending in ENDINGS:
        one = Path(f"{path}{ending}")
        if one.exists():
            stat = one.stat()
            digest = hashlib.sha256(one.read_bytes()).hexdigest()
            found[ending] = (digest, stat.st_size, stat.st_mtime_ns)
    return found


def rows_of(path: Path) -> Rows:
    """Return all rows of all tables by name."""
    with closing(sqlite.connect(path, mode="foreign", readonly=True)) as wire:
        names = wire.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").rows
        return {
            str(name): list(wire.execute(f"SELECT * FROM {quoted(str(name))}").rows)
            for (name,) in names
            if not str(name).startswith("sqlite_")
        }


def lost(before: Rows, after: Rows) -> list[tuple[Any, ...]]:
    """Return the rows that are no longer there, not even behind a number in another table."""
    left = {row[cut:] for rows in after.values() for row in rows for cut in (0, 1)}
    return [row for rows in before.values() for row in rows if row not in left]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a mend: found at all, with the SQL expected; left; new; lost; source changed."""

    found: bool
    left: bool = False
    new: frozenset[str] = frozenset()
    lost: int = 0
    touched: bool = False


GOOD = Outcome(found=True)


def tried(planted: Planted, path: Path, directory: Path) -> Outcome:
    """Plant a problem at a path, look, and mend it on a clone in the directory."""
    made(planted, path)
    source = found(looked(path, planted.config), planted.rule, planted.where)
    renumbers = planted.rule == "sequence_near_end"
    rows = {name: [row[renumbers:] for row in all_] for name, all_ in rows_of(path).items()}
    before = printed(path)
    if source is None or planted.mend not in source.mend_sql:
        return Outcome(found=False)
    with cloned(planted, path, directory) as clone:
        report = looked(clone, planted.config)
        hit = found(report, planted.rule, planted.where)
        if hit is None:
            return Outcome(found=False)
        mended(clone, hit.mend_sql)
        after = looked(clone, planted.config)
        return Outcome(
            found=True,
            left=found(after, planted.rule, hit.where) is not None,
            new=frozenset(one.rule for one in after.findings)
            - {one.rule for one in report.findings},
            lost=len(lost(rows, rows_of(clone))),
            touched=printed(path)[""] != before[""],  # reading may leave an empty log
        )
