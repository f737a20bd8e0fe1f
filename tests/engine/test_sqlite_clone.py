"""Clones of SQLite files: whole, private, of one moment; and nothing left of those that failed."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.config import CloneConfig
from homeostat.driver import sqlite
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.facets import Clone
from homeostat.errors import CloneRefusedError, NotFoundError
from tests.driver.children import Writer
from tests.engine.shapes import ORDERS, make_sqlite
from tests.patience import line_of

HOUR = 3600.0
PLENTY = 10**9
ROOT = Path(__file__).resolve().parents[2]
Opener = Callable[..., Clone]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_sqlite(tmp_path / "app.db")
    return tmp_path / "app.db"


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    return tmp_path / "clones"


@pytest.fixture
def clone_of(clones: Path) -> Iterator[Opener]:
    """Return what opens the facet of a file."""
    engines = []

    def opened(path: Path, *, clock: ManualClock | None = None, **changes: object) -> Clone:
        config = CloneConfig(directory=str(clones), **changes)  # type: ignore[arg-type]
        target = Target(str(path), clone=config, clock=clock or ManualClock())
        engines.append(open_engine(target))
        facet = engines[-1].clone
        assert not isinstance(facet, Unsupported)
        return facet

    yield opened
    for engine in engines:
        engine.close()


def files_of(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.iterdir())
        if path.is_file()
    }


def large(path: Path, *, mode: str = "wal") -> None:
    """Make a file of 20 MB, so that a copy takes several steps."""
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE big (number INTEGER PRIMARY KEY, text BLOB)")
    wire.execute(
        "INSERT INTO big WITH RECURSIVE n (x) AS "
        "(SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000) SELECT x, zeroblob(20000) FROM n"
    )
    wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    wire.execute(f"PRAGMA journal_mode = {mode}")
    wire.close()


def test_a_clone_is_whole_and_private_and_the_source_untouched(
    file: Path, clones: Path, clone_of: Opener, tmp_path: Path
) -> None:
    before = files_of(tmp_path)
    facet = clone_of(file)
    made = facet.create(owner="run 7 epoch 2", expires_seconds=HOUR, bytes_max=PLENTY)
    assert made.bytes == file.stat().st_size
    assert made.share == 1.0
    assert facet.list() == [made]
    assert stat.S_IMODE(clones.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in clones.iterdir()} == {0o600}
    with facet.connect(made.name) as wire:
        assert wire.execute("SELECT count(*) FROM [Order]").scalar() == ORDERS
        assert wire.execute("PRAGMA integrity_check").scalar() == "ok"
        wire.execute("DELETE FROM [Order]")
        wire.execute("DROP INDEX order_total")
        assert {stat.S_IMODE(path.stat().st_mode) for path in clones.iterdir()} == {0o600}
    assert facet.drop(made.name)
    assert not facet.drop(made.name)
    assert list(clones.iterdir()) == []
    assert {name: files_of(tmp_path).get(name) for name in before} == before
    with pytest.raises(NotFoundError), facet.connect(made.name):
        pass


def test_a_name_that_leads_elsewhere_is_not_followed(file: Path, clone_of: Opener) -> None:
    facet = clone_of(file)
    for name in ("../app", "/etc/passwd", "", "."):
        assert not facet.drop(name)
    assert file.exists()


def test_a_clone_beside_a_writer_is_of_one_moment(tmp_path: Path, clone_of: Opener) -> None:
    """Small steps would begin again at every write; the copy ends, and holds a prefix."""
    path = tmp_path / "busy.db"
    large(path)
    with_writer = Writer(path)
    with_writer.say("forever 0")
    for _ in range(20):
        with_writer.line()
    facet = clone_of(path)
    made = facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    with_writer.kill()
    with facet.connect(made.name) as wire:
        count, last = wire.execute("SELECT count(*), max(number) FROM entry").rows[0]
        assert int(str(count)) >= 20
        assert int(str(last)) + 1 == count
        assert wire.execute("SELECT count(*) FROM big").scalar() == 1000


def test_a_copy_that_makes_writers_wait_too_long_is_given_up(
    tmp_path: Path, clones: Path, clone_of: Opener
) -> None:
    path = tmp_path / "rollback.db"
    large(path, mode="DELETE")
    facet = clone_of(path, writers_wait_seconds_max=0.0001)
    with pytest.raises(CloneRefusedError, match="rollback mode"):
        facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    assert list(clones.iterdir()) == []
    wire = sqlite.connect(path, mode="foreign", busy_ms=0)
    wire.execute("DELETE FROM big WHERE number = 1")  # no lock is left
    wire.close()
    patient = clone_of(path, writers_wait_seconds_max=60.0)
    assert patient.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY).bytes > 10_000_000


def test_what_does_not_fit_is_refused_before_anything_is_written(
    file: Path, clones: Path, clone_of: Opener
) -> None:
    with pytest.raises(CloneRefusedError, match="larger than clones"):
        clone_of(file).create(owner="x", expires_seconds=HOUR, bytes_max=4096)
    with pytest.raises(CloneRefusedError, match="larger than clones"):
        clone_of(file, bytes_max=4096).create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    full = clone_of(file, disk_reserve_bytes=10**18)
    with pytest.raises(CloneRefusedError, match="too little space"):
        full.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    assert list(clones.iterdir()) == []
    clones.chmod(0o777)
    with pytest.raises(CloneRefusedError, match="Others may write"):
        clone_of(file).create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)


def test_clones_are_bounded_expire_and_go_with_their_owners(
    file: Path, clones: Path, clone_of: Opener
) -> None:
    clock = ManualClock()
    facet = clone_of(file, clock=clock, count_max=2)
    short = facet.create(owner="run 1", expires_seconds=60, bytes_max=PLENTY)
    facet.create(owner="run 2", expires_seconds=HOUR, bytes_max=PLENTY)
    with pytest.raises(CloneRefusedError, match="count_max"):
        facet.create(owner="run 3", expires_seconds=HOUR, bytes_max=PLENTY)
    assert facet.collect() == 0
    clock.advance(61)
    assert short.name not in {one.name for one in facet.list() if one.expires > clock.now()}
    facet.create(owner="run 3", expires_seconds=HOUR, bytes_max=PLENTY)  # the expired one went
    assert facet.collect(owners=frozenset({"run 2", "run 9"})) == 1
    assert [one.owner for one in facet.list()] == ["run 3"]


def test_clones_of_another_file_are_not_shown(file: Path, tmp_path: Path, clone_of: Opener) -> None:
    sqlite.connect(tmp_path / "other.db", create=True).close()
    other = clone_of(tmp_path / "other.db")
    made = other.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    facet = clone_of(file)
    assert facet.list() == []
    assert not facet.drop(made.name)
    assert facet.collect(owners=frozenset({"x"})) == 0
    assert other.list() == [made]


def test_a_copy_that_was_killed_leaves_nothing(
    tmp_path: Path, clones: Path, clone_of: Opener
) -> None:
    path = tmp_path / "app.db"
    large(path)
    before = files_of(tmp_path)
    command = [sys.executable, "-m", "tests.engine.copier", "sqlite", str(path), str(clones)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert line_of(child.stdout) == "in the middle\n"
        facet = clone_of(path)
        assert facet.collect() == 0  # it is at work
        assert len(list(clones.glob("*.db"))) == 1
        child.kill()
    assert facet.list() == []
    assert facet.collect() == 1
    assert list(clones.iterdir()) == []
    assert {name: files_of(tmp_path).get(name) for name in before} == before
    wire = sqlite.connect(path, mode="foreign", busy_ms=0)
    wire.execute("DELETE FROM big WHERE number = 1")  # no lock is left
    wire.close()


def test_the_clone_of_an_encrypted_file_is_encrypted(
    tmp_path: Path, clones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", "correct horse")
    path = tmp_path / "secret.db"
    wire = sqlite.connect(path, create=True, key="correct horse")
    wire.execute("CREATE TABLE t (a TEXT)")
    wire.execute("INSERT INTO t VALUES ('hunter2 hunter2 hunter2')")
    wire.close()
    config = CloneConfig(directory=str(clones))
    engine = open_engine(Target(str(path), options={"key": "env:SHOP_KEY"}, clone=config))
    facet = engine.clone
    assert not isinstance(facet, Unsupported)
    made = facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    with facet.connect(made.name) as clone:
        assert str(clone.execute("SELECT a FROM t").scalar()).startswith("hunter2")
    everything = b"".join(path.read_bytes() for path in clones.iterdir())
    assert b"hunter2" not in everything
    assert b"SQLite format 3" not in everything
    assert b"correct horse" not in everything
    engine.close()


def test_without_a_directory_there_are_no_clones(file: Path) -> None:
    engine = open_engine(Target(str(file)))
    missing = engine.clone
    assert isinstance(missing, Unsupported)
    assert "[clone] directory" in missing.mend
    engine.close()
