"""Indexes of PostgreSQL that cost and do not serve, and foreign keys that none serves.

An index is never called unused that is unique, backs a constraint or a foreign key, or may be used
by a standby, whose use is not counted here; nor before statistics have counted for some days and
the table was busy meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import (
    ROW_MS,
    Row,
    counted_seconds,
    drop_index,
    holders_of,
    index_scans,
    indexes_of,
    key_columns,
    row_count,
    serves,
    tables,
)
from homeostat.check.postgres_workload import workload
from homeostat.check.report import Cost, Finding
from homeostat.check.words import span
from homeostat.engine.candidates import name_of
from homeostat.measure import Severity, size_text

DAY_SECONDS = 86_400.0
BUILD_LEFTOVERS = ("_ccnew", "_ccold")  # what REINDEX CONCURRENTLY calls the new and the old one
DROP_RISK = (
    "Low: takes a short lock and waits for running transactions. Keep the definition, to create it "
    "again if a statement turns out to need it."
)


def _unused(look: Look) -> Iterator[Finding]:
    database, limits = look.row("database"), look.config.check
    supporting = _supporting(look)
    idle = [
        index
        for index in look.rows("indexes")
        if not index["scans"] and _may_go(index) and index["oid"] not in supporting
        and index["bytes"] >= limits.unused_bytes_min
    ]  # fmt: skip
    if not idle:
        return
    if database["is_replica"] or database["standbys"]:
        look.miss(
            "the use of indexes on standbys",
            reason="a standby counts the use of indexes for itself, so none is called unused here",
            mend="Check every server of the group; drop what none of them uses.",
        )
        return
    days = counted_seconds(look) / DAY_SECONDS
    if days < limits.unused_days:
        look.miss(
            f"whether {len(idle)} indexes without a scan are needed",
            reason=f"statistics count for {span(days * DAY_SECONDS)} only",
            mend=f"Check again when they have counted for {limits.unused_days:g} days.",
        )
        return
    known, scanned = tables(look), index_scans(look)
    for index in idle:
        table = known.get(index["table_oid"])
        if table is None:
            continue
        scans = table["seq_scans"] + scanned[index["table_oid"]]
        if scans + table["written"] < limits.unused_activity_min:
            continue
        yield Finding(
            severity=Severity.WARNING if index["bytes"] >= 100e6 else Severity.INFO,
            what=f"index {index['name']} takes {size_text(index['bytes'])} and was never used",
            where=index["name"],
            cause=f"no scan used it in {span(days * DAY_SECONDS)}, yet every write keeps it up",
            evidence={
                "table": index["table_name"],
                "index_bytes": index["bytes"],
                "scans": index["scans"],
                "table_scans": scans,
                "rows_written": table["written"],
                "counted_days": round(days, 1),
            },
            mend_sql=drop_index(index),
            risk=DROP_RISK,
            cost=Cost(kind="bytes", amount=index["bytes"]),
        )


def _may_go(index: Row) -> bool:
    """Return whether nothing but speed hangs on an index."""
    needed = index["is_unique"] or index["is_constraint"] or index["is_identity"]
    return not needed and index["is_valid"] and not index["is_part"] and index["kind"] == "i"


def _supporting(look: Look) -> set[int]:
    """Return the indexes by which rows that refer to another table's row are found."""
    there = indexes_of(look)
    return {
        index["oid"]
        for key in look.rows("foreign_keys")
        for held in holders_of(key, look)
        for index in there.get(held["table_oid"], ())
        if serves(index, key, held["numbers"])
    }


def _duplicate(look: Look) -> Iterator[Finding]:
    for there in indexes_of(look).values():
        for index in there:
            kept = next((one for one in there if _replaces(one, index)), None)
            if kept is None:
                continue
            same = len(key_columns(kept)) == len(key_columns(index))
            how = "is the same as" if same else "is the beginning of"
            yield Finding(
                severity=Severity.WARNING if index["bytes"] >= 100e6 else Severity.INFO,
                what=f"index {index['name']} {how} {kept['name']}",
                where=index["name"],
                cause=f"whatever it finds, {kept['name']} finds too; every write keeps up both",
                evidence={
                    "table": index["table_name"],
                    "kept": kept["name"],
                    "index_bytes": index["bytes"],
                    "kept_bytes": kept["bytes"],
                    "scans": index["scans"],
                },
                mend_sql=drop_index(index),
                risk=f"{DROP_RISK} Scans that used it go over to {kept['name']}.",
                cost=Cost(kind="bytes", amount=index["bytes"]),
            )


def _replaces(kept: Row, index: Row) -> bool:
    """Return whether `kept` finds all that `index` finds, and `index` is the one to go."""
    comparable = (
        kept["oid"] != index["oid"]
        and kept["is_valid"]
        and index["is_valid"]
        and not (index["is_part"] or index["is_constraint"] or index["is_identity"])
        and (kept["method"], kept["condition"]) == (index["method"], index["condition"])
    )
    if not comparable:
        return False
    mine, theirs = _columns(index), _columns(kept)
    if mine == theirs and kept["expressions"] == index["expressions"]:
        if index["is_unique"] and not kept["is_unique"]:
            return False
        better = (kept["is_constraint"] or kept["is_identity"], kept["is_unique"], -kept["oid"])
        return better > (False, index["is_unique"], -index["oid"])
    if index["is_unique"] or index["method"] != "btree" or index["expressions"]:
        return False
    covers_all = len(index["columns"].split()) == index["key_count"]
    return covers_all and len(theirs) > len(mine) and theirs[: len(mine)] == mine


