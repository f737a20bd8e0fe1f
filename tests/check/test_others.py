"""Databases that were designed elsewhere: what is told of them is true, and its SQL can be run."""

from __future__ import annotations

import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from homeostat.check.report import Report
from homeostat.config import Config
from homeostat.driver import sqlite
from tests.check import cloning, planting, trade
from tests.check.sqlite_mends import looked, mended
from tests.pgbouncer import running_pgbouncer
from tests.servers import PostgresServer, client_programs

NUMBERS = (
    "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    " SELECT i FROM n)"
)
KEYS = "foreign_key_without_index"


def large(table: str) -> str:
    return f"INSERT INTO {table} SELECT i, NULL FROM {{series}}"


SERVED = (  # by the table's own order, by an index without what refers to nothing
    "CREATE TABLE users (id INTEGER PRIMARY KEY, kind INTEGER)",
    "CREATE TABLE profile (user_id INTEGER PRIMARY KEY REFERENCES users (id), bio TEXT)",
    "CREATE TABLE gift (id INTEGER PRIMARY KEY, giver INTEGER REFERENCES users (id))",
    "CREATE INDEX gift_giver ON gift (giver) WHERE giver IS NOT NULL",
    "CREATE TABLE loan (id INTEGER PRIMARY KEY, taker INTEGER REFERENCES users (id))",
    "CREATE INDEX loan_taker ON loan (taker) WHERE taker > 100",
    *(large(name) for name in ("users", "profile", "gift", "loan")),
)
PARTS = (
    "CREATE TABLE event (id int, owner int REFERENCES users (id)) PARTITION BY RANGE (id)",
    "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10000)",
    "CREATE TABLE event_2 (owner int, id int)",
    "ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10000) TO (99000)",
    "CREATE INDEX ON event_1 (owner)",
    large("event"),
)


def lacking(report: Report) -> set[str]:
    """Return the tables with a foreign key that nothing finds rows by."""
    found = [one.where.split(" (")[0] for one in report.findings if one.rule == KEYS]
    return {one.removeprefix("public.").strip('"') for one in found}


def places(report: Report) -> set[tuple[str, str]]:
    """Return what is found where, without the numbers, which move while others use the server."""
    return {(one.rule, one.where) for one in report.findings}


@pytest.mark.slow
@pytest.mark.every_postgres
def test_what_the_schema_of_tpc_h_lacks_is_told_of_postgresql(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    execute = partial(pg_server.execute, database=name)
    execute("CREATE EXTENSION pg_stat_statements")
    trade.fill(execute, series="generate_series(1, {}) AS n (i)")
    execute("VACUUM (ANALYZE)")
    for question in trade.QUESTIONS:
        execute(question)
    report = planting.looked(pg_server.url(name))
    assert lacking(report) == trade.LACKS_LARGE
    onlooker = f"onlooker_of_{name}"  # roles are of the whole server, which tests share
    pg_server.execute(f"CREATE ROLE {onlooker} LOGIN PASSWORD 'onlooker'")
    least = planting.looked(pg_server.url(name, user=onlooker, password="onlooker"))
    assert lacking(least) == trade.LACKS_LARGE
    with running_pgbouncer(pg_server) as pooler:
        pooled = planting.looked(pooler.url(pg_server.url(name)))
    assert places(pooled) == places(report)
    with cloning.clone_of(pg_server, name) as clone:
        for one in report.findings:
            if one.rule == KEYS:
                planting.mend(one, partial(pg_server.execute, database=clone))
        assert lacking(planting.looked(pg_server.url(clone))) == set()
    pg_server.execute(f"DROP ROLE {onlooker}")


def test_what_the_schema_of_tpc_h_lacks_is_told_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "trade.db"
    with closing(sqlite.connect(path, create=True)) as wire:
        trade.fill(wire.execute, series=NUMBERS)
    report = looked(path, Config())
    assert lacking(report) == trade.LACKS
    with cloning.clone_of_file(path, tmp_path / "clones") as clone:
        for one in looked(clone, Config()).findings:
            mended(clone, one.mend_sql)
        assert looked(clone, Config()).healthy


def test_foreign_keys_that_are_served_in_another_way_are_not_named(
    tmp_path: Path, pg_server: PostgresServer
) -> None:
    path = tmp_path / "served.db"
    with closing(sqlite.connect(path, create=True)) as wire:
        for one in SERVED:
            wire.execute(one.format(series=NUMBERS.format(12_000)))
    assert lacking(looked(path, Config())) == {"loan"}
    name = pg_server.create_database()
    for one in (*SERVED, *PARTS, "ANALYZE"):
        pg_server.execute(one.format(series="generate_series(1, 12000) AS n (i)"), database=name)
    assert lacking(planting.looked(pg_server.url(name))) == {"event", "loan"}
    pg_server.execute("CREATE INDEX ON event_2 (owner)", database=name)
    assert lacking(planting.looked(pg_server.url(name))) == {"loan"}


@pytest.mark.slow
@pytest.mark.every_postgres
def test_pgbench_under_its_load_lacks_nothing(pg_server: PostgresServer) -> None:
    name = pg_server.create_database()
    program, url = str(client_programs(pg_server.version) / "pgbench"), pg_server.url(name)
    pg_server.execute("CREATE EXTENSION pg_stat_statements", database=name)
    for words in (["--initialize", "--quiet"], ["--transactions=300", "--client=2"]):
        subprocess.run([program, *words, url], check=True, capture_output=True)
    pg_server.execute("VACUUM (ANALYZE)", database=name)
    for _ in range(25):  # asked for, as backups and CREATE DATABASE do: not max_wal_size's doing
        pg_server.execute("CHECKPOINT")
    of_the_server = {"checksums", "machine_setting", "unsafe_setting"}
    report = planting.looked(url)
    assert [one.what for one in report.findings if one.rule not in of_the_server] == []
