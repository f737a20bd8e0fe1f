"""More slow statements whose cause is known: those that the first ones do not cover.

A change that makes the database search another table, one of a table in parts, an OR that lacks
two indexes, sums of a whole table; and, beside each, one that looks alike and is none.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from bench.planted import BIG, CUSTOMERS, Planted, customer
from homeostat.tune.causes import IO, MANY_ROWS, MISSING_INDEX, N_PLUS_ONE, UNKNOWN

PARTS = 20
BIG_ROWS = 40_000  # of 1 kB: 40 MB, of which a part is 2,000 pages that lie apart

_PARENTS = (
    "CREATE TABLE parents (id integer PRIMARY KEY, name text)",
    "CREATE TABLE children (id integer PRIMARY KEY, parent integer REFERENCES parents, note text)",
    "CREATE TABLE grand (id integer PRIMARY KEY, child integer REFERENCES children, note text)",
    "CREATE INDEX grand_child ON grand (child)",
    "INSERT INTO parents SELECT id, note FROM orders",
    "INSERT INTO children SELECT id, 1, note FROM orders WHERE id < 50000",
    "INSERT INTO children SELECT id + 100000, 1, note FROM orders",
    "INSERT INTO grand SELECT id, id, note FROM orders WHERE id < 1000",
)
_SEEN = (
    (
        "CREATE TABLE seen (id int, day int, page int, note text, PRIMARY KEY (id, day)) "
        "PARTITION BY RANGE (day)"
    ),
    "CREATE TABLE seen_1 PARTITION OF seen FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE seen_2 PARTITION OF seen FOR VALUES FROM (10) TO (20)",
    f"INSERT INTO seen SELECT i, i % 20, i % 7919, 'a note' FROM generate_series(1, {BIG}) i",
    "ANALYZE seen",
)


def _parent(chance: Random) -> dict[str, object]:
    return {"id": chance.randrange(2, 60_000)}


_PART = Planted(
    "of_a_part_of_big",
    IO,
    "SELECT count(*), max(length(note)) FROM big WHERE part = :part",
    lambda chance: {"part": chance.randrange(PARTS)},
    prepare={
        "sqlite": (
            (
                f"CREATE TABLE big AS SELECT id, id % {PARTS} AS part, "
                f"hex(randomblob(480)) AS note FROM orders WHERE id <= {BIG_ROWS}"
            ),
            "CREATE INDEX big_part ON big (part)",
            "PRAGMA wal_checkpoint(TRUNCATE)",  # what is in the log alone cannot be forgotten
        ),
    },
    engines=("sqlite",),
)
COLD = (  # for a file that is forgotten again and again: bench.causes.forgetting
    _PART,
    Planted(
        "slow_by_itself",
        UNKNOWN,
        "SELECT id, length(hex(randomblob(4000000 + amount))) FROM stock WHERE id = :id",
        lambda chance: {"id": chance.randrange(1, 200)},
        engines=("sqlite",),
    ),
)
WARM = (replace(_PART, cause=UNKNOWN),)  # the same pages, which SQLite's own cache cannot hold


MORE = (
    Planted(
        "delete_parent",
        MISSING_INDEX,
        "DELETE FROM parents WHERE id = :id",
        _parent,
        prepare={"sqlite": _PARENTS, "postgresql": _PARENTS},
        write=True,
        rate=4.0,
    ),
    Planted(
        "of_a_part",
        MISSING_INDEX,
        "SELECT id, note FROM seen WHERE page = :page",
        lambda chance: {"page": chance.randrange(7919)},
        prepare={"postgresql": _SEEN},
        engines=("postgresql",),
    ),
    Planted(
        "either_of_three",
        MISSING_INDEX,
        "SELECT id FROM orders WHERE customer_id = :customer OR total = :total OR id = :id",
        lambda chance: {
            "customer": chance.randrange(1, CUSTOMERS),
            "total": chance.randrange(10_007),
            "id": chance.randrange(1, 60_000),
        },
    ),
    Planted("count_all", MANY_ROWS, "SELECT count(*), sum(total), avg(placed) FROM orders"),
    Planted(
        "by_group",
        MANY_ROWS,
        "SELECT status, kind, count(*), sum(total) FROM orders GROUP BY status, kind",
    ),
    Planted(
        "sum_of_few",
        UNKNOWN,
        {
            "sqlite": "SELECT sum(length(hex(randomblob(40000 + amount)))) FROM stock",
            "postgresql": "SELECT sum(length(md5(repeat(md5(amount::text), 4000)))) FROM stock",
        },
    ),
    Planted(
        "one_for_each_row",
        N_PLUS_ONE,
        "SELECT id, shop, amount FROM stock WHERE id = :id",
        lambda chance: {"id": chance.randrange(1, 200)},
        times=60,
        after="SELECT id FROM customers WHERE id < 61",
        rate=6.0,
    ),
    Planted(
        "now_and_then_after_a_list",
        UNKNOWN,
        {
            "sqlite": "SELECT id, length(hex(randomblob(300000 + id))) FROM stock WHERE id = :id",
            "postgresql": "SELECT id, length(md5(repeat(md5(amount::text), 9000))) FROM stock "
            "WHERE id = :id",
        },
        lambda chance: {"id": chance.randrange(1, 200)},
        times=12,
        after="SELECT id FROM customers WHERE id < 190",
        rate=1.0,
    ),
    Planted(
        "delete_nothing",
        MISSING_INDEX,
        "DELETE FROM visits WHERE customer_id = :customer AND page = 'none'",
        customer,
        also=(UNKNOWN,),
        write=True,
    ),
)
