"""Reading a database that others write to: nothing is lost, changed or left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from homeostat.driver.sqlite_files import writers
from tests.driver.children import Writer, names
from tests.patience import joined

ATTACHMENTS = 100


def look(path: Path, *, readonly: bool = True) -> tuple[object, ...]:
    """Attach, probe and detach; return journal mode, schema version and user version."""
    wire = sqlite.connect(path, mode="foreign", readonly=readonly, busy_ms=5000)
    try:
        wire.execute("SELECT count(*), max(number) FROM entry", deadline_ms=5000)
        return tuple(
            wire.execute(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "schema_version", "user_version")
        )
    finally:
        wire.close()


@pytest.mark.parametrize("readonly", [True, False])
def test_attaching_a_hundred_times_beside_a_writer(tmp_path: Path, *, readonly: bool) -> None:
    path = tmp_path / "app.db"
    writer = Writer(path)
    before = look(path, readonly=readonly)
    acknowledged: list[int] = []
    enough = threading.Event()

    def listen() -> None:
        while line := writer.line():
            acknowledged.append(int(line))
            if len(acknowledged) >= ATTACHMENTS:
                enough.set()

    database, wal_bytes = path.stat(), 0
    writer.say("forever 0")
    listener = threading.Thread(target=listen)
    listener.start()
    assert enough.wait(30)
    for _ in range(ATTACHMENTS):
        assert look(path, readonly=readonly) == before
        now, wal_now = path.stat(), Path(f"{path}-wal").stat().st_size
        # the writer never checkpoints: a change of the file, or a shorter log, would be ours
        assert (now.st_mtime_ns, now.st_size) == (database.st_mtime_ns, database.st_size)
        assert wal_now >= wal_bytes
        wal_bytes = wal_now
    writer.process.kill()
    joined(listener)
    writer.kill()

    abandoned = Path(f"{path}-wal").stat()
    look(path, readonly=readonly)
    after = Path(f"{path}-wal").stat()
    assert (after.st_size, after.st_mtime_ns) == (abandoned.st_size, abandoned.st_mtime_ns)
    assert path.stat().st_mtime_ns == database.st_mtime_ns

    reader = Writer(path)
    assert int(reader.ask("count")) >= len(acknowledged) >= ATTACHMENTS
    reader.end()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_at_rest_is_left_as_it_was(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "app.db"
    writer = Writer(path, mode=mode)
    writer.write(0, 10)
    writer.end()
    before, content = path.stat(), path.read_bytes()
    first = sqlite.connect(path, mode="foreign", readonly=True)
    second = sqlite.connect(path, mode="foreign", readonly=True)
    assert first.execute("SELECT count(*) FROM entry").scalar() == 10
    first.close()
    assert second.execute("SELECT count(*) FROM entry").scalar() == 10
    second.close()
    assert names(tmp_path) == {"app.db"}
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.read_bytes() == content


def test_what_the_application_wrote_meanwhile_stays_in_its_log(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    Writer(path).end()
    wire = sqlite.connect(path, mode="foreign", readonly=True)
    wire.execute("SELECT count(*) FROM entry")
    writer = Writer(path)
    writer.write(0, 5)
    writer.end()  # not the last one to close, so the log stays
    assert wire.execute("SELECT count(*) FROM entry").scalar() == 5
    size = Path(f"{path}-wal").stat().st_size
    wire.close()
    assert Path(f"{path}-wal").stat().st_size == size > 0
    reader = Writer(path)
    assert reader.ask("count") == "5"
    reader.end()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_process_that_holds_the_write_lock_is_named(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "app.db"
    writer = Writer(path, mode=mode)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    assert writers(path) == ()
    assert writer.ask("hold") == "held"
    assert writers(path) == writers(link) == (writer.pid,)
    assert writer.ask("release") == "released"
    assert writers(path) == ()
    assert writer.ask("hold") == "held"
    writer.kill()
    assert writers(path) == ()
