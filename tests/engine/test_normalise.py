"""One text and one key for a statement, however its values are written."""

from __future__ import annotations

import pytest

from homeostat.driver import postgres
from homeostat.engine.normalise import normalise, statement_key
from tests.servers import PostgresServer

SAME = [
    (
        "SELECT * FROM users WHERE id = :id AND name = 'x'",
        "select *\nfrom users -- all\n where id=$1 and name=$2;",
    ),
    ("SELECT a FROM t WHERE b IN (1, 2, 3)", "select a from t where b in (:only)"),
    ("SELECT a FROM t WHERE b IN ($1 /*, ... */)", "SELECT a FROM t WHERE b IN (?, ?)"),
    ("SELECT a-1, -1, b>-2 FROM t", "select a - $1, $2, b > :x from t"),
    ("SELECT x::int, count (*) FROM t", "select x :: int, count(*) from t"),
    ("UPDATE t SET a = NULL, b = true", "update t set a = @a, b = $b"),
    ("SELECT * FROM t LIMIT 10 OFFSET 20", "select * from t limit ?1 offset ?2"),
    ("SELECT d ->> 'k' FROM t WHERE d @> '{}'", "select d->>:k from t where d @> $1"),
]
DIFFERENT = [
    ("SELECT a FROM t WHERE b IS NULL", "SELECT a FROM t WHERE b IS NOT NULL"),
    ('SELECT a FROM "T"', "SELECT a FROM t"),
    ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b > 1"),
    ("SELECT a - 1 FROM t", "SELECT a FROM t"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_variants_of_one_statement_have_one_key(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert statement_key(one) == statement_key(other)
    assert normalise(normalise(one)) == normalise(one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_statements_have_different_keys(one: str, other: str) -> None:
    assert statement_key(one) != statement_key(other)


def test_the_server_and_the_application_agree(pg_server: PostgresServer, pg_database: str) -> None:
    """What pg_stat_statements shows of an operation has the operation's key."""
    wire = postgres.connect(pg_database)
    wire.execute("CREATE EXTENSION pg_stat_statements")
    wire.execute('CREATE TABLE t (a int, b text, "C d" bool, at timestamptz, d jsonb)')
    operations = [
        "SELECT t.a, count(*) FROM t WHERE a = :a AND b LIKE 'x%' GROUP BY t.a LIMIT 5",
        "SELECT a FROM t WHERE a IN (1, 2, :a) AND at > now() - interval '1 day'",
        'INSERT INTO t (a, b, "C d") VALUES (:a, NULL, true) ON CONFLICT DO NOTHING',
        'UPDATE t SET b = NULL, a = -1 WHERE a=-2 AND b IS NOT NULL AND NOT "C d"',
        "SELECT d->>'k', d @> '{\"a\": 1}' FROM t WHERE a = ANY(:many) AND a <> -:a::int",
    ]
    for sql in operations:
        wire.execute(sql, {"a": 1, "many": [1, 2]})
    shown = wire.execute("SELECT query FROM pg_stat_statements WHERE query ~ ' t '").rows
    keys = {statement_key(str(query)): str(query) for (query,) in shown}
    wire.close()
    for sql in operations:
        assert statement_key(sql) in keys, (normalise(sql), [normalise(q) for q in keys.values()])
