"""The operator is killed at every commit of an index's remedy, and while the index is built.

Whatever the point: a successor ends the remedy, the index is there exactly if it was kept, none is
invalid, no clone is left, and the application's rows and schema are what they were.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from homeostat.access.channel import Channel
from homeostat.access.protocol import Reply, Report, Settings
from homeostat.clock import SystemClock
from homeostat.driver import sqlite
from homeostat.driver.identity import identify
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Identity
from homeostat.errors import OperatorUnreachableError, SecretError
from homeostat.logbook import Logbook
from homeostat.logbook.rows import RemedyRecord
from homeostat.operate.choose import UNDER_WAY
from tests.faults.processes import running
from tests.servers import PostgresServer, wait_until
from tests.tune.application import Work, application, open_wire
from tests.tune.shop import ORDERS_OF, fill, indexes_of

CREATE = "create-index"
SECONDS = 60.0
PLAYS_AT_ONCE = 4  # most of a play is waiting for windows
ORDERS = 60_000
STEADY = replace(ORDERS_OF, rate=12)
# commits: 1 proposed, 2 rehearsal begun, 3 rehearsed (the clone is gone), 4 intent to build,
# 5 built, 6 measuring begun, 7 measured
EFFECTS = [("before", 3), ("after", 4), ("before", 5), ("before", 7)]
SILENCE = Reply(1, 0, 0.1, Settings(0, 0.0, {}))
SOURCE = "SELECT count(*), sum(id), sum(customer_id), sum(total) FROM orders"


def reporter(channel: Channel) -> Callable[[Report], Reply]:
    """Return what sends a report to whoever runs on the data directory; nobody: it is lost."""

    def send(report: Report) -> Reply:
        try:
            body = channel.post(msgspec.json.encode(report))
            reply = msgspec.json.decode(body, type=Reply)
        except (
            OperatorUnreachableError,
            SecretError,
            msgspec.DecodeError,
        ):  # killed while it spoke
            return SILENCE
        return reply if not reply.error else SILENCE

    return send


@contextmanager
def traffic(url: str, data: Path, works: Sequence[Work] = (STEADY,)) -> Iterator[None]:
    wire = open_wire(url)
    found = identify(wire, path=None if "://" in url else url)
    wire.close()
    identity = Identity(found.dialect, found.key, found.label, found.version)
    with (
        closing(Channel(data, timeout_seconds=2.0)) as channel,
        application(url, identity, reporter(channel), works),
    ):
        yield


def records(data: Path, key: str) -> list[RemedyRecord]:
    if not (data / "operator.json").exists():
        return []
    book = Logbook.open(data / "logbook.db", clock=SystemClock(), readonly=True)
    try:
        return [record for record in book.remedies() if record.key == key]
    finally:
        book.close()


def ended(data: Path, key: str = CREATE) -> RemedyRecord | None:
    found = records(data, key)
    return found[-1] if found and found[-1].state not in UNDER_WAY else None


def check(url: str, data: Path, rows: tuple[object, ...]) -> RemedyRecord:
    wait_until(lambda: ended(data), SECONDS, "the end of the remedy")
    record = ended(data)
    assert record is not None
    assert record.state in {"kept", "reverted", "ineffective"}, (record.state, record.verdict)
    wire = open_wire(url)
    try:
        built = {record.parameters["index"]["name"]} if record.state == "kept" else set()
        assert indexes_of(wire) == built, record.verdict
        assert invalid(wire) == 0
        assert wire.execute(SOURCE).rows[0] == rows
        assert clones(wire, data, record) == []
    finally:
        wire.close()
    return record


def invalid(wire: Wire) -> object:
    if wire.dialect == "sqlite":
        return 0
    return wire.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").scalar()


def clones(wire: Wire, data: Path, record: RemedyRecord) -> list[str]:
    if wire.dialect == "sqlite":
        return [path.name for path in (data / "clones").glob("*")]
    asked = (
        "SELECT datname FROM pg_database WHERE datname LIKE 'homeostat_clone%' "
        "AND shobj_description(oid, 'pg_database') LIKE :source"
    )
    rows = wire.execute(asked, {"source": f"%{record.database}%"}).rows
    return [str(row[0]) for row in rows]


def play(url: str, data: Path, kill: tuple[str, ...] = ()) -> RemedyRecord:
    """Run an application and an operator that dies; let a successor finish; check the end."""
    data.mkdir(mode=0o700)
    rows = seeded(url)
    with traffic(url, data), running("tests.faults.index_victim", url, str(data), *kill) as victim:
        if not kill:
            return check(url, data, rows)
        assert victim.wait(SECONDS) == -9, "it did not reach the commit it was to die at"
        with running("tests.faults.index_victim", url, str(data)) as successor:
            successor.ready()
            return check(url, data, rows)


def seeded(url: str) -> tuple[object, ...]:
    wire = open_wire(url)
    try:
        fill(wire, orders=ORDERS)
        return wire.execute(SOURCE).rows[0]
    finally:
        wire.close()


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


def kill_at(new_url: Callable[[], str], directory: Path, points: list[tuple[str, int]]) -> None:
    """Before a commit its effect is there and not recorded; after one, the next has not begun."""

    def killed(when: str, number: int) -> None:
        play(new_url(), directory / f"{when}-{number}", (when, str(number)))

    with ThreadPoolExecutor(PLAYS_AT_ONCE) as executor:
        for one in [executor.submit(killed, *point) for point in points]:
            one.result()


@pytest.mark.slow
def test_killed_around_every_effect(new_url: Callable[[], str], tmp_path: Path) -> None:
    kill_at(new_url, tmp_path, EFFECTS)


@pytest.mark.long
def test_killed_at_every_commit(new_url: Callable[[], str], tmp_path: Path) -> None:
    play(new_url(), tmp_path / "whole")
    points = len((tmp_path / "whole" / "commits").read_text().splitlines())
    assert points >= 7, "moves commit intent and observation apart"
    kill_at(new_url, tmp_path, [("before", number) for number in range(1, points + 1)])


@pytest.mark.slow
def test_killed_while_the_index_is_built(pg_database: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    rows = seeded(pg_database)
    holder = open_wire(pg_database)
    with traffic(pg_database, data):
        with running("tests.faults.index_victim", pg_database, str(data)) as victim:
            wait_until(lambda: state_of(data) == "rehearsing", SECONDS, "the rehearsal")
            holder.begin(write=True)  # CONCURRENTLY waits for transactions that hold the table
            holder.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
            wait_until(lambda: half_built(pg_database), SECONDS, "an index that is half built")
            victim.kill()
        assert half_built(pg_database)
        with running("tests.faults.index_victim", pg_database, str(data)) as successor:
            successor.ready()
            holder.rollback()
            check(pg_database, data, rows)
    holder.close()


def state_of(data: Path) -> str:
    found = records(data, CREATE)
    return found[-1].state if found else ""


def half_built(url: str) -> bool:
    wire = open_wire(url)
    try:
        return bool(invalid(wire))
    finally:
        wire.close()
