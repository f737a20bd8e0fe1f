"""Fixtures that every room's tests share; the machinery is in tests/servers.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from tests.servers import PostgresServer, Proxy, running_server


@pytest.fixture(scope="session")
def pg_server() -> Iterator[PostgresServer]:
    """Run one PostgreSQL server for the whole session."""
    with running_server() as server:
        yield server


@pytest.fixture
def pg_database(pg_server: PostgresServer) -> Iterator[str]:
    """Return the URL, with password, of an empty database that is dropped afterwards."""
    name = pg_server.create_database()
    yield pg_server.url(name)
    pg_server.drop_database(name)


@pytest.fixture
def pg_own_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server that the test may stop, kill and configure."""
    with running_server() as server:
        yield server


@pytest.fixture
def pg_proxy(pg_server: PostgresServer) -> Iterator[Proxy]:
    """Run a proxy before the session's server."""
    proxy = Proxy(pg_server.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def sqlite_path(tmp_path: Path) -> Path:
    """Return the path of a new, empty SQLite database in WAL mode."""
    path = tmp_path / "app.db"
    sqlite.connect(path, create=True).close()
    return path
