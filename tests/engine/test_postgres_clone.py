"""Clones of PostgreSQL databases: made where it is configured, marked, bounded, collected."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import pytest

from homeostat.clock import ManualClock, SystemClock
from homeostat.config import CloneConfig
from homeostat.driver import postgres
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.facets import Clone
from homeostat.engine.pace import Bounds
from homeostat.engine.postgres_clone import PREFIX, with_database
from homeostat.errors import CloneRefusedError, NotFoundError, RightMissingError
from tests.engine.shapes import ORDERS, make_postgres
from tests.servers import (
    NEWEST,
    OURS,
    PostgresServer,
    binaries,
    client_programs,
    versions,
    wait_until,
)

HOUR = 3600.0
TRICKY = "tab\t, newline\n, \\\\ and 'quotes' \\N"
FILL = "repeat(md5(i::text), 8)"
DAY = "date '2024-06-01' + i % 400"
NINE = "FROM generate_series(1, 9000) i"
SHOP = (
    "CREATE TABLE country (id int PRIMARY KEY, name text)",
    "INSERT INTO country SELECT i, 'c' || i FROM generate_series(1, 50) i",
    """CREATE TABLE "Customer" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text,
       country int NOT NULL REFERENCES country, invited_by bigint REFERENCES "Customer",
       tags text[] DEFAULT '{"a b",c}', about jsonb DEFAULT '{"k": [1, "x"]}',
       upper_name text GENERATED ALWAYS AS (upper(name)) STORED)""",
    f"""INSERT INTO "Customer" (name, country, invited_by)
        SELECT {FILL}, 1 + i % 50, nullif(i / 2, 0) FROM generate_series(1, 8000) i""",
    """CREATE TABLE bill (id bigint PRIMARY KEY, customer bigint REFERENCES "Customer", note text,
       UNIQUE (id, customer))""",
    f"INSERT INTO bill SELECT i, 1 + i % 8000, {FILL} FROM generate_series(1, 20000) i",
    """CREATE TABLE "bill.item" (bill bigint, customer bigint, line int, note text,
       FOREIGN KEY (bill, customer) REFERENCES bill (id, customer), PRIMARY KEY (bill, line))""",
    f"""INSERT INTO "bill.item" SELECT i, 1 + i % 8000, 1, {FILL}
        FROM generate_series(1, 20000) i""",
    """CREATE TABLE event (id bigint, at date, note text, PRIMARY KEY (id, at))
       PARTITION BY RANGE (at)""",
    "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    "CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    f"INSERT INTO event SELECT i, {DAY}, {FILL} {NINE}",
    """CREATE TABLE seen (id bigint PRIMARY KEY, event bigint, at date, note text,
       FOREIGN KEY (event, at) REFERENCES event (id, at))""",
    f"INSERT INTO seen SELECT i, i, {DAY}, {FILL} {NINE}",
    "CREATE TABLE knot (id int PRIMARY KEY, other int)",
    "CREATE TABLE tie (id int PRIMARY KEY, other int REFERENCES knot)",
    "ALTER TABLE knot ADD FOREIGN KEY (other) REFERENCES tie",
    "INSERT INTO knot VALUES (1, NULL)",
    "INSERT INTO tie VALUES (1, 1)",
    "UPDATE knot SET other = 1",
)
PLENTY = 10**9
ROOT = Path(__file__).resolve().parents[2]
Opener = Callable[..., Clone]


@pytest.fixture
def clone_of(pg_server: PostgresServer) -> Iterator[Opener]:
    """Return what opens the facet of a database; its clones are dropped afterwards."""
    engines = []

    def opened(source: str, *, clock: ManualClock | None = None, **changes: object) -> Clone:
        programs = str(client_programs(pg_server.version))
        given = {"url": pg_server.url(), "programs": programs, **changes}
        config = CloneConfig(**given)  # type: ignore[arg-type]
        engines.append(open_engine(Target(source, clone=config, clock=clock or SystemClock())))
        facet = engines[-1].clone
        assert not isinstance(facet, Unsupported)
        return facet

    yield opened
    for engine in engines:
        engine.close()
    for name in clones_on(pg_server):
        pg_server.drop_database(name)


def clones_on(server: PostgresServer) -> list[str]:
    rows = server.execute(f"SELECT datname FROM pg_database WHERE datname ~ '^{PREFIX}'")
    return [str(name) for (name,) in rows]


@pytest.mark.every_postgres
def test_a_clone_holds_everything_and_the_source_is_untouched(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener
) -> None:
    make_postgres(pg_database)
    facet = clone_of(pg_database)
    made = facet.create(owner="run 7", expires_seconds=HOUR, bytes_max=PLENTY)
    assert made.share == 1.0
    assert made.name.startswith(f"{PREFIX}run_7_")
    assert pg_server.password not in repr(made)
    assert [one.name for one in facet.list()] == [made.name]
    with facet.connect(made.name) as wire:
        assert wire.execute('SELECT count(*) FROM "Spend ing"').scalar() == ORDERS
        assert wire.execute("SELECT count(*) FROM event_2025").scalar() == 187
        names = "SELECT count(*) FROM pg_indexes WHERE indexname IN ('Low er', 'name_pattern')"
        assert wire.execute(names).scalar() == 2
        analysed = "SELECT reltuples FROM pg_class WHERE relname = 'User Accounts'"
        assert wire.execute(analysed).scalar() == 400
        wire.execute('TRUNCATE "Order"')
    source = postgres.connect(pg_database)
    assert source.execute('SELECT count(*) FROM "Order"').scalar() == ORDERS
    source.close()
    with facet.connect(made.name) as wire:  # a connection that is left does not keep it
        assert facet.drop(made.name)
        assert wire.dialect == "postgresql"
    assert clones_on(pg_server) == []
    assert not facet.drop(made.name)
    with pytest.raises(NotFoundError), facet.connect(made.name):
        pass


@pytest.mark.skipif(NEWEST not in versions(), reason="npm has no PostgreSQL for this machine")
def test_a_clone_may_be_on_a_newer_server_than_its_source_but_not_need_newer_programs(
    pg_database: str, pg_servers: Callable[[str], PostgresServer], clone_of: Opener
) -> None:
    newest = pg_servers(NEWEST)
    make_postgres(pg_database)
    facet = clone_of(pg_database, url=newest.url())
    made = facet.create(owner="run 8", expires_seconds=HOUR, bytes_max=PLENTY)
    with facet.connect(made.name) as wire:
        assert str(wire.execute("SHOW server_version_num").scalar()) >= "180000"
        assert wire.execute('SELECT count(*) FROM "Spend ing"').scalar() == ORDERS
    facet.drop(made.name)
    older = binaries(OURS)
    with pytest.raises(CloneRefusedError, match=f"Install the client programs of {NEWEST}"):
        clone_of(newest.url(), url=newest.url(), programs=str(older)).create(
            owner="run 9", expires_seconds=HOUR, bytes_max=PLENTY
        )
    assert not clones_on(newest)


@pytest.mark.every_postgres
def test_a_sample_is_whole_by_its_foreign_keys(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener
) -> None:
    wire = postgres.connect(pg_database)
    for sql in SHOP:
        wire.execute(sql)
    wire.execute("ANALYZE")
    facet = clone_of(pg_database, sample_bytes=1_500_000)
    made = facet.create(owner="run 1", expires_seconds=HOUR, bytes_max=10_000_000)
    assert 0.03 < made.share < 0.5
    with facet.connect(made.name) as clone:
        counts = {
            name: int(str(clone.execute(f'SELECT count(*) FROM "{name}"').scalar()))
            for name in ("Customer", "bill", "bill.item", "country", "knot", "event", "seen")
        }
        orphans = 'SELECT count(*) FROM "Customer" c LEFT JOIN country o ON o.id = c.country'
        assert clone.execute(f"{orphans} WHERE o.id IS NULL").scalar() == 0
        invalid = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"
        assert clone.execute(invalid).scalar() == 0
        keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'"
        assert clone.execute(keys).scalar() == wire.execute(keys).scalar() == 9
        assert clone.execute("SELECT note FROM bill WHERE id = 0").rows in ([], [(TRICKY,)])
        clone.execute('INSERT INTO "Customer" (name, country) VALUES (:n, 1)', {"n": "new"})
    wire.close()
    assert counts["country"] == 50
    assert 0 < counts["Customer"] < 8000
    assert 0 < counts["seen"] <= counts["event"] < 9000
    assert 0 < counts["bill"] < 20_000
    assert 0 < counts["bill.item"] < 20_000
    assert clones_on(pg_server) == [made.name]


def test_an_empty_database_is_cloned(pg_database: str, clone_of: Opener) -> None:
    made = clone_of(pg_database).create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    assert made.bytes > 0


@pytest.mark.parametrize(
    "how",
    ["ENCODING 'LATIN1' LOCALE 'C'", "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"],
)
@pytest.mark.parametrize("sample_bytes", [0, 1])
def test_a_clone_sorts_and_encodes_as_its_source(
    pg_server: PostgresServer, clone_of: Opener, how: str, sample_bytes: int
) -> None:
    pg_server.execute(f"CREATE DATABASE odd TEMPLATE template0 {how}")
    try:
        pg_server.execute("CREATE TABLE t (a text)", database="odd")
        pg_server.execute("INSERT INTO t VALUES ('z'), ('ä'), ('b')", database="odd")
        facet = clone_of(pg_server.url("odd"), sample_bytes=sample_bytes)
        made = facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
        asked = "SELECT string_agg(a, '' ORDER BY a), getdatabaseencoding() FROM t"
        with facet.connect(made.name) as clone:
            assert clone.execute(asked).rows == pg_server.execute(asked, database="odd")
    finally:
        pg_server.drop_database("odd")


def test_clones_are_bounded_expire_and_go_with_their_owners(
    pg_database: str, clone_of: Opener
) -> None:
    clock = ManualClock()
    facet = clone_of(pg_database, clock=clock, count_max=2)
    facet.create(owner="run 1", expires_seconds=60, bytes_max=PLENTY)
    facet.create(owner="run 2", expires_seconds=HOUR, bytes_max=PLENTY)
    with pytest.raises(CloneRefusedError, match="count_max"):
        facet.create(owner="run 3", expires_seconds=HOUR, bytes_max=PLENTY)
    with pytest.raises(CloneRefusedError, match="larger than clones"):
        clone_of(pg_database, clock=clock).create(owner="x", expires_seconds=HOUR, bytes_max=10)
    assert facet.collect() == 0
    clock.advance(61)
    assert facet.collect() == 1
    assert facet.collect(owners=frozenset({"run 2", "run 9"})) == 1
    assert facet.list() == []


def test_a_database_of_somebody_else_is_left_alone(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener
) -> None:
    """Marked by another source, or not a clone in spite of a like name."""
    other = pg_server.create_database()
    theirs = clone_of(pg_server.url(other)).create(
        owner="x", expires_seconds=HOUR, bytes_max=PLENTY
    )
    pg_server.execute(f"CREATE DATABASE {PREFIX}my_own_experiment")
    facet = clone_of(pg_database)
    assert facet.list() == []
    assert not facet.drop(theirs.name)
    assert not facet.drop(other)
    assert not facet.drop("postgres")
    assert facet.collect(owners=frozenset({"x"})) == 0
    assert set(clones_on(pg_server)) == {theirs.name, f"{PREFIX}my_own_experiment"}
    pg_server.drop_database(other)


@pytest.mark.parametrize("who", ["operator", "server"])
def test_a_copy_that_was_killed_leaves_nothing(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener, who: str
) -> None:
    make_postgres(pg_database)
    facet = clone_of(pg_database)
    arguments = ["postgresql", pg_database, pg_server.url()]
    command = [sys.executable, "-m", "tests.engine.copier", *arguments]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "in the middle\n"
    assert facet.collect() == 0  # it is at work
    (name,) = clones_on(pg_server)
    if who == "server":  # the session that holds the lock ends, the process lives on
        pg_server.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'homeostat clone' AND pid <> pg_backend_pid()"
        )
    else:
        child.kill()
        child.wait(20)
    wait_until(lambda: facet.collect() or not clones_on(pg_server), 20, "the leftover to be free")
    assert clones_on(pg_server) == []
    assert facet.list() == []
    child.kill()
    child.communicate()
    wait_until(lambda: not children_with(name), 20, "pg_dump and pg_restore to end")
    source = postgres.connect(pg_database)
    assert source.execute('SELECT count(*) FROM "Order"').scalar() == ORDERS
    source.close()


def children_with(text: str) -> list[str]:
    """Return the processes whose arguments hold a text."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found


