"""Tables of PostgreSQL: statistics, dead rows, scans from end to end, keys and sequences."""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import (
    ROW_MS,
    Row,
    counted_seconds,
    index_scans,
    row_count,
    tables,
)
from homeostat.check.postgres_workload import workload
from homeostat.check.report import Cost, Finding
from homeostat.check.words import span
from homeostat.driver.tokens import comment
from homeostat.measure import Severity

COUNTED_SECONDS = 60.0
AUTOVACUUM_ROWS = 50.0  # autovacuum_analyze_threshold's default
SLOT_ROWS_MAX = 10.0  # dead rows a transaction, our choice: the same order as its age
_RISKS = {
    "nobody": "Low: readers and writers go on; costs I/O.",
    "session": "Ends the transaction that the session has open; the vacuum only costs I/O.",
    "prepared": (
        "Undoes what was prepared: ask its transaction manager first; the vacuum only costs I/O."
    ),
    "slot": "Low: the vacuum only costs I/O, but removes nothing while the slot holds the rows.",
}


def _stale_statistics(look: Look) -> Iterator[Finding]:
    limits = look.config
    for table in tables(look).values():
        rows = row_count(table)
        if table["kind"] != "r" or max(rows, table["changed"]) < limits.check.rows_min:
            continue
        never = not table["is_counted"] and table["analysed_seconds"] is None
        # twice what autovacuum waits for: until then it is not late
        late = 2 * (limits.tune.changed_share * rows + AUTOVACUUM_ROWS)
        if (not never and table["changed"] <= late) or _counted_late(table):
            continue
        share = table["changed"] / rows if rows else 1.0
        yield Finding(
            severity=Severity.WARNING,
            what=(
                f"{table['name']} has no statistics"
                if never
                else f"{100 * share:.0f} % of {table['name']} changed since its statistics"
            ),
            where=table["name"],
            cause=_upkeep_cause(table, look, "analyses it at the next turn (every minute)"),
            evidence={
                "rows": rows,
                "rows_changed": table["changed"],
                "analysed_seconds": table["analysed_seconds"],
            },
            mend_sql=f"ANALYZE {table['name']};" + _autovacuum_again(table),
            risk="Low: reads a sample of the table; plans may change, mostly for the better.",
            cost=Cost(kind="time", amount=table["seq_rows"] * ROW_MS / counted_seconds(look)),
        )


def _counted_late(table: Row) -> bool:
    """Return whether ANALYZE has just seen what is counted as changed since.

    A session tells what it changed some time after it did, so an ANALYZE that it ran itself may
    come before in the count. The size shows that it has seen them.
    """
    seconds = table["analysed_seconds"]
    if seconds is None or seconds > COUNTED_SECONDS:
        return False
    return bool(table["bytes_counted"] >= 0.9 * (table["bytes"] or 0.0))


def _upkeep_cause(table: Row, look: Look, otherwise: str) -> str:
    """Return why upkeep did not happen by itself."""
    del look
    if table["without_autovacuum"]:
        return "autovacuum is turned off for the table"
    return f"autovacuum has not come by; if it is on, it {otherwise}"


def _autovacuum_again(table: Row) -> str:
    if not table["without_autovacuum"]:
        return ""
    return f"\nALTER TABLE {table['name']} RESET (autovacuum_enabled);"


def _vacuum_debt(look: Look) -> Iterator[Finding]:
    limits = look.config.check
    for table in tables(look).values():
        whole = table["live"] + table["dead"]
        share = table["dead"] / whole if whole else 0.0
        if share < limits.dead_rows_share or table["dead"] <= limits.dead_rows_min:
            continue
        holder = _holder(look, table)
        width = table["bytes"] / whole if table["bytes"] else 0.0
        yield Finding(
            severity=Severity.HIGH if share >= 0.5 else Severity.WARNING,
            what=f"{100 * share:.0f} % of the rows of {table['name']} are dead",
            where=table["name"],
            cause=(
                _holder_cause(holder)
                if holder
                else _upkeep_cause(table, look, "waits for 20 % of the rows")
            ),
            evidence={
                "rows_dead": table["dead"],
                "rows_live": table["live"],
                "vacuumed_seconds": table["vacuumed_seconds"],
                "table_bytes": table["bytes"],
            },
            mend_sql="\n".join(
                [
                    *([_release(holder)] if holder else []),
                    f"VACUUM (ANALYZE) {table['name']};" + _autovacuum_again(table),
                ]
            ),
            risk=_RISKS[str(holder["kind"]) if holder else "nobody"],
            cost=Cost(kind="bytes", amount=table["dead"] * width),
        )


