"""Clones of a PostgreSQL database: databases of their own on the server that [clone] url names.

A clone is filled by pg_dump and pg_restore, or, above [clone] sample_bytes, with a sample of the
rows (postgres_sample.py). Its database's comment says what it is, its creator
holds an advisory lock while it is made: a clone that is not ready and whose lock is free is a
leftover, whoever made it. The source is only read, in one snapshot; as soon as another session
waits for a lock of the copy, that is ended (postgres_guard.py).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import quote

import msgspec

from homeostat.clock import Clock
from homeostat.config import CloneConfig
from homeostat.driver import postgres
from homeostat.driver.postgres import PostgresWire
from homeostat.driver.tokens import quoted
from homeostat.driver.wire import Wire
from homeostat.engine.clone_shelf import new_name
from homeostat.engine.engine import Unsupported
from homeostat.engine.facets import CloneInfo
from homeostat.engine.pace import UNBOUNDED, Bounds, Pace, Strain
from homeostat.engine.postgres_control import lock_number
from homeostat.engine.postgres_guard import Guard
from homeostat.engine.postgres_programs import Child, Programs, find_programs, pump
from homeostat.engine.postgres_sample import Sample
from homeostat.errors import (
    CloneRefusedError,
    ConnectionLostError,
    HomeostatError,
    NotFoundError,
    RightMissingError,
    StatementError,
)
from homeostat.secret import Secret, with_password, without_password

PREFIX = "homeostat_clone_"
APPLICATION = "homeostat clone"
# what a crash loses is a leftover anyway; what is written goes to the disk bit by bit, since the
# application's commits wait behind a burst; an index is built by one process and not by three
RESTORE_OPTIONS = (
    "-c synchronous_commit=off -c backend_flush_after=256kB -c max_parallel_maintenance_workers=0"
)
# it tells of the server, not of the data, and only superusers may make it
STATISTICS_EXTENSION = "pg_stat_statements"
_NAME = re.compile(rf"{PREFIX}[a-z0-9_]+_[0-9a-f]{{12}}\Z")
LOCK_WAIT_MS = 10_000  # pg_dump's wait for a table that is being altered
_CLONES = """
SELECT d.datname AS name, shobj_description(d.oid, 'pg_database') AS said,
       coalesce(pg_database_size(d.oid), 0)::int8 AS bytes
FROM pg_database d WHERE starts_with(d.datname, :prefix) ORDER BY d.datname
"""
_SOURCE = """
SELECT pg_database_size(d.oid)::int8 AS bytes, pg_encoding_to_char(d.encoding) AS encoding,
       d.datcollate AS collate, d.datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider,  -- from version 15 on
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       current_setting('server_version_num')::int / 10000 AS major
FROM pg_database d WHERE d.datname = current_database()
"""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the comment of a clone's database says."""

    homeostat_clone: str  # the key of its source
    owner: str
    created: float
    expires: float
    ready: bool = False
    share: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Copy:
    """What bounds one copy: what ends it at any time, and what is called with the bytes moved."""

    guard: Guard
    limit: Callable[[int], None]


