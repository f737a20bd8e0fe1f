"""Each planted problem is found with the mend that makes it go; clean files stay clean."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.check.registry import checks_of
from homeostat.config import Config
from tests.check.sqlite_files import CLEAN, PLANTED, new_shop
from tests.check.sqlite_mends import GOOD, looked, tried
from tests.servers import small_disk

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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_disk_that_is_nearly_full_is_told_until_it_is_not(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", kilobytes=2_000) as disk:
        new_shop(disk / "app.db").close()
        filler = disk / "filler"
        filler.write_bytes(bytes(1_750_000))
        [told] = looked(disk / "app.db", Config()).findings
        assert (told.rule, told.where) == ("disk_nearly_full", str(disk))
        filler.unlink()
        assert looked(disk / "app.db", Config()).healthy


def test_every_rule_of_sqlite_has_been_planted() -> None:
    rules = {one.rule for one in PLANTED.values()} | {"disk_nearly_full"}
    assert rules == {one.rule for one in checks_of("sqlite")}
