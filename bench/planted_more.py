"""More slow statements whose cause is known: those that the first ones do not cover.

A change that makes the database search another table, one of a table in parts, an OR that lacks
two indexes, sums of a whole table; and, beside each, one that looks alike and is none.
"""

from __future__ import annotations

from random import Random

from bench.planted import BIG, CUSTOMERS, Planted, customer
from homeostat.tune.causes import MANY_ROWS, MISSING_INDEX, UNKNOWN

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
        "delete_nothing",
        MISSING_INDEX,
        "DELETE FROM visits WHERE customer_id = :customer AND page = 'none'",
        customer,
        also=(UNKNOWN,),
        write=True,
    ),
)
