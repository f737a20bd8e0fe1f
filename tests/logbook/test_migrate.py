"""Schema changes: in pairs around a deploy, whole or not at all, never on a newer file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.driver.sqlite import SqliteWire, connect
from homeostat.driver.wire import NO_PARAMS, Params, Rows
from homeostat.errors import LogbookError, LogbookNewerError
from homeostat.logbook import Logbook
from homeostat.logbook.file import LogFile
from homeostat.logbook.migrate import (
    Migration,
    finish,
    level_of,
    migrate,
    migrations_in,
    migrations_of,
    statements_of,
)
from tests.logbook.making import finding, owner

OLD_READS = "SELECT name FROM people"
OLD_WRITES = "INSERT INTO people (name) VALUES ('old')"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two pairs: a table; then a column that replaces another."""
    directory = tmp_path / "migrations"
    directory.mkdir()
    texts = {
        "0001_people.pre.sql": "CREATE TABLE people (name TEXT);\n\nINSERT INTO people\n"
        "VALUES ('first; and only');\n",
        "0001_people.post.sql": "-- nothing\n",
        "0002_rename.pre.sql": "ALTER TABLE people ADD COLUMN label TEXT;\n\n"
        "UPDATE people SET label = name;\n\n"
        "CREATE TRIGGER both AFTER INSERT ON people BEGIN\n"
        "    UPDATE people SET label = name WHERE label IS NULL;\nEND;\n",
        "0002_rename.post.sql": "DROP TRIGGER both;\n\nALTER TABLE people DROP COLUMN name;\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[SqliteWire]:
    opened = connect(tmp_path / "file.db", create=True)
    yield opened
    opened.close()


def test_statements_end_at_an_empty_line() -> None:
    text = "-- a comment;\n\nCREATE TABLE a (b);\n\n-- why\nCREATE TRIGGER t BEGIN\n  x;\nEND;  \n"
    first, second = statements_of(text)
    assert first.startswith("CREATE TABLE")
    assert second.startswith("-- why")
    assert second.endswith("x;\nEND")
    assert statements_of("-- only\n-- comments\n") == ()


def test_an_empty_file_gets_everything(pairs: Path, wire: SqliteWire) -> None:
    migrate(wire, migrations_in(pairs))
    assert level_of(wire) == 4
    assert wire.execute("SELECT label FROM people").rows == [("first; and only",)]


def test_the_old_release_works_on_the_new_pre_schema(pairs: Path, wire: SqliteWire) -> None:
    new = migrations_in(pairs)
    old = new[:2]
    migrate(wire, old)
    migrate(wire, new)
    assert level_of(wire) == 3  # the post file waits for the old release to end
    migrate(wire, old)  # it opens the file again meanwhile
    wire.execute(OLD_WRITES)
    assert wire.execute(OLD_READS).rows == [("first; and only",), ("old",)]
    assert wire.execute("SELECT label FROM people").rows == [("first; and only",), ("old",)]
    wire.begin(write=True)
    finish(wire, new)
    wire.commit()
    assert level_of(wire) == 4
    with pytest.raises(LogbookNewerError, match="Upgrade Homeostat"):
        migrate(wire, old)


def test_a_skipped_release_gets_all_its_pairs(pairs: Path, wire: SqliteWire) -> None:
    new = migrations_in(pairs)
    migrate(wire, new[:2])
    third = (
        Migration(5, "0003.pre", ("CREATE TABLE third (a)",)),
        Migration(6, "0003.post", ()),
    )
    migrate(wire, new + third)
    assert level_of(wire) == 5
    assert wire.execute("SELECT label FROM people").rows == [("first; and only",)]


class Interrupted(Exception):  # noqa: N818 - what happens, not what is raised on purpose
    """The process died here."""


class DyingWire(SqliteWire):
    """Dies before its n-th statement."""

    left = 10**9

    def execute(
        self, sql: str, params: Params = NO_PARAMS, *, deadline_ms: float | None = None
    ) -> Rows:
        if sql != "ROLLBACK":
            type(self).left -= 1
            if type(self).left < 0:
                raise Interrupted
        return super().execute(sql, params, deadline_ms=deadline_ms)


def test_interrupted_anywhere_it_is_simply_run_again(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = migrations_in(pairs)
    interruptions = 0
    for point in range(100):
        path = tmp_path / f"{point}.db"
        wire = connect(path, create=True)
        wire.__class__ = DyingWire
        DyingWire.left = point
        try:
            migrate(wire, migrations)
        except Interrupted:
            interruptions += 1
        else:
            break
        finally:
            DyingWire.left = 10**9
            wire.close()
        wire = connect(path)
        schema = wire.execute("SELECT count(*) FROM sqlite_schema").scalar()
        assert (level_of(wire), schema) in {(0, 0), (1, 1), (2, 1), (3, 2), (4, 1)}
        migrate(wire, migrations[:2] if level_of(wire) < 2 else migrations)
        migrate(wire, migrations)
        wire.begin(write=True)
        finish(wire, migrations)
        wire.commit()
        assert level_of(wire) == 4
        assert wire.execute("SELECT label FROM people").rows == [("first; and only",)]
        wire.close()
    assert interruptions > 12


def test_a_missing_half_is_refused(pairs: Path) -> None:
    (pairs / "0001_people.post.sql").unlink()
    with pytest.raises(LogbookError, match="migration file is missing"):
        migrations_in(pairs)


@pytest.mark.parametrize("name", ["logbook", "samples"])
def test_ours_come_in_pairs_and_begin_with_nothing(name: str, wire: SqliteWire) -> None:
    migrations = migrations_of(name)
    migrate(wire, migrations)
    assert level_of(wire) == migrations[-1].level


def test_a_newer_logbook_is_refused_and_not_touched(path: Path, clock: ManualClock) -> None:
    with Logbook.open(path, clock=clock) as logbook, logbook.write(None) as tx:
        tx.save_finding(finding())
    newer = connect(path)
    newer.execute(f"PRAGMA user_version = {migrations_of('logbook')[-1].level + 2}")
    newer.close()
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(LogbookNewerError, match=str(path)):
            Logbook.open(path, clock=clock, readonly=readonly)
    assert path.read_bytes() == before


def test_a_logbook_one_pre_file_ahead_still_serves(path: Path, clock: ManualClock) -> None:
    Logbook.open(path, clock=clock).close()
    ahead = connect(path)
    ahead.execute("ALTER TABLE findings ADD COLUMN later TEXT")
    ahead.execute(f"PRAGMA user_version = {migrations_of('logbook')[-1].level + 1}")
    ahead.close()
    with Logbook.open(path, clock=clock) as logbook:
        with logbook.write(logbook.claim("scope", owner(), lease_seconds=5)) as tx:
            tx.save_finding(finding())
        assert len(logbook.findings()) == 1


def test_the_post_file_waits_until_no_other_owner_is_left(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logbook.db"
    ours = migrations_of("logbook")
    level = ours[-1].level
    later = (
        *ours,
        Migration(level + 1, "later.pre", ("CREATE TABLE later (a)",)),
        Migration(level + 2, "later.post", ("CREATE TABLE latest (a)",)),
    )
    with Logbook.open(path, clock=clock) as old:
        old.claim("one", owner(1), lease_seconds=15)
        monkeypatch.setattr("homeostat.logbook.store.migrations_of", lambda _: later)
        with Logbook.open(path, clock=clock) as new:
            new.claim("two", owner(2), lease_seconds=60)
            assert _level(new) == level + 1
            clock.advance(16)
            new.claim("one", owner(2), lease_seconds=60)
            assert _level(new) == level + 2


def _level(logbook: Logbook) -> int:
    file = logbook._file
    assert isinstance(file, LogFile)
    with file.reading() as session:
        return level_of(session)
