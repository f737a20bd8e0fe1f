"""What PostgreSQL says of its statements, and the exact line that mends what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.driver import postgres
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.normalise import statement_key
from homeostat.measure import Unknown
from tests.servers import PostgresServer, running_server

pytestmark = pytest.mark.every_postgres


def test_statements_are_added_up_by_text_and_hold_no_values(
    pg_server: PostgresServer, pg_database: str
) -> None:
    engine = open_engine(Target(pg_database))
    missing = engine.workload
    assert isinstance(missing, Unsupported)
    assert missing.mend == "CREATE EXTENSION pg_stat_statements;"
    wire = postgres.connect(pg_database)
    wire.execute('CREATE SCHEMA "Odd Place"')
    wire.execute('CREATE EXTENSION pg_stat_statements SCHEMA "Odd Place"')
    wire.execute("CREATE TABLE t (a int, b text)")
    wire.execute("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 500) i")
    operation = "SELECT a FROM t WHERE b = 'hunter2' AND a <> :a"
    for value in range(3):
        wire.execute(operation, {"a": value})
    wire.execute("select a from t where b = :b AND a <> 5", {"b": "hunter2"})
    found = engine.workload
    assert not isinstance(found, Unsupported)
    statements = found.statements()
    mine = next(one for one in statements if one.key == statement_key(operation))
    assert mine.calls == 4
    assert mine.total_ms > 0
    assert not isinstance(mine.blocks_hit, Unknown)
    assert mine.blocks_hit > 0
    assert not isinstance(mine.since, Unknown)
    assert "hunter2" not in repr(statements)
    assert [one.total_ms for one in statements] == sorted(s.total_ms for s in statements)[::-1]
    assert len(found.statements(limit=2)) == 2
    assert found.note == ""
    assert len({one.key for one in statements}) == len(statements)
    wire.close()
    engine.close()


def test_a_role_without_rights_is_told_the_grant(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    pg_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    pg_server.execute("CREATE ROLE \"least Role\" LOGIN PASSWORD 'least'")
    pg_server.execute("CREATE TABLE others (a int)", database=name)
    pg_server.execute("SELECT 'theirs' FROM others", database=name)
    url = pg_server.url(name, user="least%20Role", password="least")
    engine = open_engine(Target(url))
    found = engine.workload
    assert not isinstance(found, Unsupported)
    engine.execute("SELECT 'mine' || 'x'")
    texts = [one.text for one in found.statements()]
    assert any("||" in text for text in texts)
    assert not any("others" in text for text in texts)
    assert 'GRANT pg_read_all_stats TO "least Role"' in found.note
    pg_server.execute('GRANT pg_read_all_stats TO "least Role"')
    assert any("others" in one.text for one in found.statements())
    assert found.note == ""
    pg_server.execute("REVOKE ALL ON pg_stat_statements FROM PUBLIC", database=name)
    engine.close()
    again = open_engine(Target(url))
    refused = again.workload
    assert isinstance(refused, Unsupported)
    assert refused.mend == 'GRANT SELECT ON "public".pg_stat_statements TO "least Role";'
    pg_server.execute(refused.mend, database=name)
    assert not isinstance(again.workload, Unsupported)
    again.close()
    pg_server.drop_database(name)
    pg_server.execute('DROP ROLE "least Role"')


def test_a_library_that_is_not_loaded_is_told_with_those_that_are() -> None:
    with running_server(settings={"shared_preload_libraries": "auto_explain"}) as server:
        engine = open_engine(Target(server.url()))
        missing = engine.workload
        assert isinstance(missing, Unsupported)
        setting = 'ALTER SYSTEM SET shared_preload_libraries = "auto_explain", pg_stat_statements;'
        assert missing.mend.startswith(setting)
        assert missing.mend.endswith("CREATE EXTENSION pg_stat_statements;")
        server.execute("CREATE EXTENSION pg_stat_statements")
        unloaded = engine.workload
        assert isinstance(unloaded, Unsupported)
        assert unloaded.mend.startswith(setting)
        server.execute(setting.rstrip(";"))
        engine.close()


def test_sqlite_says_that_agents_tell_it(sqlite_path: Path) -> None:
    engine = open_engine(Target(str(sqlite_path)))
    found = engine.workload
    assert isinstance(found, Unsupported)
    assert "agent" in found.mend
    engine.close()
