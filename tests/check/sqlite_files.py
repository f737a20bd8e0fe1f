"""SQLite files with one thing wrong each: the rule that is to find it, where, how it is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from homeostat.config import CheckConfig, Config, MonitorConfig
from homeostat.driver import sqlite
from homeostat.driver.sqlite import SqliteWire
from homeostat.driver.tokens import quoted

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer (id),
    state TEXT NOT NULL,
    total INTEGER NOT NULL
) STRICT;
CREATE INDEX purchase_customer ON purchase (customer_id);
"""
NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"


def new_shop(path: Path, *, rows: int = 2000, before: str = "") -> SqliteWire:
    """Make a shop in which nothing is wrong; return the open wire."""
    if before:
        wire = sqlite.connect(path, create=True)
        wire.execute("PRAGMA journal_mode = DELETE")
        wire.execute_script(before)
        wire.execute("VACUUM")
        wire.execute("PRAGMA journal_mode = WAL")
    else:
        wire = sqlite.connect(path, create=True)
    wire.execute_script(SHOP)
    fill(wire, "customer", "i, 'user' || i || '@example.org'", 500)
    fill(wire, "purchase", "i, 1 + i % 500, iif(i % 9, 'paid', 'open'), i % 1000", rows)
    return wire


def fill(wire: SqliteWire, table: str, columns: str, rows: int) -> None:
    wire.execute(f"{NUMBERS.format(rows)} INSERT INTO {quoted(table)} SELECT {columns} FROM n")


@dataclass(frozen=True)
class Planted:
    """One thing that is wrong.

    Attributes:
        rule, where: of the finding; `where` is part of it.
        make: spoils the open shop; what it returns, if anything, is run on the closed file.
        mend: part of the SQL that is to mend it.
        before: pragmas for a new file.
        config: thresholds, where the default ones would take too large a file.
    """

    rule: str
    where: str
    make: Callable[[SqliteWire], Callable[[Path], None] | None]
    mend: str
    before: str = ""
    config: Config = field(default_factory=Config)


def script(sql: str) -> Callable[[SqliteWire], None]:
    return lambda wire: wire.execute_script(sql)


def filled(sql: str, table: str, columns: str, rows: int) -> Callable[[SqliteWire], None]:
    def make(wire: SqliteWire) -> None:
        wire.execute_script(sql)
        fill(wire, table, columns, rows)

    return make


def _journal(wire: SqliteWire) -> None:
    wire.execute("PRAGMA journal_mode = DELETE")


def _free(wire: SqliteWire) -> None:
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    fill(wire, "note", "i, hex(randomblob(500))", 12_000)
    wire.execute("DELETE FROM note WHERE id > 10")


def _wal(wire: SqliteWire) -> Callable[[Path], None]:
    """Leave a long -wal beside the file, as a process does that was killed."""
    wire.execute("PRAGMA wal_autocheckpoint = 0")
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT")
    for _ in range(6):
        fill(wire, "note", "NULL, hex(randomblob(1500))", 1000)
    kept = Path(f"{wire.path}-kept")
    shutil.copyfile(f"{wire.path}-wal", kept)
    shutil.copyfile(wire.path, f"{wire.path}-before")

    def put_back(path: Path) -> None:
        Path(f"{path}-before").replace(path)
        kept.replace(f"{path}-wal")

    return put_back


def _types(wire: SqliteWire) -> None:
    wire.execute("CREATE TABLE reading (id INTEGER PRIMARY KEY, value INTEGER, unit TEXT)")
    fill(wire, "reading", "i, iif(i % 400, i, 'about ' || i), 'm'", 2000)


def _broken_index(wire: SqliteWire) -> Callable[[Path], None]:
    """Overwrite one entry of an index, so that it disagrees with its table."""
    asked = "SELECT rootpage FROM sqlite_schema WHERE name = 'customer_region'"
    wire.execute("ALTER TABLE customer ADD COLUMN region TEXT")
    wire.execute("UPDATE customer SET region = 'region ' || (id % 7) WHERE id < 50")
    wire.execute("CREATE INDEX customer_region ON customer (region) WHERE region IS NOT NULL")
    page = int(str(wire.execute(asked).scalar()))
    size = int(str(wire.execute("PRAGMA page_size").scalar()))

    def overwrite(path: Path) -> None:
        data = bytearray(path.read_bytes())
        at = data.index(b"region 3", (page - 1) * size, page * size)
        data[at : at + 8] = b"region 9"
        path.write_bytes(bytes(data))

    return overwrite


