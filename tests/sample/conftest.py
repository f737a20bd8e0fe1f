"""The sample app's databases: an empty one for each engine, and a small seeded one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.sample.seed import seed
from tests.servers import PostgresServer

ENGINES = ("sqlite", "postgresql")
USERS = 300


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database (on SQLite: of a file that is not there yet)."""
    if request.param == "sqlite":
        return str(tmp_path / "app.db")
    return str(request.getfixturevalue("pg_database"))


@pytest.fixture
def seeded_url(empty_url: str) -> str:
    """Return the URL of a demo with 300 users."""
    seed(empty_url, users=USERS, clock=ManualClock())
    return empty_url


@pytest.fixture
def other_url(empty_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a second empty database of the same engine."""
    if not empty_url.startswith("postgresql"):
        yield str(tmp_path / "other.db")
        return
    server: PostgresServer = request.getfixturevalue("pg_server")
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)
