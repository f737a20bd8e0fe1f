"""Plans as data: which steps, tables and indexes, with and without values, run and not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.driver import postgres, sqlite
from homeostat.engine import Engine, Target, Unsupported, open_engine, render_plan
from homeostat.engine.facets import Explain, Plan, PlanNode
from homeostat.engine.plan import walk
from homeostat.errors import DatabaseError, DeadlineExceededError, StatementError
from tests.engine.shapes import ORDERS, make_postgres, make_sqlite

pytestmark = pytest.mark.every_postgres


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Engine]:
    make_sqlite(tmp_path / "app.db")
    engine = open_engine(Target(str(tmp_path / "app.db")))
    yield engine
    engine.close()


@pytest.fixture
def server(pg_database: str) -> Iterator[Engine]:
    make_postgres(pg_database)
    engine = open_engine(Target(pg_database))
    yield engine
    engine.close()


def explain(engine: Engine) -> Explain:
    assert not isinstance(engine.explain, Unsupported)
    return engine.explain


def nodes(plan: Plan) -> list[PlanNode]:
    return [node for _, node in walk(plan.root)]


def reads(plan: Plan) -> set[tuple[str | None, str | None]]:
    return {(node.relation, node.index) for node in nodes(plan) if node.relation}


def test_sqlite_names_tables_behind_aliases_and_views(lite: Engine) -> None:
    plan = explain(lite).estimate('SELECT * FROM "Spend ing" WHERE age = :age ORDER BY total')
    assert {name for name, _ in reads(plan)} == {"User Accounts", "Order"}
    assert not plan.executed
    assert plan.rows_read is None
    ambiguous = explain(lite).estimate(
        "SELECT 1 FROM tag x UNION ALL SELECT 1 FROM (SELECT id FROM [Order] x)"
    )
    assert {name for name, _ in reads(ambiguous)} == {"x"}  # cannot be told: never a wrong table


def test_sqlite_shows_the_index_and_no_values(lite: Engine) -> None:
    sql = """SELECT age FROM "User Accounts" AS u
             WHERE lower("Full "" Name") = 'hunter2' AND age > 17"""
    plan = explain(lite).estimate(sql)
    assert reads(plan) == {("User Accounts", "Low er")}
    assert "hunter2" not in repr(plan)
    for marked in ("id = ?", "id = ?1", "id = :id", "id = $1"):
        by_key = explain(lite).estimate(f"SELECT total FROM [Order] WHERE {marked}")
        (node,) = by_key.root.children
        assert (node.kind, node.relation) == ("SEARCH", "Order")
        assert "INTEGER PRIMARY KEY" in node.detail


def test_a_shape_stays_until_the_plan_changes(lite: Engine, tmp_path: Path) -> None:
    sql = "SELECT id FROM [Order] WHERE user = :user"
    first = explain(lite).estimate(sql)
    assert first.shape == explain(lite).estimate(sql, {"user": 7}).shape
    wire = sqlite.connect(tmp_path / "app.db")
    wire.execute("CREATE INDEX by_user ON [Order] (user)")
    wire.close()
    second = explain(lite).estimate(sql)
    assert second.shape != first.shape
    assert reads(second) == {("Order", "by_user")}


def test_sqlite_counts_the_rows_of_full_scans_and_rolls_back(lite: Engine, tmp_path: Path) -> None:
    wire = sqlite.connect(tmp_path / "app.db")
    plan = explain(lite).execute(
        "SELECT * FROM [Order] WHERE user = :user", {"user": 7}, wire=wire, deadline_ms=5000
    )
    assert plan.executed
    assert plan.rows_read is not None
    assert abs(plan.rows_read - ORDERS) <= 1
    assert plan.counters["vm_step"] > ORDERS
    assert plan.root.rows == 5
    gone = explain(lite).execute("DELETE FROM [Order]", wire=wire, deadline_ms=5000)
    assert gone.root.rows == ORDERS
    assert wire.execute("SELECT count(*) FROM [Order]").scalar() == ORDERS
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT max(x) FROM n"
    with pytest.raises(DeadlineExceededError):
        explain(lite).execute(endless, wire=wire, deadline_ms=50)
    assert not wire.in_transaction
    wire.close()


def test_what_cannot_be_planned_is_refused(lite: Engine, server: Engine) -> None:
    for engine in (lite, server):
        for sql in ("SELECT * FROM missing", "SELECT 1; DROP TABLE tag", "no sql at all"):
            with pytest.raises(StatementError):
                explain(engine).estimate(sql)
        assert explain(engine).estimate("SELECT 1").root.kind
    for sql in ("VACUUM", "CREATE TABLE t (a int)"):
        with pytest.raises(DatabaseError):
            explain(server).estimate(sql)


def test_postgresql_plans_texts_without_values(server: Engine) -> None:
    for _ in range(7):  # past the number of uses after which the driver prepares a statement
        plan = explain(server).estimate(
            'SELECT * FROM "Order" WHERE id = $1 AND state = $2 LIMIT $3'
        )
    assert ("Order", "Order_pkey") in reads(plan)
    assert plan.root.cost
    assert reads(explain(server).estimate('SELECT 1 FROM "Order" WHERE id = :id'))
    shown = "SELECT * FROM event WHERE at > now() - interval $1 AND kind = $2"
    assert {name for name, _ in reads(explain(server).estimate(shown))} >= {"event_2025"}
    other = explain(server).estimate('INSERT INTO "Other Shop"."Order" VALUES ($1, $2)')
    assert (other.root.kind, other.root.relation) == ("Insert", "Other Shop.Order")
    left = "SELECT count(*) FROM pg_prepared_statements WHERE name ~ '^homeo'"
    assert server.execute(left).scalar() == 0


def test_a_refused_text_spoils_no_transaction(server: Engine, pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    wire.begin(write=True)
    wire.execute("CREATE TABLE mine (a int)")
    for sql in (
        "SELECT * FROM missing WHERE a = $1",
        "SELECT $1 +",
        "SELECT interval '1' = $1::int",
    ):
        with pytest.raises(StatementError):
            explain(server).estimate(sql, wire=wire)
    plan = explain(server).estimate("SELECT * FROM mine WHERE a = $1", wire=wire)
    assert reads(plan) == {("mine", None)}
    wire.commit()
    wire.close()


def test_postgresql_shows_conditions_without_values(server: Engine) -> None:
    sql = 'SELECT age FROM "Spend ing" WHERE age = 42 AND total < :total'
    plan = explain(server).estimate(sql, {"total": 5})
    assert {name for name, _ in reads(plan)} == {"User Accounts", "Order"}
    details = " ".join(node.detail for node in nodes(plan))
    assert "age = ?" in details
    assert "42" not in details
    assert all(node.rows_estimated is not None for node in nodes(plan))


def test_postgresql_runs_reads_rows_and_rolls_back(server: Engine, pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    sql = 'DELETE FROM "Order" WHERE "user" = :user'
    for timing in (False, True):
        plan = explain(server).execute(sql, {"user": 7}, wire=wire, deadline_ms=5000, timing=timing)
        assert plan.executed
        assert plan.rows_read == ORDERS
        (scan,) = plan.root.children
        assert (scan.kind, scan.rows, scan.removed) == ("Seq Scan", 5, ORDERS - 5)
        assert (scan.total_ms is not None) == timing
        assert plan.blocks_hit is not None
    assert wire.execute('SELECT count(*) FROM "Order"').scalar() == ORDERS
    with pytest.raises(DeadlineExceededError):
        explain(server).execute("SELECT pg_sleep(20)", wire=wire, deadline_ms=50)
    assert not wire.in_transaction
    wire.close()


def test_an_estimate_waits_for_no_lock(server: Engine, pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    wire.begin(write=True)
    wire.execute('LOCK TABLE "Order"')
    with pytest.raises(DatabaseError, match="lock"):
        explain(server).estimate('SELECT * FROM "Order" WHERE id = $1')
    wire.rollback()
    wire.close()
    assert explain(server).estimate('SELECT * FROM "Order" WHERE id = $1').root.kind


def test_a_plan_is_drawn_as_a_tree(server: Engine, lite: Engine) -> None:
    lines = render_plan(explain(server).estimate('SELECT * FROM "Spend ing" ORDER BY total'))
    assert lines[0] == "estimated, not run"
    assert any("└─ " in line and "Seq Scan User Accounts" in line for line in lines)
    assert any("rows expected" in line for line in lines)
    drawn = render_plan(explain(lite).estimate('SELECT * FROM "Spend ing"'))
    assert drawn[1] == "QUERY"
    assert len(drawn) == 4