def _orphans(wire: SqliteWire) -> None:
    wire.execute("PRAGMA foreign_keys = OFF")
    wire.execute("DELETE FROM customer WHERE id < 20")


def _loose_orphans(wire: SqliteWire) -> None:
    wire.execute("PRAGMA foreign_keys = OFF")
    wire.execute("CREATE TABLE visit (id INTEGER PRIMARY KEY, who INTEGER REFERENCES customer)")
    fill(wire, "visit", "i, 100000 + i", 40)


def _stale(wire: SqliteWire) -> None:
    wire.execute("ANALYZE")
    fill(wire, "purchase", "10000 + i, 1 + i % 500, 'paid', 7", 30_000)
    wire.execute("UPDATE sqlite_stat1 SET stat = '500 4' WHERE tbl = 'purchase'")


def _mode(path: Path) -> None:
    for one in (path, path.parent):
        one.chmod(one.stat().st_mode | 0o007)


PLANTED = {
    "journal": Planted("journal_mode", ".db", _journal, "journal_mode = WAL"),
    "page size": Planted(
        "page_size", ".db", script(""), "VACUUM", before="PRAGMA page_size = 1024;",
        config=Config(check=CheckConfig(page_size_bytes_min=10_000)),
    ),
    "auto_vacuum": Planted(
        "auto_vacuum_full", ".db", script(""), "auto_vacuum = 2",
        before="PRAGMA auto_vacuum = FULL;",
    ),
    "free pages": Planted("free_pages", ".db", _free, "VACUUM"),
    "long log": Planted(
        "wal_growth", "-wal", _wal, "wal_checkpoint(TRUNCATE)",
        config=Config(monitor=MonitorConfig(wal_checkpoint_pages=500)),
    ),
    "text in a number": Planted("type_contradicted", '"value"', _types, "UPDATE"),
    "fraction in a whole number": Planted(
        "type_contradicted", '"count"',
        script("CREATE TABLE part (id INTEGER PRIMARY KEY, count INT NOT NULL);"
               "INSERT INTO part VALUES (1, 5), (2, 2.5)"), "CAST",
    ),
    "orphans": Planted("foreign_key_violated", '"purchase"', _orphans, "DELETE FROM"),
    "orphans that may be loose": Planted(
        "foreign_key_violated", '"visit"', _loose_orphans, "= NULL"
    ),
    "key to nothing unique": Planted(
        "foreign_key_mismatch", '"visit"',
        script("CREATE TABLE place (id INTEGER PRIMARY KEY, code TEXT) STRICT;"
               "CREATE TABLE visit (id INTEGER PRIMARY KEY, at TEXT REFERENCES place (code))"),
        "CREATE UNIQUE INDEX",
    ),
    "foreign key without index": Planted(
        "foreign_key_without_index", '"purchase"', script("DROP INDEX purchase_customer"),
        "CREATE INDEX",
    ),
    "index that disagrees": Planted("integrity", '"customer_region"', _broken_index, "REINDEX"),
    "index twice": Planted(
        "index_duplicate", '"purchase_state_2"',
        script("CREATE INDEX purchase_state ON purchase (state, total);"
               "CREATE INDEX purchase_state_2 ON purchase (state, total)"), "DROP INDEX",
    ),
    "index within a unique one": Planted(
        "index_duplicate", '"by_email"', script("CREATE INDEX by_email ON customer (email)"),
        "DROP INDEX",
    ),
    "index of fewer columns": Planted(
        "index_redundant", '"purchase_state"',
        script("CREATE INDEX purchase_state ON purchase (state);"
               "CREATE INDEX purchase_state_total ON purchase (state, total)"), "DROP INDEX",
    ),
    "view without index": Planted(
        "index_missing", '"purchase" ("total")',
        script("CREATE VIEW pairs AS SELECT p.id, q.id AS other FROM purchase AS p"
               " JOIN purchase AS q ON p.total = q.total"), "CREATE INDEX",
    ),
    "never analysed": Planted(
        "statistics_missing", '"purchase"',
        filled("CREATE INDEX purchase_total ON purchase (total)",
               "purchase", "10000 + i, 1 + i % 500, 'paid', 7", 12_000),
        "ANALYZE",
    ),
    "stale statistics": Planted("stale_statistics", '"purchase"', _stale, "ANALYZE"),
    "counter at its end": Planted(
        "sequence_near_end", '"ticket"',
        script("CREATE TABLE ticket (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT) STRICT;"
               "INSERT INTO ticket VALUES (1, 'a'), (9223372036854775807, 'b')"),
        "sqlite_sequence",
    ),
    "rowid near its end": Planted(
        "sequence_near_end", '"purchase"',
        script("INSERT INTO purchase VALUES (9000000000000000000, 1, 'paid', 1),"
               " (9000000000000000007, 1, 'paid', 1)"), "row_number()",
    ),
    "no key": Planted(
        "no_primary_key", '"event"',
        filled("CREATE TABLE event (at INTEGER, what TEXT) STRICT;"
               "CREATE INDEX event_at ON event (at)", "event", "i, 'e'", 1500),
        "INTEGER PRIMARY KEY",
    ),
    "wide rows without rowid": Planted(
        "without_rowid_wide", '"page"',
        filled("CREATE TABLE page (url TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID, STRICT",
        "page", "'u' || i, hex(randomblob(1500))", 300),
        "STRICT",
    ),
    "blob before small columns": Planted(
        "blob_before_columns", '"picture"',
        filled("CREATE TABLE picture (id INTEGER PRIMARY KEY, data BLOB, name TEXT) STRICT",
        "picture", "i, randomblob(150000), 'p' || i", 20),
        "name TEXT, data BLOB",
    ),
    "quoted literal in an index": Planted(
        "quoted_literal", '"open_ones"',
        script('CREATE INDEX open_ones ON purchase (total) WHERE state = "open"'), "'open'",
    ),
    "quoted literal in a view": Planted(
        "quoted_literal", '"open_view"',
        script('CREATE VIEW open_view AS SELECT id FROM purchase WHERE state = "open"'), "'open'",
    ),
    "quoted literal in a check": Planted(
        "quoted_literal", '"ware"',
        script('CREATE TABLE ware (id INTEGER PRIMARY KEY, kind TEXT CHECK (kind <> "none"))'),
        "'none'",
    ),
    "open to everybody": Planted(
        "file_open_to_others", ".db", lambda _: _mode, "chmod o-rwx"
    ),
}  # fmt: skip