def _holder(look: Look, table: Row) -> Row | None:
    """Return what has kept a table's dead rows from being removed for long, if something has."""
    limits = look.config.monitor
    for row in look.rows("horizon"):
        old = row["seconds"] is None or row["seconds"] >= limits.idle_transaction_seconds
        if row["kind"] == "slot":
            # It does not say since when, so its age has to explain the dead rows. One of a few
            # transactions is about as new as they are; blamed wrongly, a standby is lost.
            if row["age"] * SLOT_ROWS_MAX >= table["dead"]:
                return row
        elif old and row["kind"] != "standby" and row["age"] > 1:
            return row
    return None


def _holder_cause(holder: Row) -> str:
    since = f" for {span(holder['seconds'])}" if holder["seconds"] is not None else ""
    names = {
        "session": f"session {holder['pid']} ({holder['name']}, user {holder['role']})",
        "slot": f"replication slot {holder['name']}",
        "prepared": f"prepared transaction {holder['name']}",
    }
    return f"{names[holder['kind']]} keeps them visible{since}: VACUUM cannot remove them"


def _release(holder: Row) -> str:
    name = str(holder["name"]).replace("'", "''")
    return {
        "session": f"SELECT pg_terminate_backend({holder['pid']});",
        "slot": (
            "-- See the finding replication_slot: once its reader has caught up, or the slot is "
            "dropped:"
        ),
        "prepared": f"ROLLBACK PREPARED '{name}';",
    }[str(holder["kind"])]


def _no_primary_key(look: Look) -> Iterator[Finding]:
    known = tables(look)
    for row in look.rows("primary_keys"):
        table = known.get(row["oid"])
        if table is None or row_count(table) < look.config.check.rows_min:
            continue
        if row["is_published"] and table["replica_identity"] in {"f", "i"}:
            continue
        name = table["name"]
        mend, risk = _new_key(name, row)
        yield Finding(
            severity=Severity.HIGH if row["is_published"] else Severity.INFO,
            what=f"{name} has no primary key",
            where=name,
            cause=(
                "a publication sends it: its updates and deletes fail"
                if row["is_published"]
                else "one row cannot be told from another; it cannot be replicated logically"
            ),
            evidence={"rows": row_count(table), "unique_index": row["unique_index"]},
            mend_sql=mend,
            risk=risk,
            cost=Cost(kind="risk", amount=0.5 if row["is_published"] else 0.1),
        )


def _new_key(name: str, row: Row) -> tuple[str, str]:
    """Return how a table gets a primary key, and the risk of that."""
    if row["is_whole"]:
        return (
            comment(f"ALTER TABLE {name} ADD PRIMARY KEY (...), by what tells rows apart."),
            "Builds an index on every part under an exclusive lock.",
        )
    if row["unique_index"]:
        return (
            f"ALTER TABLE {name} ADD PRIMARY KEY USING INDEX {row['unique_index']};",
            "Low: a short exclusive lock; the index is there and no column takes null.",
        )
    column = "row_id" if row["has_id"] else "id"
    return (
        f"ALTER TABLE {name} ADD COLUMN {column} bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;",
        (
            "Writes the whole table anew under an exclusive lock, and INSERTs without a list of "
            "columns fail afterwards. Prefer columns that identify a row already."
        ),
    )


def _not_valid(look: Look) -> Iterator[Finding]:
    kinds = {"f": "foreign key", "c": "check"}
    for row in look.rows("not_valid"):
        yield Finding(
            severity=Severity.INFO,
            what=f"the {kinds[row['kind']]} {row['name']} of {row['table_name']} is not validated",
            where=f"{row['table_name']} ({row['name']})",
            cause="it was added NOT VALID: rows that were there before may break it",
            evidence={"rows": row["rows_counted"]},
            mend_sql=f"ALTER TABLE {row['table_name']} VALIDATE CONSTRAINT {row['name']};",
            risk="Reads the table; writers go on. Fails, and changes nothing, if a row breaks it.",
            cost=Cost(kind="risk", amount=0.2),
        )