class PostgresClone:
    """Facet: copies to try things on."""

    def __init__(
        self,
        *,
        source: str,
        url: Callable[[], str],
        connect: Callable[..., PostgresWire],
        programs: Programs,
        config: CloneConfig,
        clock: Clock,
    ) -> None:
        """Take where the source and the server for clones are.

        Args:
            source: the database's key.
            url: returns its URL with password.
            connect: opens a connection to it; takes a purpose and limits of `postgres.connect`.
            programs: pg_dump and pg_restore.
            config: the server for clones, budgets.
            clock: tells when clones expire.
        """
        self._source = source
        self._url = url
        self._connect = connect
        self._programs = programs
        self._config = config
        self._clock = clock
        self._making = threading.Lock()

    def create(
        self,
        *,
        owner: str,
        expires_seconds: float,
        bytes_max: int,
        strain: Strain | None = None,
        bounds: Bounds = UNBOUNDED,
    ) -> CloneInfo:
        """Copy the database; see `facets.Clone`."""
        bounds.check()
        bytes_max = int(min(bytes_max, bounds.bytes_max, self._config.bytes_max))
        with self._making, self._server() as server:
            self._collect(server, frozenset())
            there = [name for name, mark, _ in self._marked(server) if self._ours(mark)]
            if len(there) >= self._config.count_max:
                message = "There are as many clones as [clone] count_max allows. Drop one first."
                raise CloneRefusedError(message, where=server.label)
            source = self._described()
            self._refuse(source, server, bytes_max)
            name = PREFIX + new_name(owner)
            lock = {"number": lock_number(name)}
            server.execute("SELECT pg_advisory_lock(:number)", lock)
            try:
                with closing(self._guard(name, bounds)) as guard:
                    guard.start()
                    copy = _Copy(guard, self._limit(bytes_max, strain, bounds, guard))
                    return self._create(server, name, source, owner, expires_seconds, copy)
            except BaseException:
                if not server.broken:
                    with suppress(HomeostatError):
                        _drop(server, name)
                raise

    def holds_up(self) -> str:
        """Return nothing: reads and writes go on beside a copy.

        It holds ACCESS SHARE on every table, which changes of tables wait for, and everybody
        behind those: it is ended within a second of somebody beginning to wait.
        """
        return ""

    def list(self) -> Sequence[CloneInfo]:
        """Return the clones of this database that exist and are complete."""
        with self._server() as server:
            return [
                self._info(name, mark, size)
                for name, mark, size in self._marked(server)
                if mark is not None and self._ours(mark) and mark.ready
            ]

    @contextmanager
    def connect(self, name: str) -> Iterator[Wire]:
        """Yield a read-write connection to a clone.

        Raises:
            NotFoundError: there is no such clone.
        """
        if all(one.name != name for one in self.list()):
            raise NotFoundError("There is no clone of this name.", where=name)
        wire = postgres.connect(self._clone_url(name), application_name=f"{APPLICATION} {name}")
        try:
            yield wire
        finally:
            wire.close()

    def drop(self, name: str) -> bool:
        """Remove a clone, with the connections to it; return whether it was there."""
        with self._server() as server:
            for there, mark, _ in self._marked(server):
                if there == name and self._ours(mark):
                    _drop(server, name)
                    return True
        return False

    def collect(self, *, owners: frozenset[str] = frozenset()) -> int:
        """Remove expired clones, leftovers of killed copies, and clones of the owners given."""
        with self._server() as server:
            return self._collect(server, owners)

    def _collect(self, server: PostgresWire, owners: frozenset[str]) -> int:
        now = self._clock.now()
        gone = 0
        for name, mark, _ in self._marked(server):
            owned = mark is not None and self._ours(mark) and mark.owner in owners
            expired = mark is not None and mark.ready and mark.expires <= now
            left = (mark is None or not mark.ready) and _free(server, name)
            if owned or expired or left:
                _drop(server, name)
                gone += 1
        return gone

    def _create(
        self,
        server: PostgresWire,
        name: str,
        source: dict[str, Any],
        owner: str,
        expires_seconds: float,
        copy: _Copy,
    ) -> CloneInfo:
        now = self._clock.now()
        began = perf_counter()
        server.execute(
            f"CREATE DATABASE {quoted(name)} TEMPLATE template0 "
            f"ENCODING {_text(source['encoding'])} LC_COLLATE {_text(source['collate'])} "
            f"LC_CTYPE {_text(source['ctype'])}{_provider(source)}"
        )
        mark = Mark(
            homeostat_clone=self._source, owner=owner, created=now, expires=now + expires_seconds
        )
        _comment(server, name, mark)
        share = self._fill(name, source, copy)
        clone = postgres.connect(self._clone_url(name), application_name=APPLICATION)
        try:
            with copy.guard.stopping(clone.cancel):
                clone.execute("ANALYZE")
            size = int(str(clone.execute("SELECT pg_database_size(current_database())").scalar()))
        finally:
            clone.close()
        seconds = perf_counter() - began
        done = msgspec.structs.replace(mark, ready=True, seconds=seconds, share=share)
        _comment(server, name, done)
        return self._info(name, done, size)

    def _guard(self, name: str, bounds: Bounds) -> Guard:
        return Guard(
            self._connect("clone", readonly=True),
            application=_application(name),
            bounds=bounds,
            seconds_max=min(self._config.seconds_max, bounds.seconds_max),
        )

    def _limit(
        self, bytes_max: int, strain: Strain | None, bounds: Bounds, guard: Guard
    ) -> Callable[[int], None]:
        """Return what ends a copy that grows too large, and keeps its pace."""
        budget = self._config.dump_bytes_per_second
        pace = Pace(budget, strain=strain, bounds=bounds, check=guard.check)

        def check(moved: int) -> None:
            if moved > bytes_max:
                raise CloneRefusedError(detail=f"past {bytes_max} bytes")
            guard.check()
            pace.keep(moved)

        return check

    def _fill(self, name: str, source: dict[str, Any], copy: _Copy) -> float:
        """Copy everything, or a sample; return the share of the rows that came."""
        if not self._sampled(source):
            self._dump(name, (), copy)
            return 1.0
        reader = self._connect("clone", readonly=True)
        writer = postgres.connect(self._clone_url(name), application_name=APPLICATION)
        try:
            reader.begin(write=False)
            reader.execute(
                "SELECT set_config('application_name', :name, true)", {"name": _application(name)}
            )
            reader.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            reader.execute("SET LOCAL statement_timeout = 0")  # the guard ends what takes long
            moment = f"--snapshot={reader.execute('SELECT pg_export_snapshot()').scalar()}"
            self._dump(name, ("--section=pre-data", moment), copy)
            wanted = self._config.sample_bytes
            with copy.guard.stopping(writer.cancel):
                share = Sample(reader, writer, bytes_wanted=wanted, go_on=copy.limit).copy()
            self._dump(name, ("--section=post-data", moment), copy)
        except (StatementError, ConnectionLostError) as error:
            if isinstance(error, RightMissingError):
                raise
            message = (
                "A table could not be copied, as one that is altered meanwhile. Copy again, or "
                "mend the cause named."
            )
            raise CloneRefusedError(message, where=error.where, detail=error.detail) from error
        finally:
            writer.close()
            reader.close()
        return share

    def _sampled(self, source: dict[str, Any]) -> bool:
        return 0 < self._config.sample_bytes < int(source["bytes"])

    def _dump(self, name: str, options: Sequence[str], copy: _Copy) -> None:
        dump = Child(
            [
                self._programs.dump, "--format=custom", "--compress=0", "--no-owner",
                "--no-privileges", "--no-publications", "--no-subscriptions",
                f"--lock-wait-timeout={LOCK_WAIT_MS}", *options,
            ],
            url=without_application(self._url()), reads=False, writes=True,
            application=_application(name),
        )  # fmt: skip
        restore = Child(
            [self._programs.restore, "--format=custom", "--no-owner", "--no-privileges"],
            url=self._clone_url(name), reads=True, writes=False, options=RESTORE_OPTIONS,
            pardoned=STATISTICS_EXTENSION,
        )  # fmt: skip

        def end() -> None:
            dump.process.kill()
            restore.process.kill()

        with copy.guard.stopping(end):
            pump(dump, restore, copy.limit, seconds_max=copy.guard.seconds_left)

    def _described(self) -> dict[str, Any]:
        wire = self._connect("clone", readonly=True)
        try:
            return dict(wire.execute(_SOURCE).dicts()[0])
        finally:
            wire.close()

    def _refuse(self, source: dict[str, Any], server: PostgresWire, bytes_max: int) -> None:
        if source["bytes"] > bytes_max and not self._sampled(source):
            message = (
                "The database is larger than clones may be. Raise [clone] bytes_max, or let the "
                "clone be a sample: [clone] sample_bytes."
            )
            detail = f"{source['bytes']} bytes, {bytes_max} allowed"
            raise CloneRefusedError(message, where=server.label, detail=detail)
        target = server.server_version // 10_000
        if self._programs.major < source["major"]:
            message = (
                f"pg_dump is of version {self._programs.major}, the server of {source['major']}. "
                f"Install the client programs of {source['major']}, or set [clone] programs."
            )
            raise CloneRefusedError(message, where=server.label)
        if target < source["major"]:
            message = (
                f"The server for clones is of version {target}, the database's of "
                f"{source['major']}. Give a server of {source['major']} as [clone] url."
            )
            raise CloneRefusedError(message, where=server.label)

    @contextmanager
    def _server(self) -> Iterator[PostgresWire]:
        wire = postgres.connect(self._server_url(), application_name=APPLICATION)
        try:
            wire.execute("SET idle_session_timeout = 0")
            yield wire
        finally:
            wire.close()

    def _server_url(self) -> str:
        given = self._config.password
        return with_password(self._config.url, Secret.parse(given).resolve() if given else None)

    def _clone_url(self, name: str) -> str:
        return with_database(self._server_url(), name)

    def _marked(self, server: PostgresWire) -> Sequence[tuple[str, Mark | None, int]]:
        rows = server.execute(_CLONES, {"prefix": PREFIX}).rows
        return [
            (str(name), _mark(said), int(str(size)))
            for name, said, size in rows
            if _NAME.match(str(name))
        ]

    def _ours(self, mark: Mark | None) -> bool:
        return mark is not None and mark.homeostat_clone == self._source

    def _info(self, name: str, mark: Mark, size: int) -> CloneInfo:
        return CloneInfo(
            name, self._source, with_database(without_password(self._config.url), name), size,
            mark.share, mark.seconds, mark.created, mark.expires, mark.owner,
        )  # fmt: skip


