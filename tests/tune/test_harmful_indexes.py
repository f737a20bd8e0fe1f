"""Indexes that are useless or do harm: the rehearsal refuses them, or measuring undoes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import msgspec
import pytest

from homeostat.config import Config, TuneConfig
from homeostat.driver.wire import Wire
from homeostat.engine.facets import IndexSpec
from homeostat.engine.normalise import statement_key
from homeostat.operate.remedy import Rehearsed
from homeostat.operate.rule import View
from homeostat.operate.watch import WatchHands
from homeostat.tune.rehearsal import rehearse_index
from tests.servers import PostgresServer, wait_until
from tests.tune.application import Work, open_wire
from tests.tune.shop import CONFIG, CUSTOMERS, Shop, fill, shop, with_clones_on

ORDERS = 40_000
PATIENT_SECONDS = 300.0  # in which an index that does not help is to be gone
PLAYS = 3  # a busy machine may blur the batches, which are short here


def number(name: str, most: int) -> Callable[[Random], Mapping[str, object]]:
    return lambda chance: {name: chance.randrange(1, most)}


def updated(column: str, rate: float) -> Work:
    sql = f"UPDATE orders SET {column} = {column} + 1 WHERE id BETWEEN :first AND :first + 1500"
    return Work(f"update_{column}", sql, number("first", ORDERS - 1500), rate, write=True)


def read(name: str, sql: str, rate: float = 6, **params: int) -> Work:
    def draw(chance: Random) -> Mapping[str, object]:
        return {one: chance.randrange(1, most) for one, most in params.items()}

    return Work(name, sql, draw, rate)


CLOSED = read("closed", "SELECT sum(total) FROM orders WHERE status = 'closed'")
OF_CUSTOMER = read(
    "of_customer", "SELECT id FROM orders WHERE customer_id = :customer", customer=CUSTOMERS
)
BY_KEY = read("by_key", "SELECT total FROM orders WHERE id = :id", id=ORDERS)
DEAR = read("dear", "SELECT id FROM orders WHERE total = :total", total=1000)
PLACED = read("placed", "SELECT id FROM orders WHERE placed = :placed", 1, placed=ORDERS)
NOTED = read(
    "noted",
    "SELECT count(*) FROM orders WHERE upper(note) = 'NOTE' AND id <> :id",
    id=ORDERS,
)
TINY = read("tiny", "SELECT id FROM shelves WHERE place = :place", 20, place=30)
SKU = read("sku", "SELECT id FROM items WHERE sku = :sku", sku=5000)
WORKS = [
    *(CLOSED, OF_CUSTOMER, BY_KEY, DEAR, PLACED, NOTED, TINY, SKU),
    *(updated("total", 3), updated("placed", 6)),
]
GOOD = ("items", "sku")
# on the clone its first runs take long, as where the machine was busy: session locks outlive the
# rollback of each replayed call, and so count the runs
SLOW_AT_FIRST = read(
    "slow_at_first",
    "SELECT total FROM orders WHERE id = :id AND CASE WHEN current_database() LIKE "
    "'homeostat_clone%' AND (SELECT count(*) FROM pg_locks WHERE classid = 4711 AND pid = "
    "pg_backend_pid()) < 14 AND pg_try_advisory_lock(4711, CAST(random() * 2000000000 AS int)) "
    "THEN CAST(pg_sleep(0.02) AS text) IS NOT NULL ELSE true END",
    1,
    id=ORDERS,
)


@dataclass(frozen=True)
class Harmful:
    """A candidate, the statement it is for, the limits it meets, and what is said against it."""

    table: str
    columns: tuple[str, ...]
    work: Work
    says: str
    limits: Mapping[str, float]
    engines: tuple[str, ...] = ("sqlite", "postgresql")


def harmful(column: str, work: Work, says: str, **limits: float) -> Harmful:
    table = {"shelves": "shelves", "items": "items"}.get(work.sql.split()[3], "orders")
    return Harmful(table, tuple(column.split()), work, says, limits)


CANDIDATES = {
    "low selectivity": harmful("status", CLOSED, ""),
    "covered by a prefix": harmful("customer_id", OF_CUSTOMER, ""),
    "covered by the key": harmful("id", BY_KEY, ""),
    "not used": harmful("note", CLOSED, "does not take"),
    "begins with another column": harmful("note total", DEAR, ""),
    "hidden by a function": harmful("note", NOTED, ""),
    "tiny table": harmful("place", TINY, ""),
    "written more than read": harmful("placed", PLACED, ""),
    "slows another statement": harmful("total", DEAR, ""),
    "faster by chance": replace(
        harmful("id", SLOW_AT_FIRST, "net of writes that is"), engines=("postgresql",)
    ),
    "too large for the disk": harmful("sku", SKU, "MB free", disk_free_share=1e-7),
    "too long for the lock": harmful("sku", SKU, "", build_seconds_max=1e-3),
    "stalls writers too long": replace(
        harmful("sku", SKU, "writers would wait", stall_ms_max=1e-2), engines=("sqlite",)
    ),
}


@dataclass
class LimitedHands(WatchHands):
    """The same hands under other limits."""

    tune: TuneConfig = TuneConfig()  # noqa: RUF009  # frozen

    def view(self) -> View:
        seen = self.watch.view()
        return replace(seen, config=msgspec.structs.replace(seen.config, tune=self.tune))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> tuple[str, Config]:
    """Return the URL of a shop, and the configuration to watch it with."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_path")), CONFIG
    server: PostgresServer = request.getfixturevalue("pg_server")
    return request.getfixturevalue("pg_database"), with_clones_on(CONFIG, server)


