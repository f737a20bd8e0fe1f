"""A mend loses no row, also in a shell that goes on after errors, run twice or stopped within."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.check.database import DatabaseCheck
from homeostat.clock import ManualClock
from homeostat.config import CheckConfig, Config
from homeostat.driver import sqlite
from homeostat.errors import DatabaseError
from tests.check.sqlite_files import PLANTED, Planted, filled, script
from tests.check.sqlite_mends import found, looked, lost, made, mended, rows_of

LOSING = (
    "text in a number",
    "fraction in a whole number",
    "orphans",
    "orphans that may be loose",
    "no key",
    "wide rows without rowid",
    "quoted literal in a check",
    "blob before small columns",
)
TWO_RULES = ("quoted_literal", "blob_before_columns")
FAILS = "SELECT no_such_function();"


def statements(sql: str) -> Iterator[str]:
    part = ""
    for line in sql.splitlines(keepends=True):
        part += line
        if line.rstrip().endswith(";"):
            yield part
            part = ""


def one_by_one(path: Path, parts: list[str]) -> None:
    """Run statements with foreign keys on, going on after errors."""
    with closing(sqlite.connect(path, mode="foreign")) as wire:
        wire.execute("PRAGMA foreign_keys = ON")
        for part in parts:
            try:
                wire.execute(part)
            except DatabaseError:
                continue


def in_the_shell(path: Path, parts: list[str]) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("the shell of SQLite is not here")
    sql = "PRAGMA foreign_keys = ON;\n" + "".join(parts)
    subprocess.run(
        ["sqlite3", str(path)], input=sql, text=True, capture_output=True, check=False, timeout=60
    )


def mend_of(planted: Planted, path: Path) -> list[str]:
    made(planted, path)
    finding = found(looked(path, planted.config), planted.rule, planted.where)
    assert finding is not None
    assert finding.mend_sql.startswith("-- run with: sqlite3 -bail FILE")
    assert "-bail" in finding.risk
    return list(statements(finding.mend_sql))


@pytest.mark.parametrize("run", [one_by_one, in_the_shell])
@pytest.mark.parametrize("name", LOSING)
def test_a_mend_that_is_run_twice_loses_no_row(
    name: str, run: Callable[[Path, list[str]], None], tmp_path: Path
) -> None:
    path = tmp_path / "app.db"
    parts = mend_of(PLANTED[name], path)
    before = rows_of(path)
    run(path, parts)
    once = rows_of(path)
    assert not lost(before, once)
    run(path, parts)
    assert rows_of(path) == once


@pytest.mark.parametrize("name", LOSING)
def test_whichever_step_fails_no_row_is_lost(name: str, tmp_path: Path) -> None:
    path, copy = tmp_path / "app.db", tmp_path / "copy.db"
    parts = mend_of(PLANTED[name], path)
    before = rows_of(path)
    for step in range(len(parts)):
        for fails in (FAILS, "ROLLBACK;"):  # a full disk ends the transaction as well
            shutil.copyfile(path, copy)
            one_by_one(copy, [*parts[:step], fails, *parts[step + 1 :]])
            assert not lost(before, rows_of(copy)), parts[step]


def test_a_row_that_came_since_is_not_taken_for_the_one_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    parts = mend_of(PLANTED["orphans"], path)
    one_by_one(path, parts)
    with closing(sqlite.connect(path, mode="foreign")) as wire:
        wire.execute("INSERT INTO purchase VALUES (1, 3, 'new', 77)")
    one_by_one(path, parts)
    assert (1, 3, "new", 77) in rows_of(path)["purchase"]


def test_orphans_that_are_deleted_take_nobody_with_them(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    planted = Planted(
        "foreign_key_violated",
        '"pet"',
        script(
            "PRAGMA foreign_keys = OFF;"
            "CREATE TABLE pet (name TEXT, owner INTEGER NOT NULL REFERENCES customer,"
            " PRIMARY KEY (name, owner)) WITHOUT ROWID;"
            "CREATE TABLE toy (what TEXT, pet TEXT, owner INTEGER,"
            " FOREIGN KEY (pet, owner) REFERENCES pet ON DELETE CASCADE);"
            "INSERT INTO pet VALUES ('a', 1), ('b', 9000); INSERT INTO toy VALUES ('t', 'b', 9000)"
        ),
        "",
    )
    parts = mend_of(planted, path)
    one_by_one(path, parts)
    after = rows_of(path)
    assert after["pet"] == [("a", 1)]
    assert after["toy"] == [("t", "b", 9000)]
    [kept] = [rows for name, rows in after.items() if name.startswith("pet_orphans")]
    assert kept == [("b", 9000)]


TICKET = (
    'CREATE TABLE ticket (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT CHECK (kind <> "none"));'
    "CREATE TABLE seat (ticket INTEGER REFERENCES ticket (id));"
    "CREATE INDEX ticket_kind ON ticket (kind);"
    "CREATE VIEW kinds AS SELECT kind FROM ticket;"
    "INSERT INTO ticket (kind) VALUES ('a'), ('b'), ('c'); DELETE FROM ticket WHERE id > 1;"
)


def test_a_table_made_anew_counts_on_and_is_still_referred_to(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    one_by_one(path, mend_of(Planted("quoted_literal", '"ticket"', script(TICKET), ""), path))
    with closing(sqlite.connect(path, mode="foreign")) as wire:
        wire.execute("INSERT INTO ticket (kind) VALUES ('d')")
        assert wire.execute("SELECT id FROM ticket").rows == [(1,), (4,)]
        assert wire.execute("SELECT kind FROM kinds").rows == [("a",), ("d",)]
        [key] = wire.execute("PRAGMA foreign_key_list(seat)").rows
        assert key[2] == "ticket"
        asked = "SELECT tbl_name FROM sqlite_schema WHERE name = 'ticket_kind'"
        assert wire.execute(asked).rows == [("ticket",)]


def test_a_row_that_the_new_table_refuses_leaves_the_old_table_in_place(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    spoilt = (
        f"{TICKET} PRAGMA ignore_check_constraints = ON; INSERT INTO ticket VALUES (9, 'none');"
        "PRAGMA ignore_check_constraints = OFF"
    )
    parts = mend_of(Planted("quoted_literal", '"ticket"', script(spoilt), ""), path)
    before = rows_of(path)
    one_by_one(path, parts)
    assert rows_of(path) == before


def test_a_large_column_moves_back_with_all_that_is_said_of_it(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    make = filled(
        "CREATE TABLE picture (id INTEGER PRIMARY KEY, -- a number, counted\n"
        " data BLOB NOT NULL DEFAULT (zeroblob(2)), kind TEXT CHECK (kind IN ('a,', 'b')),"
        " UNIQUE (id, kind)) STRICT",
        "picture",
        "i, randomblob(150000), 'b'",
        20,
    )
    one_by_one(path, mend_of(Planted("blob_before_columns", '"picture"', make, ""), path))
    with closing(sqlite.connect(path, mode="foreign")) as wire:
        asked = "SELECT name, \"notnull\", dflt_value FROM pragma_table_info('picture')"
        assert [tuple(row) for row in wire.execute(asked).rows] == [
            ("id", 0, None),
            ("kind", 0, None),
            ("data", 1, "zeroblob(2)"),
        ]
        asked = "SELECT count(*), min(length(data)), min(kind) FROM picture"
        assert wire.execute(asked).rows[0] == (20, 150_000, "b")


def test_rows_keep_their_rowids_in_a_table_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    planted = Planted(
        "no_primary_key",
        '"event"',
        script(
            "CREATE TABLE event (what TEXT) STRICT;"
            "INSERT INTO event (rowid, what) VALUES (3, 'c'), (70, 'd'), (5, 'e')"
        ),
        "",
        config=Config(check=CheckConfig(sqlite_rows_min=3)),
    )
    parts = mend_of(planted, path)
    one_by_one(path, parts)
    assert rows_of(path)["event"] == [(3, "c"), (5, "e"), (70, "d")]


def test_of_two_mends_that_make_one_table_anew_each_says_that_it_goes_alone(tmp_path: Path) -> None:
    two = filled(
        'CREATE TABLE picture (data BLOB, kind TEXT CHECK (kind <> "none"));'
        'CREATE TABLE ware (id INTEGER PRIMARY KEY, kind TEXT CHECK (kind <> "none"))',
        "picture",
        "randomblob(150000), 'p' || i",
        20,
    )
    path = made(Planted("quoted_literal", '"picture"', two, ""), tmp_path / "app.db")
    report = looked(path, Config())
    literal, order = (found(report, rule, '"picture"') for rule in TWO_RULES)
    alone = found(report, "quoted_literal", '"ware"')
    assert literal is not None
    assert order is not None
    assert alone is not None
    assert "made anew for blob_before_columns too" in literal.risk
    assert "made anew for quoted_literal too" in order.mend_sql
    assert "made anew for" not in alone.risk
    mended(path, literal.mend_sql)
    again = DatabaseCheck(clock=ManualClock(report.database.at)).run(str(path))  # as soon as can be
    assert found(again, "quoted_literal", '"picture"') is None
    left = found(again, "blob_before_columns", '"picture"')
    assert left is not None
    assert "made anew for" not in left.risk
    mended(path, left.mend_sql)
    with closing(sqlite.connect(path, mode="foreign")) as wire:
        asked = "SELECT sql FROM sqlite_schema WHERE name = 'picture'"
        sql = str(wire.execute(asked).scalar())
        assert "'none'" in sql
        assert sql.index("kind") < sql.index("data")


def test_a_name_with_a_line_break_puts_nothing_into_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with closing(sqlite.connect(path, create=True)) as wire:
        wire.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY)")
        wire.execute('CREATE TABLE visit (id INTEGER, at REFERENCES "gone\nDROP TABLE kept;" (id))')
    finding = found(looked(path, Config()), "foreign_key_mismatch", '"visit"')
    assert finding is not None
    assert "gone DROP TABLE kept;" in finding.mend_sql
    assert [line[:3] for line in finding.mend_sql.splitlines()] == ["-- "]
