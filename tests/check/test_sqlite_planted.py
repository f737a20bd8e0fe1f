"""Each planted problem is found with the mend that makes it go; clean files stay clean."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.config import Config
from tests.check.sqlite_files import CLEAN, PLANTED
from tests.check.sqlite_mends import copied, found, looked, made, mended

FALSE_MAX = 1


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
    made(planted, path)
    before = looked(path, planted.config)
    finding = found(before, planted.rule, planted.where)
    assert finding is not None, [(one.rule, one.where) for one in before.findings]
    assert planted.mend in finding.mend_sql
    copy = copied(path, directory / "copy")
    mended(copy, finding.mend_sql.replace(str(path), str(copy)))
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
