"""Each error that a first-time user of SQLite meets: its class, and that it says what to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from homeostat.driver.sqlite_patience import set_wal
from homeostat.errors import (
    ConfigError,
    ConstraintError,
    CorruptDatabaseError,
    DatabaseLockedError,
    DatabaseMissingError,
    DiskFullError,
    EncryptedDatabaseError,
    HomeostatError,
    NotADatabaseError,
    ReadOnlyDatabaseError,
    StatementError,
    StorageError,
)
from tests.driver.children import Writer, as_nobody, names, python

KEY = "hunter2'; --"


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """Return a directory that user nobody may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def refused(path: Path, kind: type[HomeostatError], says: str, **options: object) -> None:
    with pytest.raises(kind, match=says) as caught:
        sqlite.connect(path, **options).execute("SELECT * FROM sqlite_schema")  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert KEY not in str(caught.value)


def test_missing_file_is_not_created(tmp_path: Path) -> None:
    for mode in ("own", "foreign"):
        refused(tmp_path / "none.db", DatabaseMissingError, "nothing was created", mode=mode)
    assert names(tmp_path) == set()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none" / "a.db", DatabaseMissingError, "no such directory", create=True)
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "a.db", DatabaseMissingError, "is a file, not a directory")


def test_directory_and_device(tmp_path: Path) -> None:
    refused(tmp_path, NotADatabaseError, "This is a directory")
    refused(Path("/dev/null"), NotADatabaseError, "device")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", NotADatabaseError, "pipe")


@pytest.mark.parametrize(
    "content", [b"id,name\n1,bob\n" * 400, b"\x89PNG\r\n\x1a\n" + b"\x00\x01" * 501, b"\0" * 4096]
)
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)
    refused(path, NotADatabaseError, "not an SQLite database")
    assert path.read_bytes() == content


def test_encrypted_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.db"
    wire = sqlite.connect(path, create=True, key=KEY)
    wire.execute("CREATE TABLE t (a)")
    wire.close()
    refused(path, EncryptedDatabaseError, "key is missing or wrong")
    refused(path, EncryptedDatabaseError, "key does not open", key="wrong")
    again = sqlite.connect(path, mode="foreign", readonly=True, key=KEY)
    assert again.execute("SELECT * FROM t").columns == ("a",)
    again.close()
    assert names(tmp_path) == {"secret.db"}