def test_a_copy_that_is_not_wanted_any_more_ends(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener
) -> None:
    make_postgres(pg_database)
    began = perf_counter()
    bounds = Bounds(halted=lambda: "it was detached" if perf_counter() > began + 1 else "")
    facet = clone_of(pg_database, dump_bytes_per_second=1000)
    with pytest.raises(CloneRefusedError, match="given up: it was detached"):
        facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY, bounds=bounds)
    assert clones_on(pg_server) == []


def test_a_copy_that_hangs_is_given_up(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener, tmp_path: Path
) -> None:
    for name in ("pg_dump", "pg_restore"):
        script = tmp_path / name
        real = pg_server.bin / name
        script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {real} "$@"\nexec sleep 100\n')
        script.chmod(0o755)
    facet = clone_of(pg_database, programs=str(tmp_path), seconds_max=2.0)
    with pytest.raises(CloneRefusedError, match="seconds_max"):
        facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    assert clones_on(pg_server) == []


def test_no_password_is_in_any_argument(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener, tmp_path: Path
) -> None:
    """Programs in the middle write down how they were called."""
    real = Path(str(pg_server.bin))
    log = tmp_path / "arguments"
    for name in ("pg_dump", "pg_restore"):
        script = tmp_path / name
        script.write_text(f'#!/bin/sh\necho "$0 $*" >> {log}\nexec {real / name} "$@"\n')
        script.chmod(0o755)
    facet = clone_of(pg_database, programs=str(tmp_path))
    facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
    said = log.read_text()
    assert "pg_restore" in said
    assert pg_server.password not in said


