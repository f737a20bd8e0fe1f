"""Each error that a first-time user of PostgreSQL meets: its class, and that it says what to do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.driver import postgres
from homeostat.errors import (
    AuthenticationError,
    ConfigError,
    ConstraintError,
    DatabaseError,
    DatabaseLockedError,
    DatabaseMissingError,
    DeadlineExceededError,
    HomeostatError,
    HostNotFoundError,
    PermissionRefusedError,
    ReadOnlyDatabaseError,
    RightMissingError,
    SerializationError,
    ServerStartingError,
    ServerUnreachableError,
    StatementError,
    TlsError,
    TooManyConnectionsError,
    UnsupportedVersionError,
)
from tests.servers import PostgresServer, free_port, postgres_directory, running_server, wait_until

pytestmark = pytest.mark.every_postgres

PASSWORD = "hunter2-hunter2"


def self_signed(directory: Path) -> dict[str, str]:
    """Make a certificate for 127.0.0.1; return the server settings that use it."""
    key, certificate = directory / "server.key", directory / "server.crt"
    subprocess.run(
        [
            "openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-out", str(certificate), "-keyout", str(key),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    for path in (key, certificate):
        path.chmod(0o600)
        if os.geteuid() == 0:
            owner = directory.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
    return {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}


@pytest.fixture(scope="module")
def strict_server(pg_version: str) -> Iterator[PostgresServer]:
    """Run a server with TLS and a narrow pg_hba.conf."""
    directory = postgres_directory("homeostat-tls-")
    settings = self_signed(directory)
    with running_server(max_connections=10, settings=settings, version=pg_version) as server:
        for role, extra in (
            ("tls_only", ""),
            ("limited", "CONNECTION LIMIT 1"),
            ("sleeper", ""),
            ("stranger", ""),
        ):
            server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' {extra}")
        server.execute("ALTER ROLE sleeper NOLOGIN")
        server.execute("CREATE DATABASE private")
        server.execute("REVOKE CONNECT ON DATABASE private FROM PUBLIC")
        server.set_access(
            "hostssl all tls_only all scram-sha-256",
            "host all postgres,limited,sleeper,ghost all scram-sha-256",
        )
        yield server
    shutil.rmtree(directory)


def refused(
    url: str, kind: type[HomeostatError], says: str, *, secret: str = PASSWORD, seconds: int = 5
) -> None:
    with pytest.raises(kind, match=says) as caught:
        postgres.connect(url, connect_timeout_seconds=seconds)
    assert type(caught.value) is kind
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value)


def test_host_that_does_not_resolve() -> None:
    url = f"postgresql://u:{PASSWORD}@no-such-host.invalid/d"
    refused(url, HostNotFoundError, "d on no-such-host.invalid:5432: .*does not resolve")


def test_nothing_listens() -> None:
    url = f"postgresql://u:{PASSWORD}@127.0.0.1:{free_port()}/d"
    refused(url, ServerUnreachableError, "Nothing listens")
    refused("postgresql://u@/d?host=/no/such/socket", ServerUnreachableError, "local socket")


def test_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:{port}/d"
        refused(url, ServerUnreachableError, "did not answer in time", seconds=2)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}@{PASSWORD}@h/d",
        f"postgresql://u:12/{PASSWORD}@h/d",
        f"postgresql://u:{PASSWORD}?x=y@h/d",
        f"postgresql://u:12?{PASSWORD}@h/d",
        f"postgresql://u:{PASSWORD}#@h/d",
        f"postgresql://u:{PASSWORD}@h:port/d",
        f"postgresql://u:{PASSWORD}@h/d?no_such_setting=1",
    ],
)
def test_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    refused(url, ConfigError, "percent-encode")


def test_wrong_password(pg_server: PostgresServer) -> None:
    for user in ("postgres", "nobody_here"):
        url = pg_server.url(user=user, password=PASSWORD)
        refused(url, AuthenticationError, "refused the password")


def test_no_password_and_pgpass(
    pg_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{pg_server.port}/postgres"
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    refused(url, AuthenticationError, "none was given.*pgpass")
    (tmp_path / "pgpass").write_text(f"127.0.0.1:*:*:postgres:{pg_server.password}\n")
    (tmp_path / "pgpass").chmod(0o600)
    postgres.connect(url).close()


def test_database_is_missing(pg_server: PostgresServer) -> None:
    refused(pg_server.url("nowhere"), DatabaseMissingError, "nowhere on", secret=pg_server.password)


def test_tls_is_wanted_and_not_offered(pg_server: PostgresServer) -> None:
    url = pg_server.url() + "?sslmode=require"
    refused(url, TlsError, "offers no TLS", secret=pg_server.password)


def test_tls_is_required(strict_server: PostgresServer) -> None:
    url = strict_server.url(user="tls_only", password=PASSWORD)
    refused(url + "?sslmode=disable", TlsError, "Set sslmode=require")
    wire = postgres.connect(url)
    assert wire.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").scalar() is True
    wire.close()


def test_certificate_is_not_trusted(strict_server: PostgresServer) -> None:
    url = strict_server.url(user="tls_only", password=PASSWORD)
    refused(url + "?sslmode=verify-full&sslrootcert=/no/such", TlsError, "sslrootcert")
    certificate = strict_server.settings["ssl_cert_file"]
    if os.geteuid() == 0:  # only root and the server's user may read this one
        good = f"{url}?sslmode=verify-full&sslrootcert={certificate}"
        postgres.connect(good).close()
        wrong_name = good.replace("127.0.0.1", "localhost")
        refused(wrong_name, TlsError, "host name")
    refused(url + "?sslmode=verify-full&sslrootcert=system", TlsError, "not trusted")


def test_address_is_not_let_in(strict_server: PostgresServer) -> None:
    url = strict_server.url(user="stranger", password=PASSWORD)
    refused(url, PermissionRefusedError, r"pg_hba\.conf has no line")


def test_roles_that_cannot_come_in(strict_server: PostgresServer) -> None:
    ghost = strict_server.url(user="ghost", password=PASSWORD)
    refused(ghost, AuthenticationError, "knows no such user")
    sleeper = strict_server.url(user="sleeper", password=PASSWORD)
    refused(sleeper, AuthenticationError, "may not log in")
    private = strict_server.url("private", user="limited", password=PASSWORD)
    refused(private, PermissionRefusedError, "GRANT CONNECT")


def test_no_connection_is_left(strict_server: PostgresServer) -> None:
    url = strict_server.url(user="limited", password=PASSWORD)
    one = postgres.connect(url)
    refused(url, TooManyConnectionsError, "max_connections")
    one.close()
    wires: list[postgres.PostgresWire] = []
    with pytest.raises(TooManyConnectionsError):
        wires.extend(postgres.connect(strict_server.url()) for _ in range(20))
    for wire in wires:
        wire.close()


def test_server_is_shutting_down() -> None:
    with running_server(fsync=False) as server:
        last = postgres.connect(server.url())
        os.kill(server.pid, signal.SIGTERM)  # smart: waits for the last session

        def refuses() -> bool:
            try:
                postgres.connect(server.url()).close()
            except ServerStartingError as error:
                return "Wait some seconds" in str(error)
            return False

        wait_until(refuses, 10, "the server to refuse")
        last.close()


def test_server_is_too_old(pg_server: PostgresServer) -> None:
    with pytest.raises(UnsupportedVersionError, match="the server is 1"):
        postgres.connect(pg_server.url(), version_min=990_000)


def test_another_server_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        web.settimeout(10)

        def answer() -> None:
            client, _ = web.accept()
            with client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"postgresql://u:{PASSWORD}@127.0.0.1:{web.getsockname()[1]}/d"
        refused(url, ServerUnreachableError, "not as a PostgreSQL")
        thread.join(10)


def test_statement_errors_have_a_class_and_no_values(pg_database: str) -> None:
    wire = postgres.connect(pg_database)
    wire.execute("CREATE TABLE t (a text PRIMARY KEY)")
    wire.execute("INSERT INTO t VALUES (:a)", {"a": "hunter2"})
    wire.execute("CREATE ROLE reader")
    cases: list[tuple[str, type[DatabaseError], str]] = [
        ("INSERT INTO t VALUES ('hunter2')", ConstraintError, "t_pkey"),
        ("SELECT 'hunter2'::int", StatementError, "22P02"),
        ("SELEC 'hunter2'", StatementError, "SELEC"),
        ("SELECT 'hunter2", StatementError, "42601"),
        ("SELECT * FROM missing", StatementError, "missing"),
        ("SELECT :a", StatementError, ":a has no value"),
        ("SELECT 1; DROP TABLE t", StatementError, "more than one statement"),
        ("DO $$BEGIN RAISE 'no' USING ERRCODE = '40001'; END$$", SerializationError, "40001"),
    ]
    for sql, kind, says in cases:
        with pytest.raises(kind, match=says) as caught:
            wire.execute(sql)
        assert "hunter2" not in str(caught.value)
    assert wire.execute("SELECT count(*) FROM t").scalar() == 1
    wire.execute("SET ROLE reader")
    with pytest.raises(RightMissingError, match=r"Grant it.*table"):
        wire.execute("SELECT * FROM t")
    wire.execute("RESET ROLE")
    wire.execute("DROP ROLE reader")
    wire.close()


def test_read_only_lock_and_statement_timeout(pg_database: str) -> None:
    owner = postgres.connect(pg_database)
    owner.execute("CREATE TABLE t (a int)")
    owner.begin(write=True)
    owner.execute("LOCK TABLE t")
    probe = postgres.connect(
        pg_database, readonly=True, lock_timeout_ms=50, statement_timeout_ms=200
    )
    with pytest.raises(DatabaseLockedError):
        probe.execute("SELECT * FROM t")
    owner.rollback()
    with pytest.raises(ReadOnlyDatabaseError):
        probe.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(DeadlineExceededError, match="statement_timeout"):
        probe.execute("SELECT pg_sleep(5)")
    probe.close()
    owner.close()


def test_deadlock_asks_for_the_whole_transaction(pg_database: str) -> None:
    wires = [postgres.connect(pg_database) for _ in range(2)]
    wires[0].execute_script("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    for number, wire in enumerate(wires):
        wire.begin(write=True)
        wire.execute("SET LOCAL deadlock_timeout = '50ms'")
        wire.execute("SELECT * FROM t WHERE a = :a FOR UPDATE", {"a": number + 1})
    failed: list[BaseException] = []

    def cross(number: int) -> None:
        try:
            wires[number].execute("SELECT * FROM t WHERE a = :a FOR UPDATE", {"a": 2 - number})
        except SerializationError as error:
            failed.append(error)
            wires[number].rollback()

    threads = [threading.Thread(target=cross, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(failed) == 1
    for wire in wires:
        wire.close()