# -- files in which nothing is wrong


def clean_shop(path: Path) -> None:
    wire = new_shop(path)
    wire.execute("ANALYZE")
    wire.close()


def clean_empty(path: Path) -> None:
    sqlite.connect(path, create=True).close()


def clean_log(path: Path) -> None:
    """Make an append-only log with a JSON column and dates as text."""
    wire = sqlite.connect(path, create=True)
    wire.execute_script(
        "CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, at DATETIME NOT NULL,"
        " level TEXT NOT NULL, body JSON);"
        "CREATE INDEX log_at ON log (at)"
    )
    fill(wire, "log", "NULL, datetime(i, 'unixepoch'), 'info', json_object('n', i)", 20_000)
    wire.close()


def clean_search(path: Path) -> None:
    """Make a full-text index with its shadow tables, a view, a trigger and generated columns."""
    wire = sqlite.connect(path, create=True)
    wire.execute_script(
        "CREATE TABLE doc (id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL,"
        " size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL) STRICT;"
        "CREATE VIRTUAL TABLE doc_search USING"
        " fts5 (title, body, content='doc', content_rowid='id');"
        "CREATE TRIGGER doc_new AFTER INSERT ON doc BEGIN"
        " INSERT INTO doc_search (rowid, title, body) VALUES (new.id, new.title, new.body); END;"
        "CREATE VIEW long_docs AS SELECT id, title FROM doc WHERE size > 10 AND title <> 'x''y'"
    )
    fill(wire, "doc", "i, 'title ' || i, 'some words that are searched ' || i", 3000)
    wire.close()


