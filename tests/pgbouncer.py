"""A real PgBouncer for tests, in a directory of its own, stopped by its own process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from homeostat.driver import pgbouncer
from scripts import copies, newest_pgbouncer
from tests.servers import (
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    PostgresServer,
    free_port,
    postgres_directory,
    spawn_as_postgres,
    wait_until,
)


def program() -> list[str]:
    """Return how PgBouncer is started."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        message = "PgBouncer is not installed: apt-get install pgbouncer"
        raise RuntimeError(message)
    return [found]


def newest_program() -> list[str]:
    """Return how one is started that keeps prepared statements apart; skip without."""
    found = newest_pgbouncer.command()
    if found is None:
        pytest.skip("no PgBouncer 1.21 or newer; scripts/test --only packages fetches one")
    return found


class PgBouncer:
    """A PgBouncer in transaction mode before a server.

    Attributes:
        port: on 127.0.0.1.
        ini: its configuration; `postgres` may use the console, with the server's password.
    """

    def __init__(
        self,
        server: PostgresServer,
        *,
        program: list[str],
        name: str = "*",
        database: str = "",
        **settings: str,
    ) -> None:
        """Write the configuration.

        Args:
            server: what it leads to.
            program: how it is started.
            name: the database that its one line is for.
            database: what is added to every database's line, e.g. `pool_size=2`.
            settings: added to those of pgbouncer.ini.
        """
        self.port = free_port()
        self._server = server
        self._program = program
        self._waits_on_term = copies.version(program) >= (1, 23)  # for its clients
        self._directory = postgres_directory("homeostat-pgbouncer-")
        self.ini = self._directory / "pgbouncer.ini"
        self._log = self._directory.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self._directory / "users"),
            "admin_users": "postgres",
            "pool_mode": "transaction",
            **settings,
        }
        self._write("users", f'"postgres" "{server.password}"\n')
        ini = f"[databases]\n{name} = host=127.0.0.1 port={server.port} {database}".rstrip()
        ini += "\n[pgbouncer]\n"
        self._write("pgbouncer.ini", ini + "".join(f"{k} = {v}\n" for k, v in lines.items()))

    def _write(self, name: str, text: str) -> None:
        path = self._directory / name
        path.write_text(text)
        path.chmod(0o640)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = spawn_as_postgres([*self._program, str(self.ini)], log=self._log)
        wait_until(self._answers, START_SECONDS_MAX, "PgBouncer to start")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Stop it at once, and wait for its end."""
        how = signal.SIGQUIT if self._waits_on_term else signal.SIGTERM
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(STOP_SECONDS_MAX)

    def command(self, text: str) -> None:
        """Say something at the console, such as RECONNECT."""
        address = self.console.replace("postgres@", f"postgres:{self._server.password}@")
        wire = pgbouncer.connect(address, application_name="tests")
        try:
            wire.execute(text)
        finally:
            wire.close()

    def restart(self) -> None:
        """Stop it and start it again on the same port."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop it and delete its directory."""
        self.stop()
        self._log.unlink(missing_ok=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def log(self) -> str:
        """Return what it said."""
        return self._log.read_text()

    def url(self, direct: str) -> str:
        """Return the URL through the pooler for one that leads to the server itself."""
        return direct.replace(f":{self._server.port}/", f":{self.port}/")

    @property
    def console(self) -> str:
        """Return the URL of the console, without a password."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/pgbouncer"


@contextlib.contextmanager
def running_pgbouncer(
    server: PostgresServer,
    *,
    name: str = "*",
    database: str = "",
    newest: bool = False,
    **settings: str,
) -> Iterator[PgBouncer]:
    """Run a PgBouncer in the context: the system's, or the newest there is; see PgBouncer."""
    how = newest_program() if newest else program()
    pooler = PgBouncer(server, program=how, name=name, database=database, **settings)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.remove()
