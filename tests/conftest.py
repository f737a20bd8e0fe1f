"""Fixtures that every room's tests share; the machinery is in tests/servers.py."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeostat.driver import sqlite
from tests.servers import (
    OURS,
    PostgresServer,
    Proxy,
    remove_initialised,
    running_server,
    versions,
)


def pytest_configure() -> None:
    """Hear Ctrl-C, also where the run was started in the background: its programs inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Leave nothing of the servers behind."""
    remove_initialised()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `every_postgres` on each version that is here."""
    marked = metafunc.definition.get_closest_marker("every_postgres") is not None
    if marked and "pg_version" in metafunc.fixturenames:
        # through the fixture: else a test without the mark would be given the server of the last
        metafunc.parametrize("pg_version", versions(), indirect=True, scope="session")


@pytest.fixture(scope="session")
def pg_version(request: pytest.FixtureRequest) -> str:
    """Return which PostgreSQL the test runs on; see `every_postgres`."""
    return str(getattr(request, "param", OURS))


@pytest.fixture(scope="session")
def pg_servers() -> Iterator[Callable[[str], PostgresServer]]:
    """Return the session's server of a version; it is started when it is first asked for.

    It does not wait for the disk (fsync is off): that was half of what making and dropping each
    test's database took. A test that looks at such settings has a server of its own.
    """
    with ExitStack() as stack:
        running: dict[str, PostgresServer] = {}

        def get(version: str) -> PostgresServer:
            if version not in running:
                running[version] = stack.enter_context(running_server(fsync=False, version=version))
            return running[version]

        yield get


@pytest.fixture(scope="session")
def pg_server(pg_servers: Callable[[str], PostgresServer], pg_version: str) -> PostgresServer:
    """Return the one PostgreSQL server of the whole session."""
    return pg_servers(pg_version)


@pytest.fixture
def pg_database(pg_server: PostgresServer) -> Iterator[str]:
    """Return the URL, with password, of an empty database that is dropped afterwards."""
    name = pg_server.create_database()
    yield pg_server.url(name)
    pg_server.drop_database(name)


@pytest.fixture
def pg_own_server(pg_version: str) -> Iterator[PostgresServer]:
    """Run a PostgreSQL server that the test may stop, kill and configure."""
    with running_server(version=pg_version) as server:
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