def test_what_is_wrong_is_named(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (old / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 9.6'\n")
        (old / name).chmod(0o755)
    with pytest.raises(CloneRefusedError, match="pg_dump is of version 9, the server of"):
        clone_of(pg_database, programs=str(old)).create(
            owner="x", expires_seconds=HOUR, bytes_max=PLENTY
        )
    engine = open_engine(Target(pg_database))
    nowhere = engine.clone
    assert isinstance(nowhere, Unsupported)
    assert "[clone] url" in nowhere.mend
    engine.close()
    config = CloneConfig(url=pg_server.url(), programs=str(tmp_path / "missing"))
    engine = open_engine(Target(pg_database, clone=config))
    without = engine.clone
    assert isinstance(without, Unsupported)
    assert "client programs" in without.mend
    engine.close()


def test_a_role_of_least_rights_is_told_what_it_lacks(
    pg_database: str, pg_server: PostgresServer, clone_of: Opener
) -> None:
    make_postgres(pg_database)
    pg_server.execute("CREATE ROLE least LOGIN PASSWORD 'least'")
    database = pg_database.rpartition("/")[2]
    mine = pg_server.url("postgres", user="least", password="least")
    source = pg_server.url(database, user="least", password="least")
    try:
        with pytest.raises(RightMissingError):
            clone_of(pg_database, url=mine).create(
                owner="x", expires_seconds=HOUR, bytes_max=PLENTY
            )
        with pytest.raises(CloneRefusedError, match=r"permission denied for table"):
            clone_of(source).create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
        assert clones_on(pg_server) == []
        pg_server.execute("GRANT pg_read_all_data TO least")
        pg_server.execute("ALTER ROLE least CREATEDB")
        facet = clone_of(source, url=mine)
        made = facet.create(owner="x", expires_seconds=HOUR, bytes_max=PLENTY)
        assert facet.drop(made.name)
    finally:
        pg_server.execute("DROP ROLE least")


def test_the_database_of_a_url_is_replaced() -> None:
    assert with_database("postgresql://u:p@h:1/a?sslmode=require&dbname=b", "c d") == (
        "postgresql://u:p@h:1/c%20d?sslmode=require"
    )
    assert with_database("postgresql://h", "c") == "postgresql://h/c"