def find_clone(
    *,
    source: str,
    url: Callable[[], str],
    connect: Callable[..., PostgresWire],
    config: CloneConfig,
    clock: Clock,
) -> PostgresClone | Unsupported:
    """Return the facet, or why there can be no clones and what would make them possible."""
    if not config.url:
        return Unsupported(
            "No server for clones is configured.",
            'Set [clone] url = "postgresql://USER@HOST/postgres"; its role needs CREATEDB.',
        )
    programs = find_programs(config.programs)
    if programs is None:
        return Unsupported(
            "pg_dump and pg_restore are not installed on this machine.",
            "Install PostgreSQL's client programs, or set [clone] programs to their directory.",
        )
    return PostgresClone(
        source=source, url=url, connect=connect, programs=programs, config=config, clock=clock
    )


def with_database(url: str, name: str) -> str:
    """Return a `postgresql://` URL that leads to another database of the same server."""
    scheme, _, rest = url.partition("://")
    rest, mark, query = rest.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("dbname="))
    return f"{scheme}://{rest.partition('/')[0]}/{quote(name)}" + (f"{mark}{kept}" if kept else "")


def without_application(url: str) -> str:
    """Return a `postgresql://` URL that leaves the name of the session to the environment."""
    rest, _, query = url.partition("?")
    name = "application_name="
    kept = "&".join(part for part in query.split("&") if part and not part.startswith(name))
    return rest + (f"?{kept}" if kept else "")


