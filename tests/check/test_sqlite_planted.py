"""Each planted problem is found with the mend that makes it go; clean files stay clean."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.config import Config
from tests.check.sqlite_files import CLEAN, PLANTED
from tests.check.sqlite_mends import GOOD, looked, tried

FALSE_MAX = 1


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory below which everybody may enter, as pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="homeostat-", dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_its_mend_on_a_clone_makes_it_go(
    name: str, directory: Path
) -> None:
    assert tried(PLANTED[name], directory / "app.db", directory / "clones") == GOOD


def test_clean_files_stay_clean(tmp_path: Path) -> None:
    false = []
    for name, make in CLEAN.items():
        path = tmp_path / f"{name}.db"
        make(path)
        false += [(name, one.rule, one.where, one.what) for one in looked(path, Config()).findings]
    assert len(false) <= FALSE_MAX, false
