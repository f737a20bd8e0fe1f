"""Problems planted in PostgreSQL, each with the rule that has to find it and its mend.

The tests and `bench.check` share them; planting.py plants them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Planted:
    """A problem.

    Attributes:
        name: unique among all.
        rule: has to find it.
        where: stands in the finding's `where`.
        mend: stands in its `mend_sql`.
        plant: statements that make it.
        load: statements that an application runs; again after mending, counted anew.
        then: statements after the load, when what is normal has been counted.
        again: statements that make it on a clone, where a dump does not carry it over.
    """

    name: str
    rule: str
    where: str
    mend: str
    plant: Sequence[str] = ()
    load: Sequence[str] = ()
    then: Sequence[str] = ()
    again: Sequence[str] = ()


SCANS = ("SELECT total FROM planted.orders WHERE customer = '42'",) * 60
SORTS = ("SELECT count(*) FROM (SELECT * FROM planted.words ORDER BY word OFFSET 1) w",) * 51
REGRESSING = "SELECT id FROM planted.marks WHERE flag = 1 ORDER BY id LIMIT 1"
LITTLE_MEMORY = """DO $$ BEGIN EXECUTE
    format('ALTER DATABASE %I SET work_mem = ''64kB''', current_database()); END $$"""
INVALID = (
    "INSERT INTO planted.invalid VALUES (2, 1)",
    "-CREATE UNIQUE INDEX CONCURRENTLY invalid_value ON planted.invalid (value)",
    "DELETE FROM planted.invalid WHERE id = 2",
)
BLOAT = (
    "TRUNCATE planted.bloated",
    (
        "INSERT INTO planted.bloated"
        " SELECT lpad(i::text, 400, '0'), i FROM generate_series(1, 35000) i"
    ),
    "DELETE FROM planted.bloated WHERE value % 10 <> 0",
    "VACUUM (ANALYZE) planted.bloated",
)
STALE = (
    "TRUNCATE planted.stale",
    "ANALYZE planted.stale",
    "INSERT INTO planted.stale SELECT i, i FROM generate_series(1, 20000) i",
)
DEAD = (
    "TRUNCATE planted.dead",
    "INSERT INTO planted.dead SELECT i, i FROM generate_series(1, 50000) i",
    "ANALYZE planted.dead",
    "DELETE FROM planted.dead WHERE id % 2 = 0",
)
MARKS = (
    "TRUNCATE planted.marks",
    "INSERT INTO planted.marks SELECT i, i % 2 FROM generate_series(200001, 200100) i",
    "ANALYZE planted.marks",
)
# its statistics say that every second row of the order fits: now none of the first 200,000 does
REGRESS = "INSERT INTO planted.marks SELECT i, 0 FROM generate_series(1, 200000) i"
_QUIET = "WITH (autovacuum_enabled = off)"

IN_A_DATABASE: tuple[Planted, ...] = (
    Planted(
        "unused index",
        "index_unused",
        "planted.unused_note",
        "DROP INDEX CONCURRENTLY planted.unused_note;",
        [
            "CREATE TABLE planted.unused (id int PRIMARY KEY, note text)",
            "INSERT INTO planted.unused SELECT i, md5(i::text) FROM generate_series(1, 30000) i",
            "CREATE INDEX unused_note ON planted.unused (note)",
            "ANALYZE planted.unused",
        ],
    ),
    Planted(
        "index twice",
        "index_duplicate",
        'planted."twice_when Again"',
        'DROP INDEX CONCURRENTLY planted."twice_when Again";',
        [
            'CREATE TABLE planted."Twice" (id int PRIMARY KEY, "When" timestamptz)',
            'CREATE INDEX twice_when ON planted."Twice" ("When" DESC)',
            'CREATE INDEX "twice_when Again" ON planted."Twice" ("When" DESC)',
        ],
    ),
    Planted(
        "index that another begins with",
        "index_duplicate",
        "planted.prefix_a",
        "DROP INDEX CONCURRENTLY planted.prefix_a;",
        [
            "CREATE TABLE planted.prefix (id int PRIMARY KEY, a int, b int)",
            "CREATE INDEX prefix_a ON planted.prefix (a)",
            "CREATE INDEX prefix_a_b ON planted.prefix (a, b)",
        ],
    ),
    Planted(
        "invalid index",
        "index_invalid",
        "planted.invalid_value",
        "REINDEX INDEX CONCURRENTLY planted.invalid_value;",
        [
            "CREATE TABLE planted.invalid (id int PRIMARY KEY, value int)",
            "INSERT INTO planted.invalid VALUES (1, 1)",
            *INVALID,
        ],
        again=INVALID,
    ),
    Planted(
        "bloated index",
        "index_bloat",
        "planted.bloated_pkey",
        "REINDEX INDEX CONCURRENTLY planted.bloated_pkey;",
        ["CREATE TABLE planted.bloated (id text PRIMARY KEY, value int)", *BLOAT],
        again=BLOAT,
    ),
    Planted(
        "bloated table",
        "table_bloat",
        "planted.bloated",
        "VACUUM (FULL, ANALYZE) planted.bloated;",
        again=BLOAT,
    ),
    Planted(
        "missing index",
        "missing_index",
        'planted.orders ("customer")',
        'ON planted.orders ("customer")',
        [
            "CREATE TABLE planted.orders (id int PRIMARY KEY, customer text, total int)",
            (
                "INSERT INTO planted.orders"
                " SELECT i, (i % 9000)::text, i FROM generate_series(1, 60000) i"
            ),
            "ANALYZE planted.orders",
        ],
        SCANS,
    ),
    Planted(
        "sorts that go to disk",
        "slow_statement",
        "statement ",
        "SET work_mem = ",
        [
            "CREATE TABLE planted.words (id int PRIMARY KEY, word text)",
            "INSERT INTO planted.words SELECT i, md5(i::text) FROM generate_series(1, 100000) i",
            "ANALYZE planted.words",
            LITTLE_MEMORY,
        ],
        SORTS,
        again=[LITTLE_MEMORY],
    ),
    Planted(
        "stale statistics",
        "stale_statistics",
        "planted.stale",
        "ANALYZE planted.stale;",
        [
            f"CREATE TABLE planted.stale (id int PRIMARY KEY, value int) {_QUIET}",
            *STALE,
        ],
        again=STALE,
    ),
    Planted(
        "dead rows",
        "vacuum_debt",
        "planted.dead",
        "VACUUM (ANALYZE) planted.dead;",
        [
            f"CREATE TABLE planted.dead (id int PRIMARY KEY, value int) {_QUIET}",
            *DEAD,
        ],
        again=DEAD,
    ),
    Planted(
        "sequence at its end",
        "sequence_near_end",
        "planted.ending_id_seq",
        "ALTER TABLE planted.ending ALTER COLUMN id TYPE bigint;",
        [
            "CREATE TABLE planted.ending (id serial PRIMARY KEY)",
            "SELECT setval('planted.ending_id_seq', 2000000000)",
        ],
    ),
    Planted(
        "identity at its end",
        "sequence_near_end",
        "planted.short_id_seq",
        "ALTER TABLE planted.short ALTER COLUMN id TYPE bigint;",
        [
            "CREATE TABLE planted.short (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
            "SELECT setval('planted.short_id_seq', 30000)",
        ],
    ),
    Planted(
        "foreign key without index",
        "foreign_key_without_index",
        "planted.child (parent_id)",
        "ON planted.child (parent_id);",
        [
            "CREATE TABLE planted.parent (id int PRIMARY KEY)",
            "INSERT INTO planted.parent SELECT generate_series(1, 100)",
            (
                "CREATE TABLE planted.child (id int PRIMARY KEY, parent_id int"
                " REFERENCES planted.parent)"
            ),
            "INSERT INTO planted.child SELECT i, 1 + i % 100 FROM generate_series(1, 12000) i",
            "ANALYZE planted.child",
        ],
    ),
    Planted(
        "table without primary key",
        "no_primary_key",
        "planted.keyless",
        "ADD PRIMARY KEY USING INDEX keyless_code;",
        [
            "CREATE TABLE planted.keyless (code int NOT NULL, note text)",
            "INSERT INTO planted.keyless SELECT i, 'x' FROM generate_series(1, 2000) i",
            "CREATE UNIQUE INDEX keyless_code ON planted.keyless (code)",
            "ANALYZE planted.keyless",
        ],
    ),
    Planted(
        "constraint not validated",
        "constraint_not_validated",
        "planted.unproven",
        "VALIDATE CONSTRAINT positive;",
        [
            "CREATE TABLE planted.unproven (id int PRIMARY KEY, value int)",
            "ALTER TABLE planted.unproven ADD CONSTRAINT positive CHECK (value > 0) NOT VALID",
        ],
    ),
    Planted(
        "schema open to all",
        "public_grant",
        "planted",
        "REVOKE CREATE ON SCHEMA planted FROM PUBLIC;",
        ["GRANT CREATE ON SCHEMA planted TO PUBLIC"],
        again=["GRANT CREATE ON SCHEMA planted TO PUBLIC"],
    ),
    Planted(
        "table open to all",
        "public_grant",
        "planted.open",
        "REVOKE ALL ON planted.open FROM PUBLIC;",
        [
            "CREATE TABLE planted.open (id int PRIMARY KEY)",
            "GRANT SELECT, UPDATE ON planted.open TO PUBLIC",
        ],
        again=["GRANT SELECT, UPDATE ON planted.open TO PUBLIC"],
    ),
    Planted(
        "function with its owner's rights",
        "security_definer",
        "planted.whoami(integer)",
        "SET search_path = pg_catalog, planted, pg_temp;",
        [
            (
                "CREATE FUNCTION planted.whoami(int) RETURNS text LANGUAGE sql SECURITY DEFINER"
                " AS 'SELECT current_user::text'"
            ),
        ],
    ),
    Planted(
        "statement that got slower",
        "regressed_statement",
        "statement ",
        "ANALYZE planted.marks;",
        [
            f"CREATE TABLE planted.marks (id int PRIMARY KEY, flag int) {_QUIET}",
            "CREATE INDEX marks_flag ON planted.marks (flag)",
            *MARKS,
        ],
        (REGRESSING,) * 60,
        then=[REGRESS],
        again=MARKS,
    ),
)


def _set(name: str, value: str, rule: str) -> Planted:
    return Planted(
        f"{name} = {value}",
        rule,
        name,
        f"ALTER SYSTEM SET {name} = ",
        [f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()"],
    )


IN_A_SERVER: tuple[Planted, ...] = (
    _set("fsync", "off", "unsafe_setting"),
    _set("full_page_writes", "off", "unsafe_setting"),
    _set("autovacuum", "off", "unsafe_setting"),
    _set("work_mem", "8GB", "machine_setting"),
    _set("effective_cache_size", "1MB", "machine_setting"),
    _set("password_encryption", "md5", "encryption"),
    Planted(
        "superuser",
        "superuser_login",
        '"All Powers"',
        'ALTER ROLE "All Powers" NOSUPERUSER;',
        ["""CREATE ROLE "All Powers" LOGIN SUPERUSER PASSWORD 'x'"""],
    ),
    Planted(
        "slot that nobody reads",
        "replication_slot",
        "gone",
        "SELECT pg_drop_replication_slot('gone');",
        ["SELECT pg_create_physical_replication_slot('gone', true)"],
    ),
    Planted(
        "checkpoints by WAL",
        "checkpoints",
        "max_wal_size",
        "ALTER SYSTEM SET max_wal_size = ",
        [
            "ALTER SYSTEM SET max_wal_size = '32MB'",
            # as many as are counted, whatever the pace: none more is begun by the server
            "ALTER SYSTEM SET checkpoint_completion_target = 0",
            "SELECT pg_reload_conf()",
            *["SELECT pg_logical_emit_message(false, '', repeat('-', 13000000))", "CHECKPOINT"]
            * 25,
        ],
    ),
    Planted(
        "archive that fails",
        "archiving",
        "archive_command",
        "pg_stat_reset_shared('archiver');",
        [
            "ALTER SYSTEM SET archive_command = '/bin/false'",
            "SELECT pg_reload_conf()",
            "CREATE TABLE written (id int PRIMARY KEY)",
            "SELECT pg_switch_wal()",
        ],
    ),
    Planted(
        "standby that commits wait for",
        "replication_lag",
        "synchronous_standby_names",
        "ALTER SYSTEM SET synchronous_standby_names = '';",
        [
            "ALTER SYSTEM SET synchronous_standby_names = 'missing'",
            "SELECT pg_reload_conf()",
        ],
    ),
)
IN_FILES = Planted("trust", "client_authentication", "pg_hba.conf:2", "scram-sha-256")
IN_SESSIONS: tuple[Planted, ...] = (
    Planted("idle transaction", "idle_in_transaction", "pid ", "SELECT pg_terminate_backend("),
    Planted("lock chain", "lock_chain", "pid ", "SELECT pg_terminate_backend("),
    Planted("long statement", "long_statement", "pid ", "SELECT pg_cancel_backend("),
    Planted("prepared", "prepared_transaction", "it's gone", "ROLLBACK PREPARED 'it''s gone';"),
    Planted("held vacuum", "vacuum_debt", "public.held", "SELECT pg_terminate_backend("),
)
IN_THE_IDS: tuple[Planted, ...] = (
    Planted("transaction ids", "transaction_ids", "postgres", "VACUUM (FREEZE);"),
    Planted("multixact ids", "multixact_ids", "postgres", "VACUUM (FREEZE);"),
)
