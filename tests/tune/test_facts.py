"""What is found out about one statement on a real database, and the cause that it leads to."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from homeostat.config import TuneConfig
from homeostat.driver.wire import Wire
from homeostat.engine import Unsupported, open_engine
from homeostat.engine.engine import Target
from homeostat.engine.plan import walk
from homeostat.operate.statements import StatementView
from homeostat.operate.views import COUNTED_MAX
from homeostat.tune.causes import (
    MANY_ROWS,
    MISSING_INDEX,
    Cause,
    missing_index,
    unindexed_key,
    whole_table,
)
from homeostat.tune.counting import Counted
from homeostat.tune.facts import CHILDREN_MAX, facts_of, read_catalogue
from tests.tune.application import open_wire
from tests.tune.test_causes import returning

CONFIG = TuneConfig()
ROWS = 20_000
NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
EXTREMES = (
    "SELECT max(b) FROM users",
    "SELECT max(b) + 1 FROM users",
    "SELECT coalesce(max(b), 0) FROM users",
    "SELECT round(min(b) * 2, 1) AS twice FROM users",
)
OF_POSTGRESQL = ("SELECT min(b), max(b) FROM users", "SELECT max(b) - min(b) FROM users")
SPARED = (
    "SELECT min(a), max(b) FROM users",
    "SELECT a, count(*) FROM users GROUP BY a HAVING a = 7",
    "SELECT a, count(*) FROM users GROUP BY a HAVING a = 7 AND count(*) > 1",
)
SUMS = (
    "SELECT max(b), count(*) FROM users",
    "SELECT a, max(b) FROM users GROUP BY a HAVING count(*) > 1",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    name = {"sqlite": "sqlite_path", "postgresql": "pg_database"}[request.param]
    url = str(request.getfixturevalue(name))
    with closing(open_wire(url)) as wire:
        wire.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
        fill(wire, "users (id, a, b)", "i, i % 100, i", ROWS)
    return url


def fill(wire: Wire, table: str, columns: str, rows: int) -> None:
    wire.execute(f"INSERT INTO {table} {NUMBERS.format(rows)} SELECT {columns} FROM n")


def viewed(url: str, sql: str, children: dict[str, Counted | None] | None = None) -> StatementView:
    """Return a statement that takes 2 ms a call, with what is found out about it."""
    view = replace(returning(1, 2.0), sql=sql)
    with closing(open_engine(Target(url))) as engine:
        assert not isinstance(engine.explain, Unsupported)
        plan, catalogue = engine.explain.estimate(sql, {}), read_catalogue(engine)
        assert catalogue is not None
        catalogue.children = {} if children is None else children
        return replace(view, facts=facts_of(engine, view, plan, catalogue, CONFIG))


def told(view: StatementView) -> Cause | None:
    return (
        missing_index(view, CONFIG, fresh=True)
        or unindexed_key(view, CONFIG)
        or whole_table(view, CONFIG)
    )


def test_of_a_smallest_or_largest_value_the_index_is_named_that_finds_it(url: str) -> None:
    lite = "postgresql" not in url
    wanted = EXTREMES if lite else EXTREMES + OF_POSTGRESQL
    for sql in wanted:
        found = told(viewed(url, sql))
        assert found is not None, sql
        assert (found.kind, "users (b)" in found.mend) == (MISSING_INDEX, True), sql
    for sql in (*SPARED, *(OF_POSTGRESQL if lite else ())):
        found = told(viewed(url, sql))
        assert found is None or "no index" not in found.text, sql
    for sql in SUMS:
        found = told(viewed(url, sql))
        assert found is not None, sql
        assert found.kind == MANY_ROWS, sql
    with closing(open_wire(url)) as wire:
        wire.execute("CREATE INDEX users_b ON users (b)")
        wire.execute("ANALYZE users")
    with closing(open_engine(Target(url))) as engine:
        assert not isinstance(engine.explain, Unsupported)
        for sql in wanted:  # the planner takes it indeed
            plan = engine.explain.estimate(sql, {})
            assert "users_b" in {node.index for _, node in walk(plan.root)}, sql


def test_only_the_largest_tables_are_counted_for_a_foreign_key_and_not_soon_again(
    url: str,
) -> None:
    with closing(open_wire(url)) as wire:
        for number in range(CHILDREN_MAX + 3):
            table = f"child_{number}"
            wire.execute(f"CREATE TABLE {table} (user_id INTEGER REFERENCES users (id))")
            fill(wire, table, "1 + i % 7", 1000 * (number + 1))
        known: dict[str, Counted | None] = {}
        view = viewed(url, "DELETE FROM users WHERE id = 5", known)
        largest = {f"child_{3 + number}" for number in range(CHILDREN_MAX)}
        assert {one["table"] for one in view.facts["children"]} == largest == set(known)
        wire.execute("DELETE FROM child_5 WHERE user_id = 3")
        again = viewed(url, "DELETE FROM users WHERE id = 5", known)
        assert again.facts["children"] == view.facts["children"]


def test_a_table_is_called_with_the_schema_that_it_is_in(pg_database: str) -> None:
    with closing(open_wire(pg_database)) as wire:
        wire.execute("CREATE TABLE users (id int PRIMARY KEY)")
        wire.execute("INSERT INTO users VALUES (5)")
        wire.execute("CREATE TABLE note (owner int REFERENCES users)")
        wire.execute("CREATE INDEX ON note (owner)")
        wire.execute("CREATE SCHEMA other")
        wire.execute("CREATE TABLE other.note (owner int REFERENCES users)")
        fill(wire, "other.note", "5", ROWS)
    found = told(viewed(pg_database, "DELETE FROM users WHERE id = 5"))
    assert found is not None
    assert "other.note (owner)" in found.mend
    found = told(viewed(pg_database, "SELECT owner FROM other.note WHERE owner = 7"))
    assert found is not None
    assert "An index on other.note (owner)" in found.mend


def test_a_count_that_stopped_is_told_as_the_least() -> None:
    facts = {"summed": {"table": "big", "rows": float(COUNTED_MAX), "scan_ms": 40.0}}
    found = whole_table(replace(returning(1, 100.0), facts=facts), CONFIG)
    assert found is not None
    assert f"at least {COUNTED_MAX:,}" in found.text
