"""Orders and parts as TPC-H has them, with rows of our own and its kinds of questions.

The schema is that of the benchmark, which has keys and no further index; the rows are made by
arithmetic, the same on both engines. It stands for a database that others designed.
"""

from __future__ import annotations

from collections.abc import Callable

TABLES = (
    "CREATE TABLE region (r_regionkey int PRIMARY KEY, r_name text NOT NULL)",
    (
        "CREATE TABLE nation (n_nationkey int PRIMARY KEY, n_name text NOT NULL,"
        " n_regionkey int NOT NULL REFERENCES region)"
    ),
    (
        "CREATE TABLE supplier (s_suppkey int PRIMARY KEY, s_name text NOT NULL,"
        " s_nationkey int NOT NULL REFERENCES nation, s_acctbal int NOT NULL)"
    ),
    (
        "CREATE TABLE part (p_partkey int PRIMARY KEY, p_name text NOT NULL, p_type text NOT NULL,"
        " p_size int NOT NULL, p_retailprice int NOT NULL)"
    ),
    (
        "CREATE TABLE partsupp (ps_partkey int NOT NULL REFERENCES part,"
        " ps_suppkey int NOT NULL REFERENCES supplier, ps_availqty int NOT NULL,"
        " ps_supplycost int NOT NULL, PRIMARY KEY (ps_partkey, ps_suppkey))"
    ),
    (
        "CREATE TABLE customer (c_custkey int PRIMARY KEY, c_name text NOT NULL,"
        " c_nationkey int NOT NULL REFERENCES nation, c_mktsegment text NOT NULL)"
    ),
    (
        "CREATE TABLE orders (o_orderkey int PRIMARY KEY,"
        " o_custkey int NOT NULL REFERENCES customer, o_orderstatus text NOT NULL,"
        " o_orderdate int NOT NULL, o_totalprice int NOT NULL)"
    ),
    (
        "CREATE TABLE lineitem (l_orderkey int NOT NULL REFERENCES orders,"
        " l_linenumber int NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL,"
        " l_quantity int NOT NULL, l_price int NOT NULL, l_shipdate int NOT NULL,"
        " PRIMARY KEY (l_orderkey, l_linenumber),"
        " FOREIGN KEY (l_partkey, l_suppkey) REFERENCES partsupp)"
    ),
)
ROWS: tuple[tuple[str, int, str], ...] = (  # table, how many, the row of number i
    ("region", 5, "i, 'region ' || i"),
    ("nation", 25, "i, 'nation ' || i, 1 + i % 5"),
    ("supplier", 100, "i, 'supplier ' || i, 1 + i % 25, i * 7 % 10000"),
    ("part", 2000, "i, 'part ' || i, 'type ' || i % 150, 1 + i % 50, 900 + i % 1000"),
    ("partsupp", 8000, "1 + i % 2000, 1 + (i / 2000 + i) % 100, i % 9999, i % 1000"),
    ("customer", 1500, "i, 'customer ' || i, 1 + i % 25, 'segment ' || i % 5"),
    ("orders", 15_000, "i, 1 + i * 7 % 1500, 'o', 8000 + i % 2400, i % 50000"),
    (
        "lineitem",
        45_000,
        (
            "1 + (i - 1) / 3, i % 3, 1 + i % 2000, 1 + (((i - 1) % 8000 + 1) / 2000 + i) % 100,"
            " 1 + i % 50, i % 9000, 8000 + i % 2500"
        ),
    ),
)
QUESTIONS = (
    (
        "SELECT l_linenumber, sum(l_quantity), avg(l_price) FROM lineitem"
        " WHERE l_shipdate < 10000 GROUP BY l_linenumber ORDER BY l_linenumber"
    ),
    (
        "SELECT n_name, sum(l_price) FROM customer JOIN orders ON o_custkey = c_custkey"
        " JOIN lineitem ON l_orderkey = o_orderkey JOIN nation ON n_nationkey = c_nationkey"
        " WHERE o_orderdate < 8400 GROUP BY n_name ORDER BY 2 DESC"
    ),
    (
        "SELECT s_name FROM supplier WHERE s_suppkey IN (SELECT ps_suppkey FROM partsupp"
        " JOIN part ON p_partkey = ps_partkey WHERE p_size = 7 AND ps_availqty > 9000)"
    ),
)
# what the benchmark's schema lacks: keys that nothing finds rows by, of large tables and of others
LACKS_LARGE = {"orders", "lineitem"}
LACKS = LACKS_LARGE | {"customer", "partsupp"}


def fill(execute: Callable[[str], object], *, series: str) -> None:
    """Make the tables and their rows.

    Args:
        execute: runs a statement.
        series: the numbers from 1 to {} as a table `n (i)`, in the dialect of the engine.
    """
    for table in TABLES:
        execute(table)
    for name, count, row in ROWS:
        execute(f"INSERT INTO {name} SELECT {row} FROM {series.format(count)}")
