"""Fixtures of the data path: a file with a table, a pool on it, a small operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homeostat.access.pool import Pool, PoolLimits
from homeostat.clock import Clock
from homeostat.driver import sqlite
from homeostat.driver.wire import Wire
from tests.access.helpers import SmallOperator

MakePool = Callable[..., Pool]


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
