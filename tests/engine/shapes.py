"""Databases as people have them: odd names, expression and partial indexes, views, parts."""

from __future__ import annotations

from pathlib import Path

from homeostat.driver import postgres, sqlite
from homeostat.driver.wire import Wire

SQLITE = """
CREATE TABLE "User Accounts" (
    id INTEGER PRIMARY KEY, "Full "" Name" TEXT NOT NULL, age INT,
    double_age INT GENERATED ALWAYS AS (age * 2) VIRTUAL);
CREATE TABLE [Order] (id INTEGER PRIMARY KEY, user INTEGER REFERENCES "User Accounts",
    total REAL) STRICT;
CREATE TABLE tag (name TEXT, "order" INT, PRIMARY KEY (name, "order")) WITHOUT ROWID;
CREATE TABLE blank (a);
CREATE VIRTUAL TABLE found USING fts5 (body);
CREATE INDEX "Low er" ON "User Accounts" (lower("Full "" Name"), age DESC) WHERE age > 17;
CREATE UNIQUE INDEX order_total ON [Order] (total, id);
CREATE VIEW "Spend ing" AS SELECT u.age, o.total FROM "User Accounts" AS u
    JOIN [Order] o ON o.user = u.id;
"""

POSTGRESQL = """
CREATE SCHEMA "Other Shop";
CREATE TABLE "User Accounts" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Full "" Name" text NOT NULL, age int,
    double_age int GENERATED ALWAYS AS (age * 2) STORED);
CREATE TABLE "Order" (id bigint PRIMARY KEY, "user" bigint REFERENCES "User Accounts",
    total numeric, state text DEFAULT 'new');
CREATE TABLE "Other Shop"."Order" (id bigint PRIMARY KEY, note text);
CREATE TABLE blank ();
CREATE TABLE event (id bigint, at date NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX "Low er" ON "User Accounts" (lower("Full "" Name"), age DESC) INCLUDE (double_age)
    WHERE age > 17;
CREATE INDEX name_pattern ON "User Accounts" ("Full "" Name" text_pattern_ops);
CREATE UNIQUE INDEX order_total ON "Order" (total, id);
CREATE VIEW "Spend ing" AS SELECT u.age, o.total FROM "User Accounts" AS u
    JOIN "Order" o ON o."user" = u.id;
"""
USERS = 400
ORDERS = 2000


def make_sqlite(path: Path) -> None:
    """Make a file with all shapes and some rows."""
    wire = sqlite.connect(path, create=True)
    wire.execute_script(SQLITE)
    _fill(wire)
    wire.close()


def make_postgres(url: str) -> None:
    """Fill an empty database with all shapes and some rows."""
    wire = postgres.connect(url)
    wire.execute_script(POSTGRESQL)
    _fill(wire)
    days = "generate_series(1, 400) i"
    wire.execute(f"INSERT INTO event SELECT i, date '2024-06-01' + i, 'x' FROM {days}")
    wire.execute("ANALYZE")
    wire.close()


def _fill(wire: Wire) -> None:
    wire.begin(write=True)
    wire.execute_many(
        'INSERT INTO "User Accounts" ("Full "" Name", age) VALUES (:name, :age)',
        [{"name": f"Name {number}", "age": number % 80} for number in range(USERS)],
    )
    wire.execute_many(
        'INSERT INTO "Order" (id, "user", total) VALUES (:id, :user, :total)',
        [
            {"id": number, "user": 1 + number % USERS, "total": float(number % 97)}
            for number in range(1, ORDERS + 1)
        ],
    )
    wire.commit()