def _application(name: str) -> str:
    """Return what the sessions that read the source for one clone are called."""
    return f"{APPLICATION} {name[-12:]}"  # the clone's own random digits


def _provider(source: Mapping[str, Any]) -> str:
    """Return what CREATE DATABASE needs besides for a locale that is not the C library's."""
    if source["provider"] == "i":
        return f" LOCALE_PROVIDER icu ICU_LOCALE {_text(source['locale'])}"
    if source["provider"] == "b":
        return f" LOCALE_PROVIDER builtin BUILTIN_LOCALE {_text(source['locale'])}"
    return ""


def _mark(said: object) -> Mark | None:
    if not isinstance(said, str):
        return None
    try:
        return msgspec.json.decode(said, type=Mark)
    except msgspec.MsgspecError:
        return None


def _comment(server: PostgresWire, name: str, mark: Mark) -> None:
    text = msgspec.json.encode(mark).decode()
    server.execute(f"COMMENT ON DATABASE {quoted(name)} IS {_text(text)}")


def _free(server: PostgresWire, name: str) -> bool:
    """Return whether nobody is making this clone; its maker's session holds the lock."""
    lock = {"number": lock_number(name)}
    if not server.execute("SELECT pg_try_advisory_lock(:number)", lock).scalar():
        return False
    server.execute("SELECT pg_advisory_unlock(:number)", lock)
    return True


def _drop(server: PostgresWire, name: str) -> None:
    server.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
