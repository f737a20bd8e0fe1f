"""Fixtures of the data path: a file with a table, a pool on it, a small operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.access import AgentOptions, Database
from homeostat.access.limits import PoolLimits
from homeostat.access.pool import Pool
from homeostat.clock import Clock
from homeostat.driver import sqlite
from homeostat.driver.wire import Wire
from tests.access.helpers import READ, SmallOperator

MakePool = Callable[..., Pool]
MakeDatabase = Callable[..., Database]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "application.db"
    wire = sqlite.connect(path, create=True)
    wire.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, owner TEXT, text TEXT)")
    wire.close()
    return path


@pytest.fixture
def make_pool(file: Path) -> Iterator[MakePool]:
    """Return what makes pools on the file; they are closed in the end."""
    pools: list[Pool] = []

    def make(
        limit: int, *, clock: Clock | None = None, connect: Callable[[], Wire] | None = None
    ) -> Pool:
        pool = Pool(
            connect or (lambda: sqlite.connect(file, busy_ms=5000)),
            limits=PoolLimits(limit=limit),
            clock=clock,
        )
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.close(drain_seconds=0.0)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[SmallOperator]:
    """Return a small operator that is not started yet."""
    one = SmallOperator(tmp_path / "operator")
    yield one
    one.stop()


@pytest.fixture
def make_database(file: Path, operator: SmallOperator) -> Iterator[MakeDatabase]:
    """Return what opens databases whose agents look for the small operator."""
    databases: list[Database] = []

    def make(limit: int = 2, **rest: object) -> Database:
        options = AgentOptions(directory=operator.directory, timeout_seconds=0.3)
        database = Database.open(
            file, pool=PoolLimits(limit=limit), agent=options, operations=[READ],
            **rest,  # type: ignore[arg-type]
        )  # fmt: skip
        databases.append(database)
        return database

    yield make
    for database in databases:
        database.close(drain_seconds=0)
