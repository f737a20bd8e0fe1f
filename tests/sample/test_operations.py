"""Operations: each runs on both engines, does what it declares, and is bounded by an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from homeostat.access import Database
from homeostat.sample.address import connect
from homeostat.sample.operations import MIX, OPERATIONS, Person, mix_table
from homeostat.sample.schema import TABLES
from tests.sample.conftest import USERS

DOCUMENT = Path(__file__).parents[2] / "docs" / "explanation" / "sample.md"
NOW_MS = 1_700_000_000_000
WHO = Person(3, "INTJ")


@pytest.fixture
def database(seeded_url: str) -> Iterator[Database]:
    with Database.open(seeded_url, agent=None, operations=OPERATIONS) as opened:
        yield opened


def counts(url: str) -> dict[str, int]:
    with closing(connect(url, application_name="test")) as wire:
        return {t: int(str(wire.execute(f"SELECT count(*) FROM {t}").scalar())) for t in TABLES}


def run(database: Database, name: str, seed: int = 5) -> list[dict[str, object]]:
    part = MIX[name]
    return database.execute(name, part.draw(WHO, Random(seed), NOW_MS)).dicts()


def test_the_mix_adds_up_and_covers_every_table() -> None:
    assert sum(part.weight for part in MIX.values()) == pytest.approx(1.0)
    assert len(MIX) >= 10
    for write in (False, True):
        seen = {
            t
            for part in MIX.values()
            if part.operation.write is write
            for t in part.operation.tables
        }
        assert seen == set(TABLES)


def test_the_published_mix_is_the_one_in_use() -> None:
    assert mix_table() in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MIX)
def test_declared_tables_are_the_ones_in_the_statement(name: str) -> None:
    operation = MIX[name].operation
    sql = operation.sql_for("sqlite")
    used = {table for table in TABLES if re.search(rf"\b{table}\b", sql)}
    assert used == set(operation.tables)
    assert operation.write is not sql.startswith("SELECT")


def test_every_operation_runs(database: Database) -> None:
    for name, part in MIX.items():
        for seed in range(5):
            rows = database.execute(name, part.draw(WHO, Random(seed), NOW_MS + seed))
            assert rows.columns or part.operation.write


def test_reads_return_what_is_there(database: Database) -> None:
    (home,) = run(database, "open_home")
    assert set(home) == {"name", "plan", "unread"}
    (user,) = run(database, "find_user")
    assert user["id"] == WHO.id
    history = run(database, "list_history")
    assert 4 <= len(history) <= 20
    assert [row["id"] for row in history] == sorted(
        (r["id"] for r in history), key=lambda i: -int(str(i))
    )
    assert len(run(database, "list_preferences")) == 4
    assert len(run(database, "list_newest_users")) == 20
    events = sum(int(str(row["events"])) for row in run(database, "show_dashboard"))
    assert len(history) <= events <= 200


def test_a_repeated_write_has_the_effect_of_one(database: Database, seeded_url: str) -> None:
    before = counts(seeded_url)
    for _ in range(2):
        for name in ("record_event", "start_session", "submit_assessment"):
            run(database, name)
        run(database, "add_insight")
    after = counts(seeded_url)
    grown = {table: after[table] - before[table] for table in TABLES}
    assert grown == {
        "users": 0,
        "assessments": 1,
        "preferences": 0,
        "sessions": 1,
        "analytics_events": 1,
        "insights": 1,
    }


def test_updates_are_seen_by_the_reads(database: Database) -> None:
    run(database, "start_session")
    assert run(database, "list_sessions")[0]["ended_ms"] is None
    run(database, "end_session")
    assert run(database, "list_sessions")[0]["ended_ms"] == NOW_MS
    run(database, "add_insight")
    (before,) = run(database, "open_home")
    run(database, "read_insight")
    (after,) = run(database, "open_home")
    assert int(str(after["unread"])) == int(str(before["unread"])) - 1
    run(database, "submit_assessment")
    (profile,) = run(database, "load_profile")
    assert profile["personality_type"] == "INTJ"
    assert profile["completed_ms"] == NOW_MS


def test_no_operation_reads_a_whole_table(tmp_path: Path) -> None:
    from homeostat.clock import ManualClock
    from homeostat.sample.seed import seed

    url = str(tmp_path / "app.db")
    seed(url, users=USERS, clock=ManualClock())
    with closing(connect(url, application_name="test")) as wire:
        for name, part in MIX.items():
            params = part.draw(WHO, Random(1), NOW_MS)
            plan = wire.execute(
                f"EXPLAIN QUERY PLAN {part.operation.sql_for('sqlite')}", params
            ).dicts()
            for step in plan:
                detail = str(step["detail"])
                whole = detail.startswith("SCAN") and "newest" not in detail
                few = (
                    "users_created" in detail or "sessions_open" in detail
                )  # the newest come first
                assert not whole or few, f"{name}: {detail}"
