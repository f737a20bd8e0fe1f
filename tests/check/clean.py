"""PostgreSQL databases with nothing wrong, and one with everything odd that a schema may have."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from homeostat.clock import ManualClock
from homeostat.sample.seed import seed
from tests.check import trade
from tests.check.cramped import set_checksums
from tests.servers import NEWEST, OURS, PostgresServer, client_programs

_KEPT = (
    (
        "CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " email text NOT NULL UNIQUE)"
    ),
    "INSERT INTO customer (email) SELECT i || '@example.org' FROM generate_series(1, 20000) i",
    (
        "CREATE TABLE purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " customer_id bigint NOT NULL REFERENCES customer, at timestamptz NOT NULL DEFAULT now())"
    ),
    "CREATE INDEX ON purchase (customer_id, at)",
    "INSERT INTO purchase (customer_id) SELECT 1 + i % 20000 FROM generate_series(1, 60000) i",
    "VACUUM (ANALYZE)",
    "SELECT count(*) FROM purchase WHERE customer_id = 7 AND at > now() - interval '1 day'",
)
_PARTITIONED = (
    (
        "CREATE TABLE event (id bigint, at date, kind text, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at)"
    ),
    "CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE INDEX event_kind ON event (kind, at)",
    (
        "INSERT INTO event SELECT i, date '2025-01-01' + i % 700, 'k' || i % 50"
        " FROM generate_series(1, 40000) i"
    ),
    (
        "CREATE TABLE event_note (event_id bigint, event_at date, note text,"
        " PRIMARY KEY (event_id, event_at), FOREIGN KEY (event_id, event_at) REFERENCES event)"
    ),
    "INSERT INTO event_note SELECT id, at, kind FROM event",
    "VACUUM (ANALYZE)",
    "SELECT count(*) FROM event WHERE kind = 'k7' AND at >= '2026-01-01'",
)
_DOCUMENTS = (
    (
        "CREATE TABLE document (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " body jsonb NOT NULL, made timestamptz NOT NULL DEFAULT now())"
    ),
    "CREATE INDEX document_body ON document USING gin (body jsonb_path_ops)",
    (
        "INSERT INTO document (body) SELECT jsonb_build_object('kind', 'k' || i % 40, 'n', i)"
        " FROM generate_series(1, 12000) i"
    ),
    "VACUUM (ANALYZE)",
    """SELECT count(*) FROM document WHERE body @> '{"kind": "k7", "n": 7}'""",
)
_TENANTS = tuple(
    statement.format(f"tenant_{number}")
    for number in range(3)
    for statement in (
        "CREATE SCHEMA {}",
        "CREATE TABLE {0}.member (id int PRIMARY KEY, name text NOT NULL)",
        (
            "CREATE TABLE {0}.task (id int PRIMARY KEY, member_id int NOT NULL"
            " REFERENCES {0}.member, done boolean NOT NULL)"
        ),
        "CREATE INDEX task_open ON {0}.task (member_id) INCLUDE (done)",
        "INSERT INTO {0}.member SELECT i, 'm' || i FROM generate_series(1, 2000) i",
        "INSERT INTO {0}.task SELECT i, 1 + i % 2000, i % 3 = 0 FROM generate_series(1, 11000) i",
        "VACUUM (ANALYZE) {0}.task",
        "VACUUM (ANALYZE) {0}.member",
    )
)
_SERIES = (
    "CREATE TABLE measured (at timestamptz NOT NULL, sensor int NOT NULL, value float8 NOT NULL)",
    "ALTER TABLE measured ADD PRIMARY KEY (sensor, at)",
    "CREATE INDEX measured_at ON measured USING brin (at)",
    (
        "INSERT INTO measured SELECT timestamptz '2026-01-01' + i * interval '1 s', i % 20, i"
        " FROM generate_series(1, 40000) i"
    ),
    "VACUUM (ANALYZE)",
    "SELECT avg(value) FROM measured WHERE sensor = 7 AND at < '2026-01-01 01:00:00+00'",
)
ODD = (
    'CREATE SCHEMA "Sales 2026"',
    'CREATE SCHEMA "über""quoted"',
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (left_side int, right_side text)",
    "CREATE EXTENSION btree_gist",
    (
        'CREATE TABLE "Sales 2026"."Order" ("Id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
        ' "Who?" text, feeling mood, amount positive, two pair, tags text[],'
        ' doubled int GENERATED ALWAYS AS (length("Who?") * 2) STORED, body jsonb)'
    ),
    'CREATE INDEX "an index" ON "Sales 2026"."Order" (lower("Who?") text_pattern_ops)',
    'CREATE INDEX ON "Sales 2026"."Order" USING gin (tags)',
    'CREATE INDEX ON "Sales 2026"."Order" USING brin ("Id")',
    'CREATE INDEX ON "Sales 2026"."Order" USING hash ("Who?")',
    (
        'CREATE INDEX ON "Sales 2026"."Order" ("Who?" COLLATE "C" DESC NULLS LAST)'
        " INCLUDE (amount) WHERE feeling = 'ok'"
    ),
    (
        'INSERT INTO "Sales 2026"."Order" ("Who?", feeling, amount)'
        " SELECT 'w' || i, 'ok', i FROM generate_series(1, 15000) i"
    ),
    (
        'CREATE TABLE "über""quoted"."child;--" (parent int REFERENCES "Sales 2026"."Order",'
        ' "DROP TABLE x" int)'
    ),
    'INSERT INTO "über""quoted"."child;--" SELECT i, i FROM generate_series(1, 15000) i',
    (
        "CREATE TABLE room (id int, during tstzrange,"
        " EXCLUDE USING gist (id WITH =, during WITH &&))"
    ),
    "CREATE TABLE base (id serial PRIMARY KEY, made date)",
    "CREATE TABLE derived (extra text) INHERITS (base)",
    "INSERT INTO derived (made, extra) SELECT now(), 'x' FROM generate_series(1, 3000)",
    "CREATE TABLE listed (region text, id int) PARTITION BY LIST (region)",
    "CREATE TABLE listed_eu PARTITION OF listed FOR VALUES IN ('eu') PARTITION BY HASH (id)",
    "CREATE TABLE listed_eu_0 PARTITION OF listed_eu FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE listed_eu_1 PARTITION OF listed_eu FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "CREATE TABLE listed_rest PARTITION OF listed DEFAULT",
    "CREATE INDEX ON listed (id)",
    "INSERT INTO listed SELECT 'eu', i FROM generate_series(1, 3000) i",
    "CREATE UNLOGGED TABLE scratch (a int, b int)",
    "CREATE TABLE nothing ()",
    "CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM base",
    'CREATE VIEW "Sales 2026".v AS SELECT * FROM "Sales 2026"."Order"',
    "CREATE SEQUENCE down INCREMENT -1",
    "CREATE SEQUENCE round MAXVALUE 10 CYCLE",
    "SELECT nextval('down'), nextval('round')",
    (
        'CREATE FUNCTION "Sales 2026"."Power"(VARIADIC ids int[] DEFAULT \'{}\') RETURNS bigint'
        " LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM base'"
    ),
    (
        "CREATE TABLE wide AS SELECT i AS id, repeat('long', 3000) AS text"
        " FROM generate_series(1, 1200) i"
    ),
)


@contextmanager
def careful_server(version: str = OURS) -> Iterator[PostgresServer]:
    """Run a server that is set up with care: with checksums, and memory that fits a machine."""
    server = PostgresServer(version=version, settings={"effective_cache_size": "8GB"})
    try:
        if version != NEWEST:  # from 18 on initdb turns them on
            set_checksums(server, "--enable")
        server.start()
        yield server
    finally:
        server.remove()


def _with(*statements: str) -> Callable[[PostgresServer, str], None]:
    def fill(server: PostgresServer, name: str) -> None:
        for statement in ("CREATE EXTENSION pg_stat_statements", *statements):
            server.execute(statement, database=name)

    return fill


def _with_pgbench(server: PostgresServer, name: str) -> None:
    program = str(client_programs(server.version) / "pgbench")
    command = [program, "--initialize", "--scale=2", "--quiet"]
    done = subprocess.run([*command, server.url(name)], capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    server.execute("CREATE EXTENSION pg_stat_statements", database=name)


def _with_trade(server: PostgresServer, name: str) -> None:
    trade.fill(partial(server.execute, database=name), series="generate_series(1, {}) AS n (i)")
    _with(
        "CREATE INDEX ON orders (o_custkey)",
        "CREATE INDEX ON lineitem (l_partkey, l_suppkey)",
        "VACUUM (ANALYZE)",
        *trade.QUESTIONS,
    )(server, name)


def _with_sample(server: PostgresServer, name: str) -> None:
    seed(server.url(name), users=500, clock=ManualClock())
    server.execute("CREATE EXTENSION pg_stat_statements", database=name)


CLEAN: dict[str, Callable[[PostgresServer, str], None]] = {
    "empty": _with(),
    "well kept": _with(*_KEPT),
    "partitioned": _with(*_PARTITIONED),
    "pgbench": _with_pgbench,
    "sample app": _with_sample,
    "documents": _with(*_DOCUMENTS),
    "tenants": _with(*_TENANTS),
    "time series": _with(*_SERIES),
    "orders and parts": _with_trade,
}


def fill_with_tables(server: PostgresServer, name: str, count: int) -> None:
    """Make so many small tables with two indexes each."""
    for start in range(0, count, 500):  # all at once would take more locks than there are
        server.execute(
            "DO $$ BEGIN FOR i IN " + f"{start}..{start + 499}" + " LOOP EXECUTE format("
            "'CREATE TABLE t%s (id int PRIMARY KEY, a int, b text); CREATE INDEX ON t%s (a)',"
            " i, i); END LOOP; END $$",
            database=name,
        )
