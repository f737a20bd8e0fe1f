"""Slow statements whose cause is known, planted into a small shop on either engine.

A case says what is run, with which parameters, and which causes are right. `prepare` spoils
the tables for it; `beside` is what keeps being done meanwhile, such as holding a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from homeostat.driver import postgres, sqlite
from homeostat.driver.urls import is_postgres_url
from homeostat.driver.wire import Wire
from homeostat.errors import DatabaseError
from homeostat.tune.causes import (
    IO,
    LOCK_WAIT,
    MANY_ROWS,
    MISSING_INDEX,
    N_PLUS_ONE,
    PLAN_CHANGE,
    STALE_STATISTICS,
    UNKNOWN,
)

ORDERS = 60_000
CUSTOMERS = 3_000
BIG = 120_000
BOTH = ("sqlite", "postgresql")
Draw = Callable[[Random], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Planted:
    """One slow statement.

    Attributes:
        name: of its operation.
        cause: the cause that is right.
        sql: the statement, or the statement by dialect.
        draw: its parameters.
        also: causes that are right as well.
        prepare: statements by dialect that spoil the tables, run before traffic.
        later: statements by dialect that are run once it has been seen for a while.
        times: how often it is run in one transaction, or after `after`.
        after: a statement that is run before each `times` of it, which then need no transaction.
        locks: what another connection runs and holds for `LOCKED_SECONDS` at a time.
        write: whether it changes data.
        rate: calls a second.
    """

    name: str
    cause: str
    sql: str | Mapping[str, str]
    draw: Draw = lambda _chance: {}
    also: tuple[str, ...] = ()
    prepare: Mapping[str, Sequence[str]] | None = None
    later: Mapping[str, Sequence[str]] | None = None
    times: int = 1
    after: str = ""
    locks: str = ""
    write: bool = False
    rate: float = 3.0
    engines: tuple[str, ...] = BOTH

    def sql_for(self, dialect: str) -> str:
        """Return the statement for an engine."""
        return self.sql if isinstance(self.sql, str) else self.sql[dialect]


def opened(url: str) -> Wire:
    """Return a connection of somebody else's."""
    if is_postgres_url(url):
        return postgres.connect(url)
    return sqlite.connect(url, create=True, busy_ms=30_000)


def fill(wire: Wire) -> None:
    """Make the shop's tables; only primary keys and `customers.email` are indexed."""
    numbers = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < :many) INSERT INTO {} SELECT {} FROM n",
        "postgresql": "INSERT INTO {} SELECT {} FROM generate_series(1, CAST(:many AS int)) n(i)",
    }[wire.dialect]
    wire.begin(write=True)
    for statement in TABLES:
        wire.execute(statement)
    for table, (many, values) in ROWS.items():
        wire.execute(numbers.format(table, values), {"many": many})
    wire.commit()


TABLES = (
    (
        "CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL UNIQUE, "
        "region text NOT NULL, name text NOT NULL)"
    ),
    (
        "CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL, "
        "status text NOT NULL, kind integer NOT NULL, shop integer NOT NULL, "
        "total integer NOT NULL, placed integer NOT NULL, shipped integer, note text NOT NULL)"
    ),
    (
        "CREATE TABLE items (id integer PRIMARY KEY, order_id integer NOT NULL, sku text NOT NULL, "
        "amount integer NOT NULL)"
    ),
    (
        "CREATE TABLE events (id integer PRIMARY KEY, kind text NOT NULL, weight integer NOT NULL, "
        "at integer NOT NULL, note text NOT NULL)"
    ),
    "CREATE TABLE stock (id integer PRIMARY KEY, shop integer NOT NULL, amount integer NOT NULL)",
    (
        "CREATE TABLE visits (id integer PRIMARY KEY, customer_id integer NOT NULL, "
        "page text NOT NULL, at integer NOT NULL)"
    ),
    "CREATE INDEX visits_page ON visits (page)",
    "CREATE INDEX events_at ON events (at)",
    (
        "CREATE VIEW unshipped AS SELECT id, customer_id AS buyer, total FROM orders "
        "WHERE shipped IS NULL"
    ),
)
ROWS = {
    "customers": (
        CUSTOMERS,
        "i, 'user' || i || '@example.org', 'region ' || (i % 7), 'Name ' || ((i * 37) % 3000)",
    ),
    "orders": (
        ORDERS,
        (
            f"i, 1 + (i * 7919) % {CUSTOMERS}, CASE WHEN i % 50 = 0 THEN 'open' ELSE 'closed' END, "
            "i % 30, (i / 30) % 40, (i * 31) % 10007, (i * 17) % 60000, CASE WHEN i % 40 = 0 "
            "THEN NULL ELSE i END, 'note ' || ((i * 7) % 60000) || ' of an order'"
        ),
    ),
    "items": (ORDERS, "i, 1 + (i * 13) % 60000, 'sku ' || (i % 5000), i % 9"),
    "events": (
        ORDERS,
        (
            "i, CASE WHEN i % 300 = 0 THEN 'rare' ELSE 'usual' END, (i * 7) % 3000, i, "
            "'something that happened'"
        ),
    ),
    "stock": (200, "i, i % 40, 100"),
    "visits": (ORDERS, f"i, 1 + (i * 7919) % {CUSTOMERS}, 'page ' || (i % 3), i"),
}


