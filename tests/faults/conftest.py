"""What the tests of faults share."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from tests.faults.writers import prepare
from tests.servers import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a database of each engine with the tables that are written to."""
    found = str(tmp_path / "app.db")
    if request.param == "postgresql":
        found = request.getfixturevalue("pg_database")
    prepare(found)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Return what makes an empty database; each can have one operator only."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("pg_server")
        return lambda: server.url(server.create_database())
    numbers = itertools.count()

    def new_file() -> str:
        path = tmp_path / f"app-{next(numbers)}.db"
        sqlite.connect(path, create=True).close()
        return str(path)

    return new_file
