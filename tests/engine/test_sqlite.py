"""What the engine tells of an SQLite file that another application uses."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from homeostat.driver.urls import sqlite_path
from homeostat.engine import METRICS, Target, Unsupported, open_engine
from homeostat.engine.engine import Activity, Engine
from homeostat.engine.runtime_lock import RuntimeLocks, runtime_directory
from homeostat.engine.sqlite import METRICS as SQLITE_METRICS
from homeostat.engine.sqlite import program_name
from homeostat.errors import (
    ConfigError,
    DatabaseLockedError,
    DatabaseMissingError,
    PermissionRefusedError,
    ReadOnlyDatabaseError,
)
from homeostat.measure import Unknown
from tests.driver.children import Writer, names
from tests.patience import SECONDS_MAX


def test_every_reading_is_registered_and_every_metric_read(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "app.db")
    engine = open_engine(Target(str(tmp_path / "app.db")))
    assert not isinstance(engine.inspect, Unsupported)
    read = {**engine.inspect.health(), **engine.inspect.performance()}
    assert set(read) == {spec.name for spec in SQLITE_METRICS}
    assert set(SQLITE_METRICS) <= set(METRICS)
    assert all(isinstance(value, float) for value in read.values())
    engine.close()
    writer.end()


def test_readings_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    writer = Writer(path)
    engine = open_engine(Target(f"sqlite:///{path}"))
    assert not isinstance(engine.inspect, Unsupported)
    wal_before = engine.inspect.performance()["sqlite.wal_bytes"]
    size_before = engine.inspect.health()["database.size_bytes"]
    writer.write(0, 200)
    health = engine.inspect.health()
    wal_now = health["sqlite.wal_bytes"]
    size_now = health["database.size_bytes"]
    assert isinstance(wal_before, float)
    assert isinstance(wal_now, float)
    assert wal_now > wal_before
    assert isinstance(size_before, float)
    assert isinstance(size_now, float)
    assert size_now >= size_before + 200 * 100
    assert engine.inspect.settings()["journal_mode"] == "wal"
    engine.close()
    writer.end()


def test_who_holds_the_write_lock_is_told_by_name(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "app.db")
    engine = open_engine(Target(str(tmp_path / "app.db")))
    assert not isinstance(engine.inspect, Unsupported)
    assert engine.inspect.activity().holders == ()
    assert writer.ask("hold") == "held"
    activity: Activity = engine.inspect.activity()
    (holder,) = activity.holders
    assert holder.pid == writer.pid
    assert holder.application.startswith("python")
    assert holder.held_seconds is None
    assert isinstance(activity.connections, Unknown)
    assert "agent" in activity.connections.reason
    assert engine.inspect.performance()["sqlite.writers_count"] == 1
    engine.close()
    writer.end()


def test_a_program_is_named_without_its_arguments() -> None:
    assert program_name(["/usr/bin/python3", "/srv/shop.py", "--password=hunter2"]) == (
        "python3 shop.py"
    )
    assert program_name(["python", "-m", "shop", "hunter2"]) == "python -m shop"
    assert program_name(["python", "-c", "hunter2"]) == "python"
    assert program_name(["/opt/app/server", "hunter2"]) == "server"
    assert program_name([]) == ""


def test_attach_probe_and_detach_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    Writer(path).end()
    before = path.stat()
    for _ in range(100):
        engine = open_engine(Target(str(path)))
        assert not isinstance(engine.inspect, Unsupported)
        engine.inspect.health()
        engine.inspect.performance()
        engine.inspect.activity()
        engine.inspect.settings()
        engine.close()
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    assert names(tmp_path) == {"app.db"}


def test_the_engine_only_reads(sqlite_path: Path) -> None:
    engine = open_engine(Target(str(sqlite_path)))
    with pytest.raises(ReadOnlyDatabaseError):
        engine.execute("CREATE TABLE t (a)")
    engine.close()


def test_another_file_at_the_same_path_is_noticed(sqlite_path: Path) -> None:
    engine = open_engine(Target(str(sqlite_path)))
    key = engine.identity().key
    sqlite_path.rename(sqlite_path.with_name("old.db"))
    with pytest.raises(DatabaseMissingError):
        engine.execute("SELECT 1")
    Writer(sqlite_path).end()
    with pytest.raises(DatabaseMissingError, match="Another file"):
        engine.execute("SELECT 1")
    engine.close()
    other = open_engine(Target(str(sqlite_path)))
    assert other.identity().key != key
    other.close()


def test_a_link_leads_to_the_same_database(sqlite_path: Path) -> None:
    link = sqlite_path.with_name("link.db")
    link.symlink_to(sqlite_path)
    engines: list[Engine] = [open_engine(Target(str(path))) for path in (sqlite_path, link)]
    assert engines[0].identity().key == engines[1].identity().key
    for engine in engines:
        engine.close()


def test_a_key_is_taken_from_its_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from homeostat.driver import sqlite

    path = tmp_path / "secret.db"
    wire = sqlite.connect(path, create=True, key="hunter2")
    wire.execute("CREATE TABLE t (a)")
    wire.close()
    monkeypatch.setenv("APP_KEY", "hunter2")
    engine = open_engine(Target(str(path), options={"key": "env:APP_KEY"}))
    assert engine.execute("SELECT count(*) FROM t").scalar() == 0
    assert "hunter2" not in repr(engine.identity())
    engine.close()


@pytest.mark.parametrize("url", ["", "mysql://h/d", "sqlite://host/x", "http://x"])
def test_unknown_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not known"):
        open_engine(Target(url))


def test_paths_of_urls() -> None:
    assert sqlite_path("sqlite:////var/app.db") == "/var/app.db"
    assert sqlite_path("sqlite:///app.db") == "app.db"
    assert sqlite_path("app.db") == "app.db"


def _hold(key: str, held: object, release: object) -> None:
    with RuntimeLocks(key).hold("operator") as taken:
        assert taken
        held.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_the_lock_excludes_other_processes_and_ends_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Event(), spawn.Event()
    process = spawn.Process(target=_hold, args=("sqlite-1-2", held, release))
    process.start()
    assert held.wait(30)
    with RuntimeLocks("sqlite-1-2").hold("operator") as taken:
        assert not taken
    with RuntimeLocks("sqlite-1-3").hold("operator") as taken:
        assert taken
    with RuntimeLocks("sqlite-1-2").hold("other") as taken:
        assert taken
    process.kill()
    process.join(SECONDS_MAX)
    process.close()
    with RuntimeLocks("sqlite-1-2").hold("operator") as taken:
        assert taken


def test_the_lock_directory_must_be_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_directory() == tmp_path / "homeostat"
    (tmp_path / "homeostat").chmod(0o777)
    with pytest.raises(PermissionRefusedError, match="alone"):
        runtime_directory()
    (tmp_path / "homeostat").rmdir()
    (tmp_path / "homeostat").symlink_to(tmp_path)
    with pytest.raises(PermissionRefusedError):
        runtime_directory()


def test_control_has_no_sessions_to_end(sqlite_path: Path) -> None:
    engine = open_engine(Target(str(sqlite_path)))
    assert not isinstance(engine.control, Unsupported)
    assert engine.control.end_work("homeostat") == 0
    assert engine.control.end_session(1) is False
    engine.close()


def test_work_is_done_by_one_at_a_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "app.db")
    engines: list[Engine] = [open_engine(Target(str(tmp_path / "app.db"))) for _ in range(2)]
    one, two = (engine.control for engine in engines)
    assert not isinstance(one, Unsupported)
    assert not isinstance(two, Unsupported)
    with one.work(purpose="run 1 epoch 1", lock="index:entry", statement_timeout_ms=5000) as wire:
        wire.execute("CREATE INDEX entry_text ON entry (text)")
        with (
            pytest.raises(DatabaseLockedError),
            two.work(purpose="run 2 epoch 2", lock="index:entry", statement_timeout_ms=5000),
        ):
            pass
    with two.work(purpose="run 2 epoch 2", lock="index:entry", statement_timeout_ms=5000) as wire:
        wire.execute("DROP INDEX entry_text")
    for engine in engines:
        engine.close()
    writer.write(0, 3)
    writer.end()