def customer(chance: Random) -> Mapping[str, object]:
    """Draw a customer."""
    return {"customer": chance.randrange(1, CUSTOMERS + 1)}


def _total(chance: Random) -> Mapping[str, object]:
    return {"total": chance.randrange(10_007)}


def _placed(chance: Random) -> Mapping[str, object]:
    first = chance.randrange(59_000)
    return {"first": first, "last": first + 60}


MISSING = (
    Planted(
        "equality",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE customer_id = :customer ORDER BY id",
        customer,
    ),
    Planted(
        "range",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE placed BETWEEN :first AND :last",
        _placed,
    ),
    Planted(
        "join",
        MISSING_INDEX,
        "SELECT o.id, o.total FROM customers c JOIN orders o ON o.customer_id = c.id "
        "WHERE c.email = :email",
        lambda chance: {"email": f"user{chance.randrange(1, CUSTOMERS)}@example.org"},
    ),
    Planted("order_by", MISSING_INDEX, "SELECT id, total FROM orders ORDER BY total DESC LIMIT 10"),
    Planted(
        "filtered_order_by",
        MISSING_INDEX,
        "SELECT id, placed FROM orders WHERE status = 'closed' AND kind <> :kind "
        "ORDER BY placed LIMIT 5",
        lambda chance: {"kind": chance.randrange(30)},
    ),
    Planted(
        "either",
        MISSING_INDEX,
        "SELECT id FROM orders WHERE customer_id = :customer OR total = :total",
        lambda chance: {**customer(chance), **_total(chance)},
    ),
    Planted(
        "in_list",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE customer_id IN (:a, :b, :c)",
        lambda chance: {name: chance.randrange(1, CUSTOMERS) for name in "abc"},
    ),
    Planted(
        "view",
        MISSING_INDEX,
        "SELECT id, total FROM unshipped WHERE buyer = :customer",
        customer,
    ),
    Planted(
        "with_query",
        MISSING_INDEX,
        "WITH late AS (SELECT id, customer_id, total FROM orders WHERE placed > 100) "
        "SELECT l.id, l.total FROM late l WHERE l.customer_id = :customer",
        customer,
    ),
    Planted(
        "correlated",
        MISSING_INDEX,
        "SELECT c.id, (SELECT max(v.at) FROM visits v WHERE v.customer_id = c.id) AS last "
        "FROM customers c WHERE c.email = :email",
        lambda chance: {"email": f"user{chance.randrange(1, CUSTOMERS)}@example.org"},
    ),
    Planted(
        "in_query",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE id IN (SELECT order_id FROM items WHERE sku = :sku)",
        lambda chance: {"sku": f"sku {chance.randrange(5000)}"},
    ),
    Planted(
        "lower_case",
        MISSING_INDEX,
        "SELECT id FROM events WHERE lower(note) = lower(:note) AND at > 0",
        lambda chance: {"note": f"Something {chance.randrange(100)}"},
    ),
    Planted(
        "prefix",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE note LIKE :prefix",
        lambda chance: {"prefix": f"note {chance.randrange(1000, 5000)}%"},
    ),
    Planted(
        "two_of_low_selectivity",
        MISSING_INDEX,
        "SELECT id, note FROM orders WHERE kind = :kind AND shop = :shop",
        lambda chance: {"kind": chance.randrange(30), "shop": chance.randrange(40)},
    ),
    Planted(
        "beside_a_weak_index",
        MISSING_INDEX,
        "SELECT id, at FROM visits WHERE page = :page AND customer_id = :customer",
        lambda chance: {"page": f"page {chance.randrange(3)}", **customer(chance)},
    ),
    Planted(
        "along_the_key",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE customer_id = :customer ORDER BY id DESC LIMIT 50",
        customer,
    ),
    Planted(
        "update",
        MISSING_INDEX,
        "UPDATE orders SET total = total WHERE customer_id = :customer",
        customer,
        write=True,
    ),
)
SLOW = (  # for whichever of the statements that call it are chosen
    "CREATE OR REPLACE FUNCTION slow(n int) RETURNS int LANGUAGE sql VOLATILE AS "
    "'SELECT count(md5(i::text))::int + n FROM generate_series(1, 4000) i'"
)
OTHERS = (
    Planted(
        "all_of_a_kind",
        MANY_ROWS,
        "SELECT id, kind, at, note FROM events WHERE weight < 900",
    ),
    Planted(
        "export",
        MANY_ROWS,
        "SELECT id, sku, amount FROM items WHERE id > :after",
        lambda chance: {"after": chance.randrange(10, 50)},
        rate=2.0,
    ),
    Planted(
        "one_by_one",
        N_PLUS_ONE,
        "SELECT id, amount FROM stock WHERE id = :id",
        lambda chance: {"id": chance.randrange(1, 200)},
        times=60,
        rate=6.0,
    ),
    Planted(
        "locked",
        LOCK_WAIT,
        "UPDATE stock SET amount = amount - 1 WHERE id = :id",
        lambda chance: {"id": chance.randrange(1, 200)},
        locks="UPDATE stock SET amount = amount",
        write=True,
    ),
    Planted(
        "misled",
        STALE_STATISTICS,
        "SELECT count(*), sum(m.total) FROM misled m WHERE m.status = 'closed' "
        "AND m.customer_id = :customer",
        customer,
        prepare={
            "sqlite": (
                "CREATE TABLE misled AS SELECT * FROM orders",
                "CREATE INDEX misled_status ON misled (status)",
                "CREATE INDEX misled_customer ON misled (customer_id)",
                "ANALYZE misled",
                "UPDATE sqlite_stat1 SET stat = '100 1' WHERE idx = 'misled_status'",
                "UPDATE sqlite_stat1 SET stat = '100 50' WHERE idx = 'misled_customer'",
                "DELETE FROM sqlite_stat4 WHERE tbl = 'misled'",
            ),
        },
        engines=("sqlite",),
    ),
    Planted(
        "grown",
        STALE_STATISTICS,
        "SELECT count(*) FROM grown g JOIN items i ON i.id = g.item WHERE g.kind = 'hot'",
        prepare={
            "postgresql": (
                "CREATE TABLE grown (id int PRIMARY KEY, kind text, item int)",
                "ALTER TABLE grown SET (autovacuum_enabled = false)",
                "INSERT INTO grown SELECT i, 'cold', i FROM generate_series(1, 1000) i",
                "ANALYZE grown",
                "INSERT INTO grown SELECT i, 'hot', i FROM generate_series(1001, 40000) i",
            ),
        },
        engines=("postgresql",),
    ),
    Planted(
        "other_plan",
        PLAN_CHANGE,
        "SELECT id, note FROM planned WHERE customer_id = :customer ORDER BY placed LIMIT 3",
        lambda chance: {"customer": chance.randrange(1, 600)},
        prepare={
            "sqlite": (
                (
                    "CREATE TABLE planned (id integer PRIMARY KEY, customer_id integer, "
                    "placed integer, note text)"
                ),
                "INSERT INTO planned SELECT id, id / 100, id, note FROM orders",
                "CREATE INDEX planned_placed ON planned (placed)",
                "CREATE INDEX planned_customer ON planned (customer_id)",
                "ANALYZE planned",
            ),
            "postgresql": (
                "CREATE TABLE planned (id int PRIMARY KEY, customer_id int, placed int, note text)",
                "INSERT INTO planned SELECT id, id / 100, id, note FROM orders",
                "CREATE INDEX planned_placed ON planned (placed)",
                "CREATE INDEX planned_customer ON planned (customer_id)",
                "ANALYZE planned",
            ),
        },
        later={
            "sqlite": (
                "DELETE FROM sqlite_stat4 WHERE tbl = 'planned'",
                "UPDATE sqlite_stat1 SET stat = '60000 40000' WHERE idx = 'planned_customer'",
                "CREATE TABLE reload (x)",
                "DROP TABLE reload",
            ),
            "postgresql": (
                "ALTER TABLE planned ALTER customer_id SET (n_distinct = 2)",
                "ALTER TABLE planned ALTER customer_id SET STATISTICS 0",
                "ANALYZE planned",
                "DELETE FROM pg_statistic WHERE starelid = 'planned'::regclass AND staattnum = 2",
            ),
        },
        also=(STALE_STATISTICS,),
    ),
    Planted(
        "cold_pages",
        IO,
        "SELECT count(*), max(length(note)) FROM big WHERE part = :part",
        lambda chance: {"part": chance.randrange(40)},
        prepare={
            "postgresql": (
                (
                    "CREATE TABLE big AS SELECT i AS id, i % 40 AS part, repeat(md5(i::text), 30) "
                    f"AS note FROM generate_series(1, {BIG}) i"
                ),
                "CREATE INDEX big_part ON big (part)",
                "VACUUM ANALYZE big",
            ),
        },
        engines=("postgresql",),
    ),
    Planted(
        "slow_function",
        UNKNOWN,
        {
            "sqlite": "SELECT id, length(hex(randomblob(3000000))) FROM stock WHERE id = :id",
            "postgresql": "SELECT id, slow(id) FROM stock WHERE id = :id",
        },
        lambda chance: {"id": chance.randrange(1, 200)},
        prepare={"postgresql": (SLOW,)},
    ),
    Planted(
        "after_the_last_key",
        MISSING_INDEX,
        "SELECT id, total FROM orders WHERE customer_id = :customer AND id > :after "
        "ORDER BY id LIMIT 50",
        lambda chance: {**customer(chance), "after": chance.randrange(5_000)},
    ),
    Planted(
        "slow_function_over_a_scan",
        UNKNOWN,
        {
            "sqlite": "SELECT id FROM events WHERE kind = 'none' OR (id < 40 AND "
            "length(hex(randomblob(500000))) < 0)",
            "postgresql": "SELECT id FROM customers WHERE id < 30 AND slow(id) < 0",
        },
        prepare={"postgresql": (SLOW,)},
        engines=("postgresql",),
    ),
    Planted(
        "arithmetic",
        UNKNOWN,
        {
            "sqlite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
            "i < 60000) SELECT sum(i % :by) FROM n",
            "postgresql": "SELECT sum(i % CAST(:by AS int)) FROM generate_series(1, 100000) i",
        },
        lambda chance: {"by": chance.randrange(2, 90)},
    ),
    Planted(
        "contains",
        UNKNOWN,
        "SELECT count(*) FROM orders WHERE note LIKE :part",
        lambda chance: {"part": f"%{chance.randrange(1000, 5000)}%"},
    ),
    Planted(
        "wrong_type",
        UNKNOWN,
        "SELECT id, amount FROM items WHERE CAST(id AS text) = :id",
        lambda chance: {"id": str(chance.randrange(1, ORDERS))},
        also=(MISSING_INDEX,),
    ),
)
PLANTED = MISSING + OTHERS


def hold(url: str, sql: str, stop: threading.Event, *, held_seconds: float) -> None:
    """Take locks again and again, each time for a while, until told to stop."""
    wire = opened(url)
    try:
        while not stop.wait(0.02):
            try:
                wire.begin(write=True)
                wire.execute(sql)
                stop.wait(held_seconds)
                wire.rollback()
            except DatabaseError:
                if wire.in_transaction:
                    wire.rollback()
    finally:
        wire.close()
