"""What a statement asks of its tables is told from its text, however it is written."""

from __future__ import annotations

import pytest

from homeostat.engine.candidates import candidates
from homeostat.engine.facets import ColumnInfo, IndexInfo, TableInfo, ViewInfo
from homeostat.engine.predicates import asked


def table(name: str, *columns: str) -> TableInfo:
    return TableInfo(name, tuple(ColumnInfo(column, "integer") for column in columns))


TABLES = [
    table("orders", "id", "customer_id", "kind", "shop", "total", "placed", "shipped", "note"),
    table("customers", "id", "email", "region"),
    table("items", "order_id", "sku"),
]
VIEWS = [
    ViewInfo("unshipped", "SELECT id, customer_id AS buyer FROM orders WHERE shipped IS NULL"),
    ViewInfo("named", "CREATE VIEW named (buyer) AS SELECT customer_id FROM orders"),
]
THERE = [IndexInfo("k", "customers", ("id",), "CREATE UNIQUE INDEX k ON customers (id)")]


def proposed(sql: str, dialect: str = "postgresql", **params: object) -> list[str]:
    """Return the indexes that are thought of for a statement, each as one line."""
    asks = asked(sql, dialect, TABLES, views=VIEWS, params=params or None)
    return [
        f"{c.spec.table} ({', '.join(c.spec.columns)})"
        + (f" {c.spec.ordering}" if c.spec.ordering else "")
        + (f" where {c.spec.where}" if c.spec.where else "")
        for c in candidates(asks, TABLES, THERE, dialect=dialect)
    ]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT id FROM orders WHERE kind = 1 AND total > :t", "orders (kind, total)"),
        ("SELECT id FROM orders WHERE customer_id IN (:a, :b)", "orders (customer_id)"),
        ("SELECT id FROM orders WHERE customer_id = ANY(:l)", "orders (customer_id)"),
        (
            "SELECT id FROM orders WHERE customer_id = $1 AND kind = $2",
            "orders (customer_id, kind)",
        ),
        ("SELECT id FROM orders WHERE (kind, shop) = (:k, :s)", "orders (kind, shop)"),
        ("SELECT id FROM orders WHERE (kind, shop) IN ((1, 2), (3, 4))", "orders (kind, shop)"),
        ("SELECT id FROM orders WHERE (placed, id) < (:p, :i)", "orders (placed)"),
        ("SELECT id FROM orders WHERE total = :a OR total = :b", "orders (total)"),
        ("SELECT id FROM orders WHERE total = :a OR placed > :b", "orders (placed)"),
        ("SELECT id FROM orders ORDER BY total DESC LIMIT 3", "orders (total)"),
        ("SELECT max(placed) FROM orders WHERE shop = :s", "orders (shop, placed)"),
        ("SELECT id FROM orders WHERE lower(note) = :n", "orders (LOWER(note))"),
        (
            "SELECT buyer FROM unshipped WHERE buyer = :b",
            "orders (customer_id) where shipped IS NULL",
        ),
        ("SELECT 1 FROM named n WHERE n.buyer = :b", "orders (customer_id)"),
        (
            "WITH o AS (SELECT * FROM orders) SELECT * FROM o WHERE customer_id = :c",
            "orders (customer_id)",
        ),
        ("SELECT * FROM (SELECT total AS t FROM orders) x WHERE x.t = :t", "orders (total)"),
        (
            "SELECT 1 FROM customers c JOIN orders o ON o.customer_id = c.id WHERE email = :e",
            "orders (customer_id)",
        ),
        (
            "SELECT 1 FROM orders o WHERE EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id)",
            "items (order_id)",
        ),
        (
            "DELETE FROM items WHERE order_id IN (SELECT id FROM orders WHERE kind = 1)",
            "orders (kind)",
        ),
        ("UPDATE orders SET total = 0 WHERE placed < :p", "orders (placed)"),
    ],
)
def test_the_index_is_thought_of(sql: str, index: str) -> None:
    assert index in proposed(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM orders WHERE kind <> 1",
        "SELECT id FROM orders WHERE note LIKE '%x%'",
        "SELECT id FROM orders WHERE kind + shop = 4",
        "SELECT id FROM orders WHERE mine(note) = 4",
        "SELECT id FROM orders WHERE kind = 1 OR mine(note) = 4",
        "SELECT * FROM customers WHERE id = :id",
        "SELECT * FROM (SELECT * FROM orders LIMIT 5) o WHERE o.kind = 1",
        "SELECT FROM WHERE",
    ],
)
def test_nothing_is_thought_of_where_no_index_would_serve(sql: str) -> None:
    assert proposed(sql) == []


def test_a_beginning_is_served_by_an_index_made_for_it() -> None:
    sql = "SELECT id FROM orders WHERE note LIKE :n"
    assert proposed(sql, n="abc%") == ["orders (note) text_pattern_ops"]
    assert proposed(sql, "sqlite", n="abc%") == ["orders (note) COLLATE NOCASE"]
    assert proposed(sql, n="%abc") == []
    assert proposed(sql) == [], "it is not known what it begins with"


def test_what_the_rowid_serves_needs_no_index() -> None:
    columns = (ColumnInfo("id", "INTEGER", is_rowid=True), ColumnInfo("kind", "integer"))
    notes = [TableInfo("notes", columns)]
    for sql, index in (
        ("SELECT * FROM notes WHERE id = :id", []),
        ("SELECT * FROM notes WHERE id = :id AND kind = 1", []),
        ("SELECT * FROM notes WHERE kind = 1 ORDER BY id LIMIT 5", [("kind",)]),
    ):
        asks = asked(sql, "sqlite", notes)
        found = candidates(asks, notes, [], dialect="sqlite")
        assert [one.spec.columns for one in found if one.spec.where is None] == index, sql


def test_an_or_says_which_of_its_other_sides_lack_an_index_too() -> None:
    columns = (ColumnInfo("id", "INTEGER", is_rowid=True), ColumnInfo("kind", "integer"))
    notes = [TableInfo("notes", (*columns, ColumnInfo("shop", "integer")))]
    by_shop = IndexInfo("s", "notes", ("shop",), "CREATE INDEX s ON notes (shop)")
    for where, there, beside in (
        ("kind = 1 OR shop = 2", [], {"kind": ("shop",), "shop": ("kind",)}),
        ("kind = 1 OR shop = 2", [by_shop], {"kind": ()}),
        ("kind = 1 OR id = :id", [], {"kind": ()}),
    ):
        asks = asked(f"SELECT * FROM notes WHERE {where}", "sqlite", notes)
        found = candidates(asks, notes, there, dialect="sqlite")
        plain = {one.spec.columns[0]: one.beside for one in found if one.spec.where is None}
        assert plain == beside, where
