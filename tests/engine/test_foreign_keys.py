"""Which foreign keys are searched from end to end: only those that nothing finds rows by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from homeostat.driver import postgres, sqlite
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.foreign_keys import foreign_keys

TABLES = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, UNIQUE (id, kind))",
    "CREATE TABLE profile (user_id INTEGER PRIMARY KEY REFERENCES users (id))",
    (
        "CREATE TABLE admin (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
        " FOREIGN KEY (id, kind) REFERENCES users (id, kind))"
    ),
    'CREATE TABLE gift (id INTEGER PRIMARY KEY, "Giver" INTEGER REFERENCES users (id))',
    'CREATE INDEX gift_giver ON gift ("Giver") WHERE "Giver" IS NOT NULL',
    "CREATE TABLE loan (id INTEGER PRIMARY KEY, taker INTEGER REFERENCES users (id))",
    "CREATE INDEX loan_taker ON loan (taker) WHERE taker IS NOT NULL AND id > 100",
    "CREATE TABLE visit (id INTEGER PRIMARY KEY, guest INTEGER REFERENCES users (id))",
    "CREATE INDEX visit_guest ON visit (id, guest)",
)
LACK = {"loan", "visit"}
PARTS = (
    "CREATE SCHEMA parts",
    "CREATE TABLE {0} (id int, owner int REFERENCES users (id)) PARTITION BY RANGE (id)",
    "CREATE TABLE parts.{0}_1 PARTITION OF {0} FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE parts.{0}_2 (owner int, id int)",
    "ALTER TABLE {0} ATTACH PARTITION parts.{0}_2 FOR VALUES FROM (10) TO (20)",
    "CREATE INDEX ON parts.{0}_1 (owner)",
)
EACH = "CREATE INDEX ON parts.{0}_2 (owner)"


def lacking(url: str) -> set[str]:
    with closing(open_engine(Target(url))) as engine:
        assert not isinstance(engine.maintain, Unsupported)
        indexes, tables = engine.maintain.indexes(), engine.maintain.tables()
        keys = foreign_keys(engine)
        return {one.table for one in keys if not one.served_by(indexes, tables)}


def test_rowids_and_indexes_that_leave_out_nulls_serve_a_key_of_sqlite(sqlite_path: Path) -> None:
    with closing(sqlite.connect(sqlite_path)) as wire:
        for statement in TABLES:
            wire.execute(statement)
    assert lacking(str(sqlite_path)) == LACK


@pytest.mark.every_postgres
def test_indexes_of_every_part_serve_a_key_of_postgresql(pg_database: str) -> None:
    with closing(postgres.connect(pg_database)) as wire:
        for statement in (*TABLES, *(one.format("event") for one in (*PARTS, EACH))):
            wire.execute(statement)
        for statement in PARTS[1:]:  # the second part has none
            wire.execute(statement.format("note"))
    assert lacking(pg_database) == {*LACK, "note"}
