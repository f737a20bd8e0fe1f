"""Files that nobody prepared: checking neither changes nor loses anything, whatever they are."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from homeostat.check.database import DatabaseCheck
from homeostat.check.report import Report
from homeostat.config import CheckConfig, Config
from homeostat.driver import sqlite
from homeostat.errors import (
    DatabaseError,
    EncryptedDatabaseError,
    NotADatabaseError,
)
from tests.check.sqlite_files import fill, fill_with_blobs, fill_with_tables, new_shop
from tests.check.sqlite_mends import Print, printed
from tests.patience import line_of

# writes until it is told to stop, leaving its transaction open at each print
WRITER = """
import apsw, sys
wire = apsw.Connection(sys.argv[1])
wire.set_busy_timeout(5000)
wire.pragma("journal_mode", "wal")
wire.pragma("wal_autocheckpoint", 0)
wire.execute("CREATE TABLE IF NOT EXISTS line (id INTEGER PRIMARY KEY, text TEXT) STRICT")
wire.execute("INSERT INTO line (text) VALUES (hex(randomblob(2000)))")
wire.execute("BEGIN IMMEDIATE")
wire.execute("INSERT INTO line (text) VALUES (hex(randomblob(2000)))")
wire.cache_flush()
print("in the middle", flush=True)
sys.stdin.readline()
wire.execute("COMMIT")
print(wire.execute("SELECT count(*) FROM line").get, flush=True)
sys.stdin.readline()
"""


# everything is imported before: another user may not read the directory of the modules
AS_ANOTHER = """
import contextlib, io, os, sys
import homeostat.cli
with contextlib.redirect_stdout(io.StringIO()):
    homeostat.cli.main(["check", sys.argv[3], "--json"])
os.setgroups([])
os.setuid(int(sys.argv[1]))
sys.exit(homeostat.cli.main(["check", sys.argv[2], "--json"]))
"""


def looked(path: Path, config: Config | None = None) -> Report:
    return DatabaseCheck(config).run(str(path))


def contents(path: Path) -> Print:
    """Return what is printed of the file and its log; the index of the log is the readers'."""
    return {ending: one for ending, one in printed(path).items() if ending in {"", "-wal"}}


@contextmanager
def untouched(path: Path) -> Iterator[None]:
    before, listed = printed(path), sorted(path.parent.iterdir())
    yield
    assert printed(path) == before
    assert sorted(path.parent.iterdir()) == listed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def test_an_empty_file_is_healthy_and_stays_empty(path: Path) -> None:
    path.touch()
    with untouched(path):
        report = looked(path)
    assert report.healthy
    assert path.stat().st_size == 0


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_ten_megabytes_are_read_and_not_touched(path: Path, mode: str) -> None:
    wire = new_shop(path, rows=150_000)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    fill(wire, "note", "i, hex(randomblob(400))", 10_000)
    wire.execute("ANALYZE")
    wire.execute(f"PRAGMA journal_mode = {mode}")
    wire.close()
    assert path.stat().st_size > 10_000_000
    with untouched(path):
        report = looked(path)
    assert [one.rule for one in report.findings] == ([] if mode == "wal" else ["journal_mode"])
    assert not any("budget" in gap.reason or "used up" in gap.reason for gap in report.unseen)


