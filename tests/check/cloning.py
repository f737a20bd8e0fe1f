"""Clones of planted databases, made by the product, on which the SQL of findings is tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from homeostat.config import CloneConfig
from homeostat.engine import Target, Unsupported, open_engine
from homeostat.engine.facets import Clone
from tests.check import planting
from tests.check.planted import Planted
from tests.servers import PostgresServer, client_programs

HOUR = 3600.0
PLENTY = 10**10
Digest = dict[str, object]


@contextmanager
def _facet(url: str, config: CloneConfig) -> Iterator[Clone]:
    engine = open_engine(Target(url, clone=config))
    try:
        facet = engine.clone
        assert not isinstance(facet, Unsupported), facet
        yield facet
    finally:
        engine.close()


@contextmanager
def clone_of(server: PostgresServer, database: str) -> Iterator[str]:
    """Make a clone of a database on its own server; yield the clone's name."""
    programs = str(client_programs(server.version))
    config = CloneConfig(url=server.url(), programs=programs, dump_bytes_per_second=PLENTY)
    with _facet(server.url(database), config) as facet:
        made = facet.create(owner="proof", expires_seconds=HOUR, bytes_max=PLENTY)
        assert made.share == 1.0
        try:
            yield made.name
        finally:
            facet.drop(made.name)


@contextmanager
def clone_of_file(path: Path, directory: Path) -> Iterator[Path]:
    """Make a clone of an SQLite file in a directory; yield the clone's file."""
    config = CloneConfig(directory=str(directory), copy_bytes_per_second=PLENTY)
    with _facet(str(path), config) as facet:
        made = facet.create(owner="proof", expires_seconds=HOUR, bytes_max=PLENTY)
        try:
            yield Path(made.url)
        finally:
            facet.drop(made.name)


def rows_of(server: PostgresServer, database: str) -> Digest:
    """Return, by table, how many rows there are and a digest of them in no order."""
    execute = partial(server.execute, database=database)
    asked = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace ="
    names = execute(f"{asked} 'planted'::regnamespace")
    digest = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM"
    return {str(name): execute(f"{digest} {name} t") for (name,) in names}


def schema_of(server: PostgresServer, database: str) -> list[tuple[object, ...]]:
    """Return what a mend would change: files, rights, options of tables, indexes, functions."""
    sql = """
        SELECT 'relation', relname::text, relfilenode::text, relacl::text, reloptions::text
        FROM pg_class WHERE relnamespace = 'planted'::regnamespace
        UNION ALL SELECT 'function', proname::text, proconfig::text, proacl::text, ''
        FROM pg_proc WHERE pronamespace = 'planted'::regnamespace
        UNION ALL SELECT 'constraint', conname::text, convalidated::text, '', ''
        FROM pg_constraint WHERE connamespace = 'planted'::regnamespace
        UNION ALL SELECT 'schema', nspname::text, nspacl::text, '', ''
        FROM pg_namespace WHERE nspname = 'planted'
        UNION ALL SELECT 'setting', setconfig::text, '', '', ''
        FROM pg_db_role_setting WHERE setdatabase =
            (SELECT oid FROM pg_database WHERE datname = current_database())
        ORDER BY 1, 2
    """
    return server.execute(sql, database=database)


def carried(server: PostgresServer, clone: str, problems: Sequence[Planted]) -> None:
    """Make again on a clone what a dump leaves behind: dead rows, bloat, grants, counters."""
    server.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements", database=clone)
    for statements in dict.fromkeys(tuple(one.again) for one in problems):
        planting.run(server, clone, statements)
    planting.load(server, clone, problems)
    for one in problems:
        planting.run(server, clone, one.then)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of mending problems on a clone.

    Attributes:
        missed: names of those that were not found on it.
        left: names of those that were still found after their mend.
        new: what was found only afterwards.
    """

    missed: list[str]
    left: list[str]
    new: list[str]


def mended(server: PostgresServer, clone: str, problems: Sequence[Planted]) -> Outcome:
    """Mend problems on a clone by the SQL that a check of it prints; check it again."""
    report = planting.look_at(server, clone, problems)
    hits = {one.name: planting.finds(report, one) for one in problems}
    mends = {(hit.rule, hit.where): hit for hit in hits.values() if hit is not None}
    for hit in mends.values():
        planting.mend(hit, partial(server.execute, database=clone))
    planting.load(server, clone, problems)
    after = planting.look_at(server, clone, problems)
    before = {(one.rule, one.where) for one in report.findings}
    return Outcome(
        missed=[name for name, hit in hits.items() if hit is None],
        left=[one.name for one in problems if planting.finds(after, one) is not None],
        new=[one.what for one in after.findings if (one.rule, one.where) not in before],
    )