def clean_keys(path: Path) -> None:
    """Make tables keyed by text, pairs and large random numbers, some WITHOUT ROWID."""
    chance = Random(7)
    wire = sqlite.connect(path, create=True)
    wire.execute_script(
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT) STRICT, WITHOUT ROWID;"
        "CREATE TABLE tag (id TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT;"
        "CREATE TABLE tagged (tag TEXT NOT NULL REFERENCES tag (id), thing INTEGER NOT NULL,"
        " PRIMARY KEY (tag, thing)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX tagged_thing ON tagged (thing, tag);"
        "CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT NOT NULL, data BLOB) STRICT;"
        "CREATE TABLE reference (snowflake INTEGER PRIMARY KEY, name TEXT) STRICT;"
        "CREATE TABLE drawn (id INTEGER PRIMARY KEY, name TEXT) STRICT"
    )
    fill(wire, "setting", "'s' || i, 'v'", 1500)
    fill(wire, "tag", "'t' || i, 'n'", 1500)
    fill(wire, "tagged", "'t' || (1 + i % 1500), i", 5000)
    fill(wire, "file", "i, 'f' || i, randomblob(120000)", 5)
    wire.begin(write=True)
    for _ in range(1500):
        wire.execute(
            "INSERT INTO reference VALUES (:id, 'x')", {"id": chance.randrange(10**18, 2 * 10**18)}
        )
        wire.execute("INSERT INTO drawn VALUES (:id, 'x')", {"id": chance.randrange(1, 2**63)})
    wire.commit()
    wire.close()


def clean_places(path: Path) -> None:
    """Make tables as GeoPackage has them: types for which SQLite's affinity means nothing."""
    wire = sqlite.connect(path, create=True)
    wire.execute_script(
        "CREATE TABLE place (fid INTEGER PRIMARY KEY AUTOINCREMENT, geom POINT, many MULTIPOINT,"
        " name TEXT(20), floors TINYINT, height DOUBLE, open BOOLEAN, seen DATETIME);"
        "CREATE TABLE shift (id INTEGER PRIMARY KEY, lasts INTERVAL, wage FLOATING POINT,"
        " drawn GEOMETRY, kept PRINTABLE)"
    )
    fill(
        wire, "place",
        "i, randomblob(30), randomblob(60), 'p' || i, i % 9, 1.5 + i, i % 2, '2026-01-01'", 500,
    )  # fmt: skip
    fill(wire, "shift", "i, '3 hours', i + 0.5, randomblob(20), 'page'", 500)
    wire.close()


CLEAN: dict[str, Callable[[Path], None]] = {
    "shop": clean_shop,
    "empty": clean_empty,
    "log": clean_log,
    "search": clean_search,
    "keys": clean_keys,
    "places": clean_places,
}


# -- large ones


def fill_with_tables(path: Path, count: int) -> None:
    """Make so many small tables, each with an index and a foreign key."""
    wire = sqlite.connect(path, create=True)
    wire.begin(write=True)
    for number in range(count):
        wire.execute(
            f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES t0, "
            "name TEXT NOT NULL, at REAL)"
        )
        wire.execute(f"CREATE INDEX t{number}_name ON t{number} (name)")
        wire.execute(f"INSERT INTO t{number} VALUES (1, NULL, 'x', 1.5)")
    wire.commit()
    wire.close()


def fill_with_blobs(path: Path, megabytes: int) -> None:
    """Make a file of so many megabytes (10^6) of large values and a table of small rows."""
    wire = new_shop(path)
    wire.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, name TEXT NOT NULL, data BLOB) STRICT")
    for start in range(0, megabytes, 100):
        many = min(100, megabytes - start)
        wire.execute(
            f"{NUMBERS.format(many)} INSERT INTO file"
            f" SELECT {start} + i, 'f' || i, zeroblob(1000000) FROM n"
        )
    wire.close()