def test_a_writer_in_the_middle_of_its_transaction_loses_nothing(path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert line_of(writer.stdout) == "in the middle\n"
        before = contents(path)
        report = looked(path)
        assert contents(path) == before
        assert "integrity" not in {one.rule for one in report.findings}
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert line_of(writer.stdout) == "2\n"
        looked(path)
        assert Path(f"{path}-wal").stat().st_size > 0
    finally:
        writer.communicate("\n", timeout=20)
    wire = sqlite.connect(path, mode="foreign", readonly=True)
    assert wire.execute("SELECT count(*) FROM line").scalar() == 2
    wire.close()


def test_a_log_that_a_killed_process_left_stays_beside_the_file(path: Path, tmp_path: Path) -> None:
    wire = new_shop(tmp_path / "live.db")
    wire.execute("PRAGMA wal_autocheckpoint = 0")
    wire.execute("INSERT INTO customer VALUES (9999, 'last@example.org')")
    for ending in ("", "-wal"):
        shutil.copyfile(f"{tmp_path / 'live.db'}{ending}", f"{path}{ending}")
    wire.close()
    before = contents(path)
    looked(path)
    assert contents(path) == before
    again = sqlite.connect(path, mode="foreign", readonly=True)
    assert again.execute("SELECT count(*) FROM customer WHERE id = 9999").scalar() == 1
    again.close()


def header(data: bytearray) -> None:
    data[0:16] = b"\x01" * 16


def half_header(data: bytearray) -> None:
    data[16:32] = b"\xff" * 16


def page(data: bytearray) -> None:
    for at in range(4096 * 3, len(data), 4096 * 3):
        data[at : at + 100] = os.urandom(100)


def schema_page(data: bytearray) -> None:
    data[100:400] = b"\xff" * 300


def cell_pointers(data: bytearray) -> None:
    for at in range(4096 * 2, len(data), 4096):
        data[at + 8 : at + 16] = b"\x00" * 8


def truncated(data: bytearray) -> None:
    del data[len(data) // 2 :]


def to_a_few_bytes(data: bytearray) -> None:
    del data[50:]


DAMAGES: dict[str, Callable[[bytearray], None]] = {
    one.__name__: one
    for one in (header, half_header, page, schema_page, cell_pointers, truncated, to_a_few_bytes)
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told_and_nothing_is_touched(name: str, path: Path) -> None:
    new_shop(path).close()
    data = bytearray(path.read_bytes())
    DAMAGES[name](data)
    path.write_bytes(bytes(data))
    with untouched(path):
        try:
            report = looked(path)
        except DatabaseError as error:
            told = str(error).lower()
        else:
            [first, *_] = report.findings
            assert (first.rule, first.severity) == ("integrity", "critical")
            told = first.mend_sql.lower()
    assert "restore" in told or "not an sqlite database" in told or "encrypted" in told, told


def test_what_is_no_database_is_refused(path: Path) -> None:
    path.write_text("-- a dump\nCREATE TABLE t (a);\n" * 200)
    with untouched(path), pytest.raises(NotADatabaseError):
        looked(path)
    with pytest.raises(NotADatabaseError):
        looked(path.parent)


def test_an_encrypted_file_needs_its_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wire = sqlite.connect(path, create=True, key="of the file")
    wire.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT")
    wire.close()
    monkeypatch.setenv("KEY_OF_THE_FILE", "of the file")
    with untouched(path):
        with pytest.raises(EncryptedDatabaseError):
            looked(path)
        report = DatabaseCheck().run(str(path), options={"key": "env:KEY_OF_THE_FILE"})
    assert report.healthy


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the file to another user")
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_directory_that_cannot_be_written_is_no_hindrance_or_told(
    mode: str, tmp_path: Path
) -> None:
    place = Path("/tmp") / f"homeostat-{os.getpid()}-{mode}"
    place.mkdir()
    try:
        path = place / "app.db"
        new_shop(path).close()
        wire = sqlite.connect(path, mode="foreign")
        wire.execute(f"PRAGMA journal_mode = {mode}")
        wire.close()
        path.chmod(0o444)
        place.chmod(0o555)
        own = tmp_path / "own.db"
        new_shop(own).close()
        nobody = pwd.getpwnam("nobody")
        done = subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, str(nobody.pw_uid), str(path), str(own)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if mode == "delete":
            assert done.returncode == 0, done.stderr
            assert '"journal_mode"' in done.stdout
        else:
            assert done.returncode == 2
            assert "WAL mode" in done.stderr
        assert sorted(one.name for one in place.iterdir()) == ["app.db"]
    finally:
        shutil.rmtree(place)


@pytest.mark.long
def test_five_thousand_tables_are_looked_at_within_a_minute(path: Path) -> None:
    fill_with_tables(path, 5000)
    wire = sqlite.connect(path)
    wire.execute("CREATE INDEX t4999_again ON t4999 (name)")
    wire.execute("UPDATE t4998 SET at = 'yesterday'")
    wire.close()
    with untouched(path):
        report = looked(path, Config(check=CheckConfig(load_share=1.0)))
    assert report.database.seconds < 60
    assert {one.rule for one in report.findings} == {"index_duplicate", "type_contradicted"}
    paced = looked(path)
    assert paced.database.seconds < 60
    assert paced.database.busy_seconds < 0.03 * 60 + 0.5


@pytest.mark.long
def test_two_gigabytes_are_looked_at_within_a_minute(path: Path) -> None:
    fill_with_blobs(path, 2000)
    before = (path.stat().st_size, path.stat().st_mtime_ns)
    report = looked(path)
    assert report.database.seconds < 60
    assert report.healthy, report.findings
    assert "quick_check_bytes_max" in " ".join(gap.reason for gap in report.unseen)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
