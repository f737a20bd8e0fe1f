"""The line that sizes a pool: only its size changes, and it comes back as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homeostat.driver import pgbouncer_ini
from homeostat.errors import PoolerFileError

FILE = """; shop = host=commented pool_size=1
[databases]
shop = host=10.0.0.5 min_pool_size=1 password='pool_size=7 x' {size}reserve_pool=2
"odd ""name" = host=10.0.0.5
# a comment
* = host=10.0.0.6

[pgbouncer]
shop = pool_size=3
default_pool_size = 20
"""


@pytest.mark.parametrize("size", ["pool_size=4 ", "pool_size = '4' ", "  pool_size =4\t", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("database", ["shop", 'odd "name', "another"])
def test_a_change_is_undone_to_the_byte(size: str, end: str, database: str) -> None:
    text = FILE.format(size=size).replace("\n", end)
    old = pgbouncer_ini.find(text, database)
    new = pgbouncer_ini.changed(text, database, size=8, before=4)
    found = pgbouncer_ini.find(new, database)
    assert "8" in found.token
    assert found.size_before == 4
    assert found.digest != old.digest
    again = pgbouncer_ini.changed(new, database, size=16, before=8)
    assert pgbouncer_ini.find(again, database).size_before == 4, "the first one is kept"
    back = pgbouncer_ini.restored(again, database, token=found.token, mark=found.mark)
    assert back == new
    assert pgbouncer_ini.restored(back, database, token=old.token, mark=old.mark) == text


def test_nothing_but_the_size_of_its_own_line_changes() -> None:
    text = FILE.format(size="pool_size=4 ")
    new = pgbouncer_ini.changed(text, "shop", size=8, before=4)
    assert new == text.replace(
        "shop = host=10.0.0.5", "; homeostat: pool_size was 4\nshop = host=10.0.0.5"
    ).replace(" pool_size=4 reserve", " pool_size=8 reserve")
    assert pgbouncer_ini.changed(new, "shop", size=4, before=8) == text


def test_a_database_without_a_line_is_named() -> None:
    with pytest.raises(PoolerFileError, match="included file"):
        pgbouncer_ini.find("[databases]\nshop = host=x\n[pgbouncer]\n", "other")


def test_the_file_keeps_its_mode_and_is_left_alone_when_it_changed(tmp_path: Path) -> None:
    file, link = tmp_path / "real.ini", tmp_path / "link.ini"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    pgbouncer_ini.replace(link, "old", "new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o640)
    assert link.is_symlink()
    with pytest.raises(PoolerFileError, match="just now"):
        pgbouncer_ini.replace(link, "old", "newer")
    assert file.read_text() == "new"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.ini", "real.ini"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_the_file_keeps_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "pgbouncer.ini"
    file.write_text("old")
    os.chown(file, 12345, 54321)
    pgbouncer_ini.replace(file, "old", "new")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


@pytest.mark.parametrize("odd", ["\u2028", "\u0085", "\x0c", "\r", "\u00a0"])
def test_a_value_with_characters_that_look_like_line_ends_stays_whole(odd: str) -> None:
    text = f"[databases]\nshop = host=a password=a{odd}b\n"
    new = pgbouncer_ini.changed(text, "shop", size=8, before=4)
    assert f"password=a{odd}b" in new
    assert new.endswith(" pool_size=8\n")
