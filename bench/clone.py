"""Clones: how long one takes against a plain copy, and what the application feels of it.

    uv run python -m bench.clone [--quick] [--json] [--engine sqlite|postgresql]

SQLite: a file of 1 GB (--quick: 60 MB) cloned, checked included, against `cp` in the same run.
PostgreSQL: 1 GB (--quick: 20 MB) cloned to a server of its own, against `cp` of the database's
directory, and `pg_dump | pg_restore` without Homeostat is told beside it. Both at full speed and at
the usual pace. Meanwhile (PostgreSQL: with 200 MB) an application in its own process reads and
writes 200 times a second and reports every two seconds, which clones follow as those of an operator
do; its p95 is compared with that of turns without clones between them. The goal is at most 20 %
more. The same beside reading alone, where PostgreSQL's rows go nowhere: what is left of a clone
with the server for clones on another machine. The same while an index on a table of 400,000 rows is
built, and dropped, once in 30 s as the remedy does it: SQLite's takes about as long as
`tune.stall_ms_max` would still allow, PostgreSQL's is built CONCURRENTLY.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.clone_traffic import REPORT_SECONDS, Span, opened, prepare, traffic
from bench.harness import Figure, Options, main, progress, repeated, rounded
from homeostat.config import CloneConfig
from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire
from homeostat.engine import Engine, Target, Unsupported, open_engine
from homeostat.engine.facets import Clone, IndexSpec
from homeostat.engine.pace import Pace, Strain
from homeostat.engine.postgres_programs import Child
from tests.servers import PostgresServer, running_server

RATE = 200.0
GOAL = 1.2
BUILT = "built"
BUILT_ROWS = 400_000
PLENTY = 10**12
ROW_BYTES = 1000
PATIENCE_SECONDS = 10.0
FELT_MEGABYTES = 200  # of PostgreSQL: one that follows the application takes 10 to 40 s


def figures(options: Options) -> Iterator[Figure]:
    """Yield the figures of both engines."""
    wanted = getattr(options.given, "engine", None) or ""
    if "sqlite".startswith(wanted):
        with tempfile.TemporaryDirectory(dir=os.environ.get("HOMEOSTAT_BENCH_DIR")) as name:
            yield from _sqlite(Path(name), options)
    if "postgresql".startswith(wanted):
        with running_server() as server, running_server() as clones:
            yield from _postgres(server, clones, options)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone takes."""
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), help="only this one")


def _sqlite(directory: Path, options: Options) -> Iterator[Figure]:
    megabytes = 60 if options.quick else 1000
    path = directory / "app.db"
    progress(f"a file of {megabytes} MB")
    prepare(str(path))
    _fill_sqlite(path, megabytes)
    copy = directory / "copy.db"

    def cp() -> None:
        subprocess.run(["cp", path, copy], check=True)
        copy.unlink()

    clones = str(directory / "clones")
    hasty = CloneConfig(directory=clones, copy_bytes_per_second=PLENTY)
    size = {"MB": round(path.stat().st_size / 1e6)}
    with _facet(str(path), hasty) as (engine, facet):
        version = f"sqlite {engine.identity().version}"
        plain = repeated(cp, times=3)
        fast = repeated(lambda: _clone(facet), times=3)
        yield fast.figure(
            "clone.full_speed_seconds", "s", peer=f"cp: {plain.median:.3g} s",
            ratio=fast.median / plain.median, engine=version, parameters=size,
        )  # fmt: skip
    with _facet(str(path), CloneConfig(directory=clones)) as (engine, facet):
        seconds: list[float] = []
        ours = repeated(lambda: seconds.append(_clone(facet)), times=1)
        ratio = ours.median / plain.median
        yield ours.figure(
            "clone.seconds", "s", peer=f"cp: {plain.median:.3g} s", ratio=ratio, engine=version,
            parameters={**size, "of_it_copying_s": round(statistics.median(seconds), 3)},
        )  # fmt: skip
        yield from _felt(str(path), facet, options, version, size)
        yield from _build_felt(str(path), engine, options, version)


