"""Plant a problem in a file, look at it, mend it on a copy; shared by tests and benchmark."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Finding, Report
from homeostat.config import Config
from homeostat.driver import sqlite
from tests.check.sqlite_files import Planted, new_shop

SHELL = "-- In a shell: "


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


def copied(path: Path, directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(path.parent.stat().st_mode)
    for one in path.parent.glob(f"{path.name}*"):
        shutil.copy2(one, directory / one.name)
    return directory / path.name