@contextmanager
def opened(url: str) -> Iterator[Wire]:
    wire = open_wire(url)
    try:
        yield wire
    finally:
        wire.close()


def spoil(wire: Wire) -> None:
    fill(wire, orders=ORDERS)
    wire.execute("CREATE INDEX by_customer_status ON orders (customer_id, status)")
    wire.execute("CREATE TABLE shelves (id integer PRIMARY KEY, place integer)")
    wire.execute("INSERT INTO shelves SELECT id, id FROM orders WHERE id <= 30")
    wire.execute("CREATE TABLE items (id integer PRIMARY KEY, sku integer, note text)")
    wire.execute("INSERT INTO items SELECT id, id % 5000, note FROM orders")
    if wire.dialect == "postgresql":
        wire.execute("ANALYZE")


def rehearsed(one: Harmful, running: Shop, number: int) -> Rehearsed:
    spec = IndexSpec(one.table, one.columns, f"homeostat_try_{number}")
    watched = running.one
    tune = msgspec.structs.replace(watched.watch.config.tune, **one.limits)
    hands = LimitedHands(watched.watch, watched.ownership, 2.0, 9000 + number, tune=tune)
    return rehearse_index(spec, statement_key(one.work.sql), hands)


@pytest.mark.long
def test_useless_and_harmful_indexes_are_refused(place: tuple[str, Config], tmp_path: Path) -> None:
    url, config = place
    with opened(url) as wire:
        spoil(wire)
        dialect = wire.dialect
    config = msgspec.structs.replace(
        config,
        operate=msgspec.structs.replace(config.operate, autonomy="observe"),
        tune=msgspec.structs.replace(config.tune, replay_calls_max=3),
    )
    works = [*WORKS, *((SLOW_AT_FIRST,) if dialect == "postgresql" else ())]
    with shop(tmp_path / "data", url, works, config) as running:
        keys = {statement_key(work.sql) for work in works}
        captured = running.one.watch.captured
        wait_until(lambda: keys <= {key for key, _ in captured()}, 20, "calls of every statement")
        good = rehearsed(harmful("sku", SKU, ""), running, 0)
        assert good.ok, good.reason
        for count, (name, one) in enumerate(CANDIDATES.items(), 1):
            if dialect not in one.engines:
                continue
            found = rehearsed(one, running, count)
            assert not found.ok, (name, found.reason)
            assert one.says in found.reason, (name, found.reason)
        assert running.clones() == 0
        assert running.indexes() == set()


UNDONE = ("reverted", "ineffective")
KIND = "SELECT count(*), max(total) FROM orders WHERE status = :status AND total > :total"


@pytest.mark.slow
@pytest.mark.timed
def test_an_index_that_only_looked_good_is_undone(
    place: tuple[str, Config], tmp_path: Path
) -> None:
    """Its statement asks for a few rows until the index is there, and for nearly all after."""
    url, config = place
    with opened(url) as wire:
        fill(wire, orders=ORDERS)
    assert config.operate.verify_batches * Config().operate.batch_seconds < PATIENT_SECONDS / 2
    for play in range(PLAYS):
        turned = threading.Event()

        def draw(chance: Random, turned: threading.Event = turned) -> Mapping[str, object]:
            return {
                "status": "closed" if turned.is_set() else "open",
                "total": chance.randrange(10),
            }

        work = Work("of_kind", KIND, draw, rate=15)
        with shop(tmp_path / f"data{play}", url, [work], config) as running:
            running.remedy("create-index", "applying", "verifying", "reverted", "refused")
            turned.set()
            record = running.remedy("create-index", *UNDONE, "kept", "refused")
            assert record.state != "kept", record.verdict
            assert running.indexes() == set()
            assert running.clones() == 0
        if record.state in UNDONE:
            break
    assert record.state in UNDONE, record.verdict
