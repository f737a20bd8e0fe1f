"""From trouble to kept: how long the demo's operator takes to find, prove, mend and measure.

Each trouble in a demo of its own, with the demo's shortened windows, on both engines:

- `index`: an index is dropped; the missing index is proven on a copy, built, and kept.
- `pool`: a slow partner exhausts the pool; it is made larger and kept.

The moments are the operator's own: the trouble's beginning from the audit log, then when the
finding opened and when the remedy was proposed, applied and kept, from the logbook. Wall-clock: the
windows to measure before and after are most of it (12 s each, with 4 s to settle). PostgreSQL is
started by the tests' fixtures, so this needs `uv run --group dev python -m bench.story`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.demo import demo
from bench.harness import Figure, Options, main, progress, rounded
from bench.processes import wait_for
from homeostat.cli.client import Client
from homeostat.clock import SystemClock
from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord
from homeostat.secret import split_password
from tests.servers import running_server

USERS = 100_000
USERS_QUICK = 2_000
START_SECONDS_MAX = 120.0
STORY_SECONDS_MAX = 120.0
STORY_SECONDS_MAX_QUICK = 60.0
KEPT_GOAL_SECONDS = 90.0
STORIES = {"index": ("dropped-index", "create-index"), "pool": ("idle-holders", "grow-pool")}


@dataclass(frozen=True, slots=True)
class Place:
    """A database for the demo: how it is told of it."""

    arguments: tuple[str, ...] = ()
    environment: dict[str, str] | None = None


@contextmanager
def place(dialect: str) -> Iterator[Place]:
    """Yield an empty database: a file of the demo's own, or one of a new server."""
    if dialect == "sqlite":
        yield Place()
        return
    with running_server() as server:
        url, password = split_password(server.url(server.create_database()))
        yield Place(
            ("--engine", "postgresql", "--url", url),
            {"PGPASSWORD": password or ""},
        )


def moments(data: Path, trouble: str, key: str, *, patience: float) -> dict[str, float]:
    """Return seconds from the trouble's beginning to found, proposed, applied, and to its end.

    Raises:
        RuntimeError: the remedy did not end in time, or was not kept.
    """
    client = Client(data)

    def ended() -> RemedyRecord | None:
        return next((one for one in client.remedies() if one.key == key and one.ended), None)

    wait_for(ended, patience, f"the end of {key}")
    record = ended()
    if record is None or record.state != "kept" or record.applied is None or record.ended is None:
        message = f"{key} was not kept: {record.verdict if record else 'nothing was proposed'}"
        raise RuntimeError(message)
    view = client.remedy(record.id)
    began = _began(data, trouble)
    opened = record.proposed if view.finding is None else view.finding.opened
    found = {"found": opened, "proposed": record.proposed}
    found |= {"applied": record.applied, "kept": record.ended}
    return {name: at - began for name, at in found.items()}


def _began(data: Path, trouble: str) -> float:
    """Return when the audit log says that the trouble was switched on."""
    book = Logbook.open(data / "logbook.db", clock=SystemClock(), readonly=True)
    try:
        entries = book.audit(limit=1000)
    finally:
        book.close()
    return min(one.at for one in entries if (one.action, one.subject) == ("trouble on", trouble))


def figures(options: Options) -> Iterator[Figure]:
    """Tell each story on each engine; `--quick` tells that of the pool on SQLite."""
    users = USERS_QUICK if options.quick else USERS
    patience = STORY_SECONDS_MAX_QUICK if options.quick else STORY_SECONDS_MAX
    for dialect in ("sqlite",) if options.quick else ("sqlite", "postgresql"):
        for name in ("pool",) if options.quick else STORIES:
            yield from tell(name, dialect, users=users, patience=patience)


def tell(name: str, dialect: str, *, users: int, patience: float) -> Iterator[Figure]:
    """Tell one story; yield its moments."""
    trouble, key = STORIES[name]
    load = os.getloadavg()[0]
    progress(f"{trouble} on {dialect}, {users} users")
    with place(dialect) as where, tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        arguments = ("--trouble", trouble, *where.arguments)
        with demo(
            data,
            *arguments,
            users=users,
            seconds=START_SECONDS_MAX,
            environment=where.environment,
        ):
            seconds = moments(data, trouble, key, patience=patience)
            engine = _engine(data)
    yield from _figures(name, seconds, engine, {"users": users, "load_average": rounded(load)})


def _engine(data: Path) -> str:
    one = Client(data).status().databases[0]
    return f"{one.dialect} {one.version}"


def _figures(
    name: str, seconds: dict[str, float], engine: str, parameters: dict[str, float]
) -> Iterator[Figure]:
    for moment, value in seconds.items():
        goal = KEPT_GOAL_SECONDS if moment == "kept" else None
        yield Figure(
            f"story.{name}.{moment}",
            value,
            "s",
            peer="" if goal is None else f"the goal of at most {goal:g} s",
            ratio=None if goal is None else value / goal,
            engine=engine,
            parameters=parameters,
        )


if __name__ == "__main__":
    main(figures, about=__doc__ or "")