def _sequence_near_end(look: Look) -> Iterator[Finding]:
    limits, hidden = look.config.check, set()
    for row in look.rows("sequences"):
        if not row["is_readable"]:
            hidden.add(row["schema_name"])
        if row["last_value"] is None or row["cycles"] or row["step"] <= 0:
            continue
        share = (row["last_value"] - row["smallest"]) / (row["largest"] - row["smallest"])
        if share < limits.sequence_share:
            continue
        yield Finding(
            severity=Severity.CRITICAL if share >= 0.9 else Severity.HIGH,
            what=f"sequence {row['name']} has used {100 * share:.0f} % of its numbers",
            where=row["name"],
            cause=(
                f"{row['table_name']}.{row['column_name']} is {row['column_type']}; INSERTs fail "
                "at its end"
                if row["table_name"]
                else f"it is of type {row['type']}; nextval fails at its end"
            ),
            evidence={"last_value": row["last_value"], "largest": row["largest"]},
            mend_sql=_widen(row),
            risk=(
                "Writes the whole table anew under an exclusive lock: on a large one add a bigint "
                "column, fill it in steps, and swap. Columns that refer to it need the same."
                if row["table_name"]
                else "Low: a short lock. Programs that keep its numbers in 32 bits fail later."
            ),
            cost=Cost(kind="risk", amount=share),
        )
    if hidden:
        schemas = ", ".join(sorted(hidden))
        look.miss(
            f"how far the sequences of {schemas} are",
            reason="this role may not read them",
            mend=f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schemas} TO {look.role};",
        )


def _widen(row: Row) -> str:
    column = (
        f"ALTER TABLE {row['table_name']} ALTER COLUMN {row['column_name']} TYPE bigint;\n"
        if row["table_name"]
        else ""
    )
    return f"{column}ALTER SEQUENCE {row['name']} AS bigint NO MAXVALUE;"


def _sequential_scans(look: Look) -> Iterator[Finding]:
    limits, seconds = look.config.check, counted_seconds(look)
    load, scanned = workload(look), index_scans(look)
    named = load.tables if load else set()
    for oid, table in tables(look).items():
        if table["table_name"].lower() in named:  # missing_index and slow_statement judge it
            continue
        rows = row_count(table)
        scans = table["seq_scans"]
        if rows < limits.scanned_rows_min or scans < limits.sequential_scans_min:
            continue
        by_index = scanned.get(oid, 0.0)
        share = scans / (scans + by_index)
        if share <= limits.sequential_scans_share or table["seq_rows"] / scans < rows / 2:
            continue
        yield Finding(
            severity=Severity.WARNING,
            what=f"{table['name']} was read from end to end {scans:.0f} times",
            where=table["name"],
            cause="statements look for rows by columns that no index begins with",
            evidence={
                "rows": rows,
                "sequential_scans": scans,
                "index_scans": by_index,
                "rows_read": table["seq_rows"],
            },
            mend_sql=(
                "-- See missing_index for the index. Where it is not found: CREATE EXTENSION "
                "pg_stat_statements;\n-- shows the statements that scan it; check after a day."
            ),
            risk="Low: counting statements costs little.",
            cost=Cost(kind="time", amount=table["seq_rows"] * ROW_MS / seconds),
        )


CHECKS = (
    Check(
        rule="vacuum_debt",
        dialect="postgresql",
        sees="dead rows",
        help=(
            "Rows that were deleted or replaced still take space and are still read by scans. The "
            "cause says what keeps VACUUM from removing them: an old transaction or slot, or a "
            "table without autovacuum. Remove that, then VACUUM."
        ),
        judge=_vacuum_debt,
    ),
    Check(
        rule="stale_statistics",
        dialect="postgresql",
        sees="the statistics of tables",
        help=(
            "Much of a table has changed since ANALYZE looked at it (or it never did), so plans "
            "are made for a table that is no more. ANALYZE it."
        ),
        judge=_stale_statistics,
    ),
    Check(
        rule="sequence_near_end",
        dialect="postgresql",
        sees="how far sequences are",
        help=(
            "A sequence, or the integer column it fills, comes to its largest number; INSERTs fail "
            "then. Make both bigint."
        ),
        judge=_sequence_near_end,
    ),
    Check(
        rule="no_primary_key",
        dialect="postgresql",
        sees="primary keys",
        help=(
            "A table with many rows has no primary key: rows cannot be told apart, and updates "
            "fail once it is published for logical replication. Add one."
        ),
        judge=_no_primary_key,
    ),
    Check(
        rule="constraint_not_validated",
        dialect="postgresql",
        sees="constraints that are not validated",
        help=(
            "A constraint was added NOT VALID and never proven for older rows; the planner does "
            "not rely on it either. Validate it."
        ),
        judge=_not_valid,
    ),
    Check(
        rule="sequential_scans",
        dialect="postgresql",
        sees="scans from end to end",
        help=(
            "A table of many rows is often read from end to end. `missing_index` names the index "
            "where the statement is known."
        ),
        judge=_sequential_scans,
    ),
)