def _columns(index: Row) -> list[tuple[str, ...]]:
    """Return the key columns with operator class, collation and direction, then those included."""
    count = index["key_count"]
    parts = [index[name].split() for name in ("columns", "classes", "collations", "options")]
    keys = list(zip(*(part[:count] for part in parts), strict=True))
    return [*keys, *((number, "included") for number in sorted(parts[0][count:]))]


def _invalid(look: Look) -> Iterator[Finding]:
    for index in look.rows("indexes"):
        if index["is_valid"] or index["is_building"] or index["kind"] != "i":
            continue
        leftover = any(word in index["bare_name"] for word in BUILD_LEFTOVERS)
        yield Finding(
            severity=Severity.HIGH if index["is_unique"] else Severity.WARNING,
            what=f"index {index['name']} is invalid: it is kept up and never used",
            where=index["name"],
            cause=(
                "a REINDEX CONCURRENTLY was interrupted and left it"
                if leftover
                else "CREATE INDEX CONCURRENTLY or a REINDEX was interrupted, or found a duplicate"
            ),
            evidence={"table": index["table_name"], "index_bytes": index["bytes"]},
            mend_sql=(
                drop_index(index) if leftover else f"REINDEX INDEX CONCURRENTLY {index['name']};"
            ),
            risk=(
                "Low: it serves nobody."
                if leftover
                else "Low: writers go on meanwhile. A unique one fails again while duplicates are "
                "in the table: remove them first, or drop the index."
            ),
            cost=Cost(kind="bytes", amount=index["bytes"]),
        )


def _foreign_key(look: Look) -> Iterator[Finding]:
    known, load = tables(look), workload(look)
    told: set[tuple[int, str]] = set()  # two keys may have the same columns
    for key in look.rows("foreign_keys"):
        table = known.get(key["table_oid"])
        if table is None:
            continue
        rows = _rows_of_whole(table, look)
        if rows < look.config.check.foreign_key_rows_min:
            continue
        if _served(key, look):
            continue
        parent = known.get(key["parent_oid"])
        columns = ", ".join(key["columns"])
        index = name_of(table["table_name"], key["bare_columns"], None)
        if load is not None and index in load.indexes:  # a statement needs the same: missing_index
            continue
        if (key["table_oid"], index) in told:
            continue
        told.add((key["table_oid"], index))
        how = "" if table["kind"] == "p" else "CONCURRENTLY "
        yield Finding(
            severity=Severity.WARNING,
            what=f"no index serves the foreign key {key['name']} of {table['name']}",
            where=f"{table['name']} ({columns})",
            cause=(
                f"deleting a row of {key['parent_name']}, or changing its key, reads all of "
                f"{table['name']}"
            ),
            evidence={
                "constraint": key["name"],
                "rows": rows,
                "parent": key["parent_name"],
                "parent_rows": row_count(parent) if parent else None,
            },
            mend_sql=f"CREATE INDEX {how}{index} ON {table['name']} ({columns});",
            risk=(
                "Low: writers go on while it is built; takes disk space, and each write some more."
                if how
                else "Writers of the table wait while it is built; takes disk space."
            ),
            cost=Cost(kind="time", amount=_deleting_ms(parent, rows) / counted_seconds(look)),
        )


def _served(key: Row, look: Look) -> bool:
    """Return whether each table that holds a foreign key's rows has an index that finds them."""
    there = indexes_of(look)
    return all(
        any(serves(index, key, held["numbers"]) for index in there.get(held["table_oid"], ()))
        for held in holders_of(key, look)
    )


def _deleting_ms(parent: Row | None, rows: float) -> float:
    """Return what the deletes counted of the table referred to have cost: a scan each."""
    return float(parent["deleted"]) * rows * ROW_MS if parent else 0.0


def _rows_of_whole(table: Row, look: Look) -> float:
    """Return a table's rows; one in parts has none itself, so its statistics are all there is."""
    if table["kind"] != "p":
        return row_count(table)
    return float(table["rows_counted"] or look.config.check.foreign_key_rows_min)


CHECKS = (
    Check(
        rule="index_invalid",
        dialect="postgresql",
        sees="invalid indexes",
        help=(
            "An interrupted CREATE INDEX CONCURRENTLY or REINDEX left an index that every write "
            "keeps up and no scan uses. Build it again, or drop what is left of a rebuild."
        ),
        judge=_invalid,
    ),
    Check(
        rule="index_duplicate",
        dialect="postgresql",
        sees="duplicate indexes",
        help=(
            "Another index finds all that this one finds: it is the same, or begins with the same "
            "columns. Drop this one. One that backs a constraint is never named."
        ),
        judge=_duplicate,
    ),
    Check(
        rule="index_unused",
        dialect="postgresql",
        sees="the use of indexes",
        help=(
            "No scan has used the index since statistics count, which must be some days of a busy "
            "table. Never a unique one, one of a constraint or foreign key, or on a server with "
            "standbys, whose use is not seen from here. Drop it and keep the definition."
        ),
        judge=_unused,
    ),
    Check(
        rule="foreign_key_without_index",
        dialect="postgresql",
        sees="indexes for foreign keys",
        help=(
            "A foreign key from a table of many rows has no index with its columns first: each "
            "delete in the table it refers to reads the whole table. Create the index."
        ),
        judge=_foreign_key,
    ),
)