def test_key_for_a_plain_file(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    wire.close()
    refused(sqlite_path, EncryptedDatabaseError, "not encrypted, but a key was given", key=KEY)


def test_damaged_file(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    wire.begin(write=True)
    wire.insert_rows("t", ["a"], (("x" * 500,) for _ in range(200)))
    wire.commit()
    wire.close()
    content = bytearray(sqlite_path.read_bytes())
    content[4096:16384] = os.urandom(12288)
    sqlite_path.write_bytes(content)
    wire = sqlite.connect(sqlite_path)
    with pytest.raises(CorruptDatabaseError, match="restore"):
        wire.execute("SELECT sum(length(a)) FROM t")
    assert wire.broken
    wire.close()
    content[18:100] = bytes(82)
    sqlite_path.write_bytes(content)
    refused(sqlite_path, NotADatabaseError, "header is damaged")


def test_locked_by_another_process_is_named(sqlite_path: Path) -> None:
    writer = Writer(sqlite_path)
    assert writer.ask("hold") == "held"
    wire = sqlite.connect(sqlite_path, busy_ms=50)
    with pytest.raises(DatabaseLockedError, match=f"held by process {writer.pid}"):
        wire.begin(write=True)
    assert not wire.in_transaction
    assert writer.ask("release") == "released"
    wire.begin(write=True)
    wire.close()
    writer.end()


def test_full_database_keeps_what_it_had(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    wire.execute("INSERT INTO t VALUES (1)")
    wire.execute("PRAGMA max_page_count = 10")
    with pytest.raises(DiskFullError, match="nothing was half written"):
        wire.execute("INSERT INTO t VALUES (zeroblob(1000000))")
    assert wire.execute("SELECT * FROM t").rows == [(1,)]
    wire.close()


def test_statement_errors_have_no_values(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a PRIMARY KEY)")
    wire.execute("INSERT INTO t VALUES (:a)", {"a": "hunter2"})
    for sql, kind, says in (
        ("INSERT INTO t VALUES ('hunter2')", ConstraintError, "t.a"),
        ("SELEC 'hunter2'", StatementError, "SELEC"),
        ("SELECT 1 WHERE 'hunter2", StatementError, "unrecognized token"),
        ("SELECT * FROM missing", StatementError, "missing"),
        ("SELECT :a", StatementError, ":a has no value"),
        ("SELECT 1; DROP TABLE t", StatementError, "more than one statement"),
    ):
        with pytest.raises(kind, match=says) as caught:
            wire.execute(sql)
        assert "hunter2" not in str(caught.value)
    assert wire.execute("SELECT count(*) FROM t").scalar() == 1
    wire.close()


def test_read_only_handle_refuses_to_write(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path, mode="foreign", readonly=True)
    with pytest.raises(ReadOnlyDatabaseError):
        wire.execute("CREATE TABLE t (a)")
    wire.close()
    with pytest.raises(ConfigError):
        sqlite.connect(sqlite_path, mode="foreign", create=True)


def test_file_without_rights(shared_directory: Path) -> None:
    path = shared_directory / "app.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("PRAGMA journal_mode = DELETE")
    wire.execute("CREATE TABLE t (a)")
    wire.close()
    path.chmod(0o444)
    assert as_nobody(path).startswith("ReadOnlyDatabaseError")
    assert as_nobody(path, mode="foreign", readonly=True) == "none"
    path.chmod(0o000)
    said = as_nobody(path)
    assert said.startswith("PermissionRefusedError")
    assert "may not read the file" in said
    shared_directory.chmod(0o700 if os.geteuid() == 0 else 0)
    try:
        assert "directory of the path may not be entered" in as_nobody(path)
    finally:
        shared_directory.chmod(0o700)


def test_directory_without_rights(shared_directory: Path) -> None:
    shared_directory.chmod(0o555)
    try:
        said = as_nobody(shared_directory / "new.db", create=True)
        assert said.startswith("PermissionRefusedError")
    finally:
        shared_directory.chmod(0o755)
    assert names(shared_directory) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_wal_database_of_another_user_is_read_only_while_its_application_runs(
    shared_directory: Path,
) -> None:
    path = shared_directory / "app.db"
    sqlite.connect(path, create=True).close()
    path.chmod(0o644)
    shared_directory.chmod(0o777)
    said = as_nobody(path, mode="foreign", readonly=True)
    assert said.startswith("PermissionRefusedError")
    assert "start the application first" in said
    assert names(shared_directory) == {"app.db"}
    shared_directory.chmod(0o755)
    application = Writer(path)
    assert as_nobody(path, mode="foreign", readonly=True) == "none"
    application.end()
    assert names(shared_directory) == {"app.db"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_wal_database_in_a_directory_that_cannot_be_written(shared_directory: Path) -> None:
    path = shared_directory / "app.db"
    sqlite.connect(path, create=True).close()
    os.chown(path, 65534, 65534)
    said = as_nobody(path, mode="foreign", readonly=True)
    assert said.startswith("ReadOnlyDatabaseError")
    assert "-wal and -shm files cannot be made here" in said
    assert names(shared_directory) == {"app.db"}


def test_journal_of_a_writer_that_died_is_left_to_its_application(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    writer = Writer(path, mode="delete")
    writer.write(0, 5)
    assert writer.ask("spill") == "spilled"
    writer.kill()
    before = path.stat()
    refused(path, ReadOnlyDatabaseError, "its journal must be", mode="foreign", readonly=True)
    assert names(tmp_path) == {"app.db", "app.db-journal"}
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    application = Writer(path, mode="delete")
    assert application.ask("count") == "5"
    application.end()
    sqlite.connect(path, mode="foreign", readonly=True).close()


def test_disk_that_fails_to_write(sqlite_path: Path) -> None:
    done = python(
        """
        import resource, sys
        from homeostat.driver import sqlite
        from homeostat.errors import StorageError
        wire = sqlite.connect(sys.argv[1])
        wire.execute("CREATE TABLE entry (text)")
        # the system refuses to make any file larger, as a broken disk refuses to write
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        wire.execute("PRAGMA cache_size = 2")  # so that it writes before COMMIT
        wire.begin(write=True)
        try:
            for _ in range(100):
                wire.execute("INSERT INTO entry VALUES (zeroblob(3000))")
        except StorageError as error:
            print(error.message)
            wire.rollback()
        print(wire.execute("SELECT count(*) FROM entry").scalar())
        """,
        sqlite_path,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [StorageError().message, "0"]


def test_file_that_another_library_has_open(sqlite_path: Path) -> None:
    done = python(
        """
        import sys, sqlite3
        from homeostat.driver import sqlite
        from homeostat.errors import OpenedTwiceError
        path = sys.argv[1]
        first = sqlite.connect(path)
        sqlite.connect(path).close()
        stranger = sqlite3.connect(path)
        stranger.execute("SELECT * FROM sqlite_schema").fetchall()
        for mode in ("own", "foreign"):
            try:
                sqlite.connect(path, mode=mode)
            except OpenedTwiceError as error:
                print(error.message)
        stranger.close()
        sqlite.connect(path).close()
        import apsw
        same = apsw.Connection(path)
        same.execute("SELECT * FROM sqlite_schema").fetchall()
        sqlite.connect(path).close()
        """,
        sqlite_path,
    )
    assert done.stderr == ""
    assert done.stdout.count("through another library") == 2


def test_file_that_is_moved_away_while_it_is_open(sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    wire.execute("PRAGMA journal_mode = DELETE")
    sqlite_path.rename(sqlite_path.with_name("moved.db"))
    with pytest.raises(ReadOnlyDatabaseError, match="moved or replaced while it was open"):
        wire.execute("INSERT INTO t VALUES (1)")
    wire.close()
    again = sqlite.connect(sqlite_path.with_name("moved.db"))
    assert again.execute("SELECT count(*) FROM t").scalar() == 0
    again.close()


def test_place_that_cannot_hold_a_log_is_refused() -> None:
    wire = sqlite.connect(sqlite.MEMORY)  # it answers as a file system without shared memory does
    with pytest.raises(StorageError, match="cannot hold a database in WAL mode"):
        set_wal(wire)
    wire.close()
