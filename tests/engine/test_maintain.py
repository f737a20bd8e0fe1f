"""Indexes and statistics: listed as they are, built without leftovers, undone exactly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.driver import postgres, sqlite
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.sqlite import SqliteWire
from homeostat.engine import Engine, Target, Unsupported, open_engine
from homeostat.engine.facets import IndexInfo, IndexSpec, Maintain
from homeostat.engine.maintain import takes, try_index
from homeostat.errors import (
    ConfigError,
    ConnectionLostError,
    ConstraintError,
    DatabaseError,
    DatabaseLockedError,
    StatementError,
    UnsupportedError,
)
from homeostat.measure import Unknown
from tests.engine.shapes import ORDERS, USERS, make_postgres, make_sqlite
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.every_postgres

NAME = 'Full " Name'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_sqlite(tmp_path / "app.db")
    return tmp_path / "app.db"


@pytest.fixture
def lite(file: Path) -> Iterator[Engine]:
    engine = open_engine(Target(str(file)))
    yield engine
    engine.close()


@pytest.fixture
def wire(file: Path) -> Iterator[SqliteWire]:
    wire = sqlite.connect(file)
    yield wire
    wire.close()


@pytest.fixture
def shop(pg_database: str) -> str:
    make_postgres(pg_database)
    return pg_database


@pytest.fixture
def server(shop: str) -> Iterator[Engine]:
    engine = open_engine(Target(shop))
    yield engine
    engine.close()


@pytest.fixture
def work(shop: str) -> Iterator[PostgresWire]:
    wire = postgres.connect(shop, statement_timeout_ms=30_000)
    yield wire
    wire.close()


def maintain(engine: Engine) -> Maintain:
    assert not isinstance(engine.maintain, Unsupported)
    return engine.maintain


def index(engine: Engine, name: str) -> IndexInfo | None:
    return next((one for one in maintain(engine).indexes() if one.name == name), None)


def test_sqlite_lists_tables_and_indexes_as_they_are(lite: Engine) -> None:
    tables = {table.name: table for table in maintain(lite).tables()}
    assert set(tables) == {"User Accounts", "Order", "tag", "blank"}
    users = tables["User Accounts"]
    assert [column.name for column in users.columns] == ["id", NAME, "age", "double_age"]
    assert users.columns[1].not_null
    assert isinstance(users.rows, Unknown)
    assert users.analysed is None
    indexes = {one.name: one for one in maintain(lite).indexes()}
    low = indexes["Low er"]
    assert (low.table, low.columns) == ("User Accounts", ('lower("Full "" Name")', "age"))
    assert low.where == "age > 17"
    assert not low.constraint
    assert indexes["order_total"].columns == ("total", "id")
    assert indexes["order_total"].unique
    (of_tag,) = maintain(lite).indexes("tag")
    assert (of_tag.columns, of_tag.constraint) == (("name", "order"), True)


def test_postgresql_lists_tables_and_indexes_as_they_are(server: Engine) -> None:
    tables = {(table.schema, table.name): table for table in maintain(server).tables()}
    assert set(tables) >= {("public", "blank"), ("Other Shop", "Order"), ("public", "event")}
    users = tables["public", "User Accounts"]
    assert [column.name for column in users.columns] == ["id", NAME, "age", "double_age"]
    assert users.rows == USERS
    assert users.columns[2].distinct == pytest.approx(-80 / USERS)
    assert isinstance(users.analysed, float)
    assert isinstance(users.changed, float)
    assert tables["public", "blank"].columns == ()
    assert isinstance(tables["public", "event"].bytes, Unknown)
    indexes = {one.name: one for one in maintain(server).indexes()}
    low = indexes["Low er"]
    assert low.columns == ('lower("Full "" Name")', "age")
    assert low.where == "(age > 17)"
    assert "DESC" in low.definition
    assert "INCLUDE (double_age)" in low.definition
    assert "text_pattern_ops" in indexes["name_pattern"].definition
    assert indexes["User Accounts_pkey"].constraint
    assert [one.schema for one in maintain(server).indexes("Other Shop.Order")] == ["Other Shop"]
    assert low.scans == 0


def test_a_locked_table_holds_up_no_question(server: Engine, work: PostgresWire) -> None:
    work.begin(write=True)
    work.execute('LOCK TABLE "Order"')
    tables = {(table.schema, table.name): table for table in maintain(server).tables()}
    assert isinstance(tables["public", "Order"].bytes, Unknown)
    assert isinstance(tables["public", "User Accounts"].bytes, float)
    with pytest.raises(DatabaseLockedError):  # none is left out as if it were not there
        maintain(server).indexes()
    work.rollback()
    assert index(server, "order_total") is not None


def test_a_sqlite_index_is_built_once_tried_rebuilt_and_dropped(
    lite: Engine, wire: SqliteWire
) -> None:
    spec = IndexSpec("User Accounts", (NAME, "age"), "by name", where="age > 17 AND age <> 20")
    trial = try_index(maintain(lite), spec, wire=wire, deadline_ms=5000)
    assert trial.seconds > 0
    assert trial.bytes >= 4096
    assert maintain(lite).create_index(spec, wire=wire, deadline_ms=5000) == 0  # it is there
    found = index(lite, "by name")
    assert found is not None
    assert (found.columns, found.where) == ((NAME, "age"), "age > 17 AND age <> 20")
    other = IndexSpec("User Accounts", ("age",), "by name")
    with pytest.raises(DatabaseError, match="Another index"):
        maintain(lite).create_index(other, wire=wire, deadline_ms=5000)
    maintain(lite).rebuild_index("by name", wire=wire)
    for _ in range(2):
        maintain(lite).drop_index("by name", wire=wire)
        assert index(lite, "by name") is None
    with pytest.raises(StatementError):
        maintain(lite).rebuild_index("by name", wire=wire)
    twice = IndexSpec("Order", ("user",), "twice", unique=True)
    with pytest.raises(ConstraintError):
        maintain(lite).create_index(twice, wire=wire, deadline_ms=5000)
    assert index(lite, "twice") is None


@pytest.mark.parametrize("where", ["1); DROP TABLE tag; --", "a > 1; DELETE FROM tag", "1) OR (1"])
def test_a_condition_that_is_no_expression_is_refused(
    lite: Engine, wire: SqliteWire, where: str
) -> None:
    spec = IndexSpec("tag", ("name",), "x", where=where)
    with pytest.raises(ConfigError):
        maintain(lite).create_index(spec, wire=wire, deadline_ms=5000)


def test_statistics_of_a_clone_are_installed_and_undone_exactly(
    lite: Engine, wire: SqliteWire, file: Path, tmp_path: Path
) -> None:
    """Nobody analyses the file itself; plans change, and change back."""
    assert not isinstance(lite.explain, Unsupported)
    sql = "SELECT * FROM [Order] WHERE user = :user AND state = 1 AND total > 0"
    wire.execute("ALTER TABLE [Order] ADD COLUMN state INTEGER NOT NULL DEFAULT 1")
    wire.execute("CREATE INDEX by_state ON [Order] (state)")
    wire.execute("CREATE INDEX by_user ON [Order] (user)")
    before = maintain(lite).read_statistics(wire=wire)
    assert before == {}
    blind = lite.explain.estimate(sql).shape
    tables = ["Order", "User Accounts", "tag", "blank"]
    maintain(lite).refresh_statistics(tables, wire=wire)  # as on a clone
    fresh = maintain(lite).read_statistics(wire=wire)
    maintain(lite).write_statistics({}, wire=wire)

    maintain(lite).write_statistics(fresh, wire=wire)
    assert maintain(lite).read_statistics(wire=wire) == fresh
    (plan,) = lite.explain.estimate(sql).root.children
    assert plan.index == "by_user"
    users = {table.name: table for table in maintain(lite).tables()}
    assert users["Order"].rows == ORDERS
    assert isinstance(users["Order"].analysed, Unknown)
    assert next(c for c in users["Order"].columns if c.name == "user").distinct == USERS

    maintain(lite).write_statistics(before, wire=wire)
    assert maintain(lite).read_statistics(wire=wire) == before
    assert lite.explain.estimate(sql).shape == blind
    with pytest.raises(StatementError):
        maintain(lite).write_statistics({"tag": [["a", 1]]}, wire=wire)


def test_a_postgresql_index_is_built_once_rebuilt_and_dropped(
    server: Engine, work: PostgresWire
) -> None:
    spec = IndexSpec("Order", ("user", "total"), "Odd name", where="state <> 'done'")
    assert maintain(server).create_index(spec, wire=work, deadline_ms=30_000) > 0
    assert maintain(server).create_index(spec, wire=work, deadline_ms=30_000) == 0
    assert work.execute("SHOW statement_timeout").scalar() == "30s"
    other = IndexSpec("Order", ("user",), "Odd name")
    with pytest.raises(DatabaseError, match="Another index"):
        maintain(server).create_index(other, wire=work, deadline_ms=30_000)
    maintain(server).rebuild_index("Odd name", wire=work)
    size = try_index(
        maintain(server), IndexSpec("Order", ("id",), "x", schema="Other Shop"), wire=work,
        deadline_ms=30_000,
    )  # fmt: skip
    assert size.bytes >= 8192
    for _ in range(2):
        maintain(server).drop_index("Odd name", wire=work)
        maintain(server).drop_index("x", schema="Other Shop", wire=work)
    assert index(server, "Odd name") is None
    assert index(server, "x") is None
    maintain(server).refresh_statistics(["Order", "Other Shop.Order", "event"], wire=work)


def test_statistics_of_a_postgresql_table_are_put_back_exactly(
    server: Engine, work: PostgresWire
) -> None:
    work.execute(
        "CREATE TABLE mood (id int PRIMARY KEY, kind text, tags text[], span int4range, odd text)"
    )
    work.execute(
        "INSERT INTO mood SELECT i, 'it''s ' || i % 7, ARRAY['a', 'b' || i % 5], int4range(i, i + "
        "9), CASE WHEN i % 3 = 0 THEN md5(i::text) END FROM generate_series(1, 2000) i"
    )
    work.execute("CREATE INDEX mood_kind ON mood (kind)")
    work.execute("ALTER TABLE mood ALTER odd SET STATISTICS 0")
    facet = maintain(server)
    facet.refresh_statistics(["mood"], wire=work)
    if work.server_version < 180_000:
        with pytest.raises(UnsupportedError, match="up to 17"):
            facet.read_statistics("mood", wire=work)
        return
    before = facet.read_statistics("mood", wire=work)
    work.execute("ALTER TABLE mood ALTER odd SET STATISTICS 100")
    work.execute("INSERT INTO mood SELECT i, 'new', NULL FROM generate_series(2001, 9000) i")
    facet.refresh_statistics(["mood"], wire=work)
    assert facet.read_statistics("mood", wire=work) != before
    facet.write_statistics(before, wire=work)
    assert facet.read_statistics("mood", wire=work) == before
    work.execute("CREATE STATISTICS both_of (dependencies) ON kind, odd FROM mood")
    with pytest.raises(UnsupportedError, match="extended"):
        facet.read_statistics("mood", wire=work)


def test_a_build_that_fails_leaves_no_invalid_index(server: Engine, work: PostgresWire) -> None:
    twice = IndexSpec("Order", ("user",), "twice", unique=True)
    with pytest.raises(ConstraintError):
        maintain(server).create_index(twice, wire=work, deadline_ms=30_000)
    assert index(server, "twice") is None


def test_a_build_whose_connection_was_killed_is_cleared_by_the_next(
    server: Engine, work: PostgresWire, shop: str, pg_server: PostgresServer
) -> None:
    """It waits for a transaction older than it; there its backend is ended."""
    old = postgres.connect(shop)
    old.begin(write=True)
    old.execute("UPDATE \"Order\" SET state = 'old' WHERE id = 1")
    victim = postgres.connect(shop, application_name="victim")
    spec = IndexSpec("Order", ("user",), "half built")
    failures: list[BaseException] = []

    def build() -> None:
        try:
            maintain(server).create_index(spec, wire=victim, deadline_ms=None)
        except DatabaseError as error:
            failures.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    wait_until(lambda: index(server, "half built"), 20, "the index to be begun")
    pg_server.execute(f"SELECT pg_terminate_backend({victim.backend_pid}, 5000)")
    thread.join(20)
    assert isinstance(failures[0], ConnectionLostError)
    left = index(server, "half built")
    assert left is not None
    assert not left.valid
    old.rollback()
    old.close()
    assert maintain(server).create_index(spec, wire=work, deadline_ms=30_000) > 0
    built = index(server, "half built")
    assert built is not None
    assert built.valid


def test_a_rebuild_clears_what_a_killed_one_left(server: Engine, work: PostgresWire) -> None:
    work.execute('CREATE INDEX "by user_ccnew" ON "Order" ("user")')
    work.execute('CREATE INDEX "by user" ON "Order" ("user")')
    work.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"by user_ccnew\"'::regclass"
    )
    maintain(server).rebuild_index("by user", wire=work)
    assert index(server, "by user_ccnew") is None
    rebuilt = index(server, "by user")
    assert rebuilt is not None
    assert rebuilt.valid


def test_the_parts_of_a_table_get_the_index_one_by_one(server: Engine, work: PostgresWire) -> None:
    spec = IndexSpec("event", ("kind", "id"), "event_by_kind")
    assert maintain(server).create_index(spec, wire=work, deadline_ms=30_000) > 0
    built = [one for one in maintain(server).indexes() if one.columns == ("kind", "id")]
    assert {one.table for one in built} == {"event", "event_2024", "event_2025"}
    assert all(one.valid for one in built)
    assert maintain(server).create_index(spec, wire=work, deadline_ms=30_000) == 0
    maintain(server).drop_index("event_by_kind", wire=work)
    assert not [one for one in maintain(server).indexes() if one.columns == ("kind", "id")]


def test_a_plan_takes_our_index_by_exact_names_also_that_of_a_part_of_a_part(
    server: Engine, work: PostgresWire
) -> None:
    explain, facet = server.explain, maintain(server)
    assert not isinstance(explain, Unsupported)
    long = "a_table_with_a_name_that_leaves_no_room_for_its_columns"  # 55, as ours are
    spec = IndexSpec("deep", ("kind",), f"{long[:48]}_222222")
    other = IndexSpec("deep", ("kind",), f"{long[:48]}_211111")
    whole = IndexSpec("flat", ("kind",), "flat_kind")
    for statement in (
        "CREATE TABLE deep (at int, kind int) PARTITION BY RANGE (at)",
        "CREATE TABLE deep_1 PARTITION OF deep FOR VALUES FROM (0) TO (99) PARTITION BY RANGE (at)",
        'CREATE TABLE "Other Shop".deep_1_1 PARTITION OF deep_1 FOR VALUES FROM (0) TO (50)',
        "CREATE TABLE flat (kind int, day int)",
        "CREATE INDEX flat_kind_day ON flat (kind, day)",
        "INSERT INTO deep SELECT i % 50, i FROM generate_series(1, 20000) i",
        "INSERT INTO flat SELECT i, i FROM generate_series(1, 20000) i",
        "ANALYZE deep, flat",
    ):
        work.execute(statement)
    facet.create_index(spec, wire=work, deadline_ms=30_000)
    for sql in (
        "SELECT at FROM deep WHERE kind = 7",
        "SELECT at FROM deep WHERE kind IN (5, 7) OR kind BETWEEN 90 AND 99",
    ):
        plan = explain.estimate(sql, {})
        assert (takes(plan.root, spec), takes(plan.root, other)) == (True, False), sql
    plan = explain.estimate("SELECT day FROM flat WHERE kind = 7", {})
    assert not takes(plan.root, whole)  # somebody else's that begins like ours


def test_an_empty_database_has_no_tables(tmp_path: Path, pg_database: str) -> None:
    sqlite.connect(tmp_path / "empty.db", create=True).close()
    for url in (str(tmp_path / "empty.db"), pg_database):
        engine = open_engine(Target(url))
        assert list(maintain(engine).tables()) == []
        assert list(maintain(engine).indexes()) == []
        engine.close()