def _postgres(server: PostgresServer, clones: PostgresServer, options: Options) -> Iterator[Figure]:
    megabytes = 20 if options.quick else 1000
    name = server.create_database()
    url = server.url(name)
    progress(f"a PostgreSQL database of {megabytes} MB")
    prepare(url)
    wire = postgres.connect(url)
    wire.execute("CREATE TABLE big (id bigint PRIMARY KEY, note text)")
    _prepare_build(wire)
    _fill_postgres(wire, megabytes)
    oid = wire.execute("SELECT oid FROM pg_database WHERE datname = current_database()").scalar()
    wire.close()
    files, copy = server.data / "base" / str(oid), server.directory / "copy"

    def cp() -> None:
        subprocess.run(["cp", "--recursive", files, copy], check=True)
        shutil.rmtree(copy)

    def dump() -> None:
        target = clones.create_database()
        command = (
            f"{server.bin}/pg_dump --format=custom --compress=0 '{url}' | "
            f"{server.bin}/pg_restore --dbname='{clones.url(target)}'"
        )
        subprocess.run(command, shell=True, check=True)
        clones.drop_database(target)

    size: dict[str, float] = {"MB": megabytes}
    usual = CloneConfig(url=clones.url(), programs=str(server.bin))
    hasty = msgspec.structs.replace(usual, dump_bytes_per_second=PLENTY)
    with _facet(url, hasty) as (engine, facet):
        version = f"postgresql {engine.identity().version}"
        plain = repeated(cp, times=3)
        dumped = repeated(dump, times=2)
        size["dump_restore_s"] = rounded(dumped.median)
        fast = repeated(lambda: _clone(facet), times=2)
        yield fast.figure(
            "clone.full_speed_seconds", "s", peer=f"cp: {plain.median:.3g} s",
            ratio=fast.median / plain.median, engine=version, parameters=size,
        )  # fmt: skip
    with _facet(url, usual) as (engine, facet):
        ours = repeated(lambda: _clone(facet), times=1)
        yield ours.figure(
            "clone.seconds", "s", peer=f"cp: {plain.median:.3g} s",
            ratio=ours.median / plain.median, engine=version, parameters=size,
        )  # fmt: skip
        megabytes = min(megabytes, FELT_MEGABYTES)
        size = {"MB": megabytes}
        wire = postgres.connect(url)
        wire.execute("TRUNCATE big")
        _fill_postgres(wire, megabytes)
        wire.close()
        yield from _felt(url, facet, options, version, size)
        yield _reading_felt(url, server.bin, usual, options, version)
        yield from _build_felt(url, engine, options, version)


@contextmanager
def _facet(url: str, config: CloneConfig) -> Iterator[tuple[Engine, Clone]]:
    engine = open_engine(Target(url, clone=config))
    facet = engine.clone
    if isinstance(facet, Unsupported):
        raise TypeError(f"{facet.reason} {facet.mend}")
    try:
        yield engine, facet
    finally:
        engine.close()


def _clone(facet: Clone, strain: Strain | None = None) -> float:
    made = facet.create(owner="bench", expires_seconds=3600, bytes_max=PLENTY, strain=strain)
    facet.drop(made.name)
    return made.seconds


def _prepare_build(wire: Wire) -> None:
    """Make the table of which an index is built."""
    wire.execute(f"CREATE TABLE {BUILT} (id INTEGER PRIMARY KEY, part INTEGER, note TEXT)")
    numbers = {
        "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < :rows) ",
        "postgresql": "WITH n (i) AS (SELECT generate_series(1, CAST(:rows AS int))) ",
    }[wire.dialect]
    sql = f"INSERT INTO {BUILT} {numbers}SELECT i, (i % 20011) * 5003 % 100003, 'a note' FROM n"
    wire.execute(sql, {"rows": BUILT_ROWS})


def _felt(
    url: str, facet: Clone, options: Options, version: str, size: Mapping[str, float]
) -> Iterator[Figure]:
    """Yield the application's p95 while clones are made that follow it, against that between."""
    progress(f"traffic without and with clones ({version})")
    seconds: list[float] = []

    def clone(strain: Strain) -> None:
        seconds.append(_clone(facet, strain))

    yield _compared(
        "clone.foreground_p95", url, clone, options, version,
        parameters=lambda: {**size, "clones": len(seconds), "clone_s": _middle(seconds)},
    )  # fmt: skip


