"""A small shop whose tables tests spoil, and an operator with short intervals that watches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from homeostat.clock import SystemClock
from homeostat.config import (
    AgentConfig,
    CloneConfig,
    Config,
    MonitorConfig,
    OperateConfig,
    TuneConfig,
)
from homeostat.driver.wire import Wire
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.main import prepare_data, rooms
from homeostat.operate.attached import Attached
from homeostat.operate.console import OperatorConsole
from homeostat.operate.operator import Operator
from tests.servers import PostgresServer, wait_until
from tests.tune.application import Application, Work, application, open_wire

SECONDS = 40.0
CUSTOMERS = 2_000
CONFIG = Config(
    monitor=MonitorConfig(performance_seconds=0.2, health_seconds=1.0, agent_silent_seconds=3.0),
    operate=OperateConfig(
        autonomy="auto",
        lease_seconds=2.0,
        verify_batches=6,
        batch_seconds=0.6,
        settle_seconds=0.4,
        cooldown_seconds=600.0,
    ),
    tune=TuneConfig(
        queries_seconds=0.5,
        window_seconds=2.0,
        slow_query_ms=2.0,
        cost_ms_per_second=20.0,
        replay_seconds=5.0,
    ),
    agent=AgentConfig(report_seconds=0.1),
)

TABLES = (
    "CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL, region text NOT NULL)",
    """CREATE TABLE orders (
        id integer PRIMARY KEY, customer_id integer NOT NULL, status text NOT NULL,
        total integer NOT NULL, placed integer NOT NULL, note text NOT NULL)""",
)


def fill(wire: Wire, *, orders: int = 60_000) -> None:
    """Make the tables; every customer has as many orders as any other."""
    numbers = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < :many) INSERT INTO {} SELECT {} FROM n",
        "postgresql": "INSERT INTO {} SELECT {} FROM generate_series(1, CAST(:many AS int)) n(i)",
    }[wire.dialect]
    wire.begin(write=True)
    for table in TABLES:
        wire.execute(table)
    person = "i, 'user' || i || '@example.org', 'region ' || (i % 5)"
    wire.execute(numbers.format("customers", person), {"many": CUSTOMERS})
    order = (
        f"i, 1 + (i * 7919) % {CUSTOMERS}, CASE WHEN i % 50 = 0 THEN 'open' ELSE 'closed' END, "
        "(i * 31) % 1000, i, 'a note that makes the row wider'"
    )
    wire.execute(numbers.format("orders", order), {"many": orders})
    wire.commit()
    if wire.dialect == "postgresql":
        wire.execute("ANALYZE")


def customer(chance: Random) -> dict[str, object]:
    return {"customer": chance.randrange(1, CUSTOMERS + 1)}


ORDERS_OF = Work(
    "orders_of",
    "SELECT id, total FROM orders WHERE customer_id = :customer ORDER BY id",
    customer,
    rate=25,
)


def new_order(chance: Random) -> dict[str, object]:
    return {"id": 1_000_000 + chance.getrandbits(28), "customer": chance.randrange(1, CUSTOMERS)}


ADD_ORDER = Work(
    "add_order",
    "INSERT INTO orders (id, customer_id, status, total, placed, note) "
    "VALUES (:id, :customer, 'open', 5, 1, 'new')",
    new_order,
    rate=10,
    write=True,
)


@dataclass
class Shop:
    """A running operator with an application."""

    operator: Operator
    console: OperatorConsole
    application: Application
    url: str

    @property
    def one(self) -> Attached:
        [attached] = self.operator.attached.values()
        return attached

    def finding(self, rule: str = "slow-statement", *, seconds: float = SECONDS) -> Finding:
        """Wait for a finding whose statement was looked into."""

        def found() -> list[Finding]:
            mine = [f for f in self.console.findings() if f.rule == rule]
            return [f for f in mine if f.evidence.get("plan")]

        wait_until(found, seconds, f"a finding {rule}; there are {self.console.findings()}")
        return found()[0]

    def remedy(self, key: str, *states: str, seconds: float = SECONDS) -> RemedyRecord:
        """Wait until the first remedy of a key has one of the states."""

        def reached() -> RemedyRecord | None:
            found = [r for r in self.console.remedies() if r.key == key]
            return found[-1] if found and found[-1].state in states else None

        wait_until(reached, seconds, f"{key} {states}; there are {self._told()}")
        record = reached()
        assert record is not None
        return record

    def _told(self) -> list[tuple[str, ...]]:
        remedies = [(r.key, r.state, r.verdict) for r in self.console.remedies()]
        return remedies + [
            (f.rule, f.what, f.cause, str(f.evidence.get("not_done")))
            for f in self.console.findings()
        ]

    def indexes(self) -> set[str]:
        """Return the names of the indexes that Homeostat built."""
        wire = open_wire(self.url)
        try:
            return indexes_of(wire)
        finally:
            wire.close()

    def clones(self) -> int:
        """Return how many clones there are."""
        clone = self.one.engine.clone
        return len(clone.list())  # type: ignore[union-attr]


def indexes_of(wire: Wire) -> set[str]:
    asked = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'index'",
        "postgresql": "SELECT indexrelid::regclass::text FROM pg_index WHERE indexrelid > 16384",
    }[wire.dialect]
    return {str(row[0]) for row in wire.execute(asked).rows if "homeostat" in str(row[0])}


@contextmanager
def shop(data: Path, url: str, works: Sequence[Work], config: Config = CONFIG) -> Iterator[Shop]:
    """Run an operator and an application on a database that is there."""
    prepare_data(data)
    operator = Operator(data, rooms=rooms(config), config=config, clock=SystemClock())
    try:
        identity = operator.attach(url)
        operator.start()
        console = OperatorConsole(operator)
        with application(url, identity, console.report, works) as running:
            yield Shop(operator, console, running, url)
    finally:
        operator.stop()


def with_clones_on(config: Config, server: PostgresServer) -> Config:
    """Return the configuration with a server for clones of PostgreSQL."""
    clone = CloneConfig(url=server.url("postgres"))
    return msgspec.structs.replace(config, clone=clone)
