"""Each planted problem is found with the mend that makes it go; clean files stay clean."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Finding, Report
from homeostat.config import Config
from homeostat.driver import sqlite
from tests.check.sqlite_files import CLEAN, PLANTED, new_shop

SHELL = "-- In a shell: "
FALSE_MAX = 1


def looked(path: Path, config: Config) -> Report:
    return DatabaseCheck(config).run(str(path))


def found(report: Report, rule: str, where: str) -> Finding | None:
    hits = [one for one in report.findings if one.rule == rule and where in one.where]
    return hits[0] if hits else None


def mend(path: Path, sql: str) -> None:
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


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory below which everybody may enter, as pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="homeostat-", dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_its_mend_makes_it_go(name: str, directory: Path) -> None:
    planted = PLANTED[name]
    path = directory / "app.db"
    wire = new_shop(path, before=planted.before)
    after = planted.make(wire)
    wire.close()
    path.chmod(0o600)
    if after is not None:
        after(path)
    before = looked(path, planted.config)
    finding = found(before, planted.rule, planted.where)
    assert finding is not None, [(one.rule, one.where) for one in before.findings]
    assert planted.mend in finding.mend_sql
    copy = copied(path, directory / "copy")
    mend(copy, finding.mend_sql.replace(str(path), str(copy)))
    left = looked(copy, planted.config)
    where = finding.where.replace(str(path), str(copy))
    assert found(left, planted.rule, where) is None
    new = {one.rule for one in left.findings} - {one.rule for one in before.findings}
    assert not new, "the mend made another trouble"
    assert "integrity" not in {one.rule for one in left.findings}


def test_clean_files_stay_clean(tmp_path: Path) -> None:
    false = []
    for name, make in CLEAN.items():
        path = tmp_path / f"{name}.db"
        make(path)
        false += [(name, one.rule, one.where, one.what) for one in looked(path, Config()).findings]
    assert len(false) <= FALSE_MAX, false