def _reading_felt(
    url: str, programs: Path, config: CloneConfig, options: Options, version: str
) -> Figure:
    """Return the application's p95 beside the reading half of a clone alone.

    It is what is left of a clone where the server for clones has a machine of its own.
    """
    progress(f"traffic without and with reading ({version})")
    command: list[str | Path] = [programs / "pg_dump", "--format=custom", "--compress=0"]

    def read(strain: Strain) -> None:
        pace = Pace(config.dump_bytes_per_second, strain=strain)
        dump = Child(command, url=url, reads=False, writes=True)
        moved = 0
        while data := dump.read():
            moved += len(data)
            pace.keep(moved)
        said = dump.finish(seconds=PATIENCE_SECONDS)
        if said:
            raise RuntimeError(said)

    return _compared(
        "clone.reading_p95", url, read, options, version,
        parameters=lambda: {"bytes_per_second_max": config.dump_bytes_per_second},
    )  # fmt: skip


def _build_felt(url: str, engine: Engine, options: Options, version: str) -> Iterator[Figure]:
    """Yield the application's p95 while an index is built and dropped, against that between."""
    maintain = engine.maintain
    if isinstance(maintain, Unsupported):
        raise TypeError(f"{maintain.reason} {maintain.mend}")
    spec = IndexSpec(BUILT, ("part",), "bench_built")
    seconds: list[float] = []
    wire = opened(url)

    def build(_: Strain) -> None:
        seconds.append(maintain.create_index(spec, wire=wire, deadline_ms=None))
        maintain.drop_index(spec.name, wire=wire)

    progress(f"traffic without and with a build ({version})")
    yield _compared(
        "build.foreground_p95", url, build, options, version, once=True,
        parameters=lambda: {"rows": BUILT_ROWS, "build_s": _middle(seconds)},
    )  # fmt: skip
    wire.close()


def _compared(
    name: str,
    url: str,
    beside: Callable[[Strain], None],
    options: Options,
    version: str,
    *,
    parameters: Callable[[], dict[str, Any]],
    once: bool = False,
) -> Figure:
    """Return the p95 with something going on beside the application, against that without.

    Turns of both follow each other, so what others do on the machine meets both. A turn beside
    which something is done once lasts as long as one without.
    """
    turn = 3.0 if options.quick else 15.0 if not once else 30.0
    rounds = 1 if options.quick else 2
    calm: list[Span] = []
    busy: list[Span] = []
    pause = threading.Event()
    with traffic(url, RATE) as running:
        told = 0.2 if options.quick else REPORT_SECONDS  # until the turn's calls have been told
        for _ in range(rounds):
            began = time.time()
            pause.wait(turn + told)
            calm.append((began, began + turn))
            began = time.time()
            while True:
                beside(lambda: running.strain(calm[-1]))
                if once:
                    pause.wait(began + turn - time.time())
                if time.time() >= began + turn:
                    break
            busy.append((began, time.time()))
        running.end()
        without, during = running.p95(calm), running.p95(busy)
    seconds = sum(end - start for start, end in busy)
    return Figure(
        name, during, "ms", peer=f"without: {without:.3g} ms", ratio=during / without,
        engine=version, parameters={**parameters(), "seconds": round(seconds, 1), "goal": GOAL},
    )  # fmt: skip


def _middle(seconds: list[float]) -> float:
    return round(statistics.median(seconds), 3)


def _fill_postgres(wire: Wire, megabytes: int) -> None:
    wire.execute(
        "INSERT INTO big SELECT i, repeat(md5(i::text), 31) FROM generate_series(1, :rows) i",
        {"rows": megabytes * 1000},
    )
    wire.execute("CHECKPOINT")


def _fill_sqlite(path: Path, megabytes: int) -> None:
    wire = sqlite.connect(path, synchronous="NORMAL")
    wire.execute("CREATE TABLE big (id INTEGER PRIMARY KEY, note BLOB)")
    step = 20_000
    for first in range(0, megabytes * 1_000_000 // ROW_BYTES, step):
        wire.execute(
            "INSERT INTO big WITH RECURSIVE n (x) AS (SELECT :first UNION ALL SELECT x + 1 FROM n "
            "WHERE x < :last) SELECT x, randomblob(960) FROM n",
            {"first": first, "last": first + step - 1},
        )
    _prepare_build(wire)
    wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    wire.close()


if __name__ == "__main__":
    main(figures, about=__doc__ or "", arguments=arguments)
