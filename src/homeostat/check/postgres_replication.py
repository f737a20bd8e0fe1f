"""What keeps PostgreSQL's data when something is lost: standbys, slots, archive, checksums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_settings import settings
from homeostat.check.report import Cost, Finding
from homeostat.check.words import span
from homeostat.measure import Severity, size_text

MINUTES_10 = 600.0


def _lag(look: Look) -> Iterator[Finding]:
    own = look.row("replica")
    if own["is_paused"]:
        yield _paused(own)
    elif own["lag_seconds"] is not None:
        yield from _late(look, "this standby", own["lag_seconds"], 0.0)
    for row in look.rows("standbys"):
        if row["lag_bytes"] is None:
            continue
        name = f"standby {row['application'] or row['pid']} ({row['client']})"
        yield from _late(look, name, row["lag_seconds"], row["lag_bytes"])
    yield from _missing_synchronous(look)


def _paused(row: Mapping[str, Any]) -> Finding:
    return Finding(
        severity=Severity.HIGH,
        what="this standby does not replay: it is paused",
        where="pg_is_wal_replay_paused()",
        cause="somebody called pg_wal_replay_pause()",
        evidence={"lag_seconds": row["lag_seconds"]},
        mend_sql="SELECT pg_wal_replay_resume();",
        risk="None, unless it was paused to keep a moment.",
        cost=Cost(kind="risk", amount=0.9),
    )


def _late(look: Look, name: str, seconds: float, amount: float) -> Iterator[Finding]:
    limits = look.config.check
    high = seconds >= limits.replication_lag_high_seconds or amount >= limits.replication_lag_bytes
    if not high and seconds < limits.replication_lag_warning_seconds:
        return
    yield Finding(
        severity=Severity.HIGH if high else Severity.WARNING,
        what=f"{name} is {span(seconds)} and {size_text(amount)} behind",
        where=name,
        cause="it, its disk or the network is slower than what is written, or a query holds it up",
        evidence={"lag_seconds": seconds, "lag_bytes": amount},
        mend_sql=(
            "-- On the standby: look for long statements (they hold up replay), its disk and the "
            "network; hot_standby_feedback = on lets queries and replay go together."
        ),
        risk="None from looking.",
        cost=Cost(kind="risk", amount=min(1.0, seconds / 300 + amount / 1e9)),
    )


def _missing_synchronous(look: Look) -> Iterator[Finding]:
    wanted = settings(look).get("synchronous_standby_names", "")
    if not wanted or any(row["sync_state"] in {"sync", "quorum"} for row in look.rows("standbys")):
        return
    if settings(look).get("synchronous_commit") in {"off", "local"}:
        return
    yield Finding(
        severity=Severity.CRITICAL,
        what="commits wait for a synchronous standby and none is connected",
        where="synchronous_standby_names",
        cause=f"synchronous_standby_names is {wanted!r}, and no standby that it names is connected",
        evidence={"standbys": len(look.rows("standbys"))},
        mend_sql=(
            "ALTER SYSTEM SET synchronous_standby_names = '';\nSELECT pg_reload_conf();\n"
            "-- Or connect the standby again."
        ),
        risk="Without it a commit may be lost together with this server.",
        cost=Cost(kind="risk", amount=1.0),
    )


def _slot(look: Look) -> Iterator[Finding]:
    for row in look.rows("slots"):
        if row["is_active"] or row["is_temporary"]:
            continue
        kept = row["kept_bytes"] or 0.0
        name = row["name"].replace("'", "''")
        lost = row["wal_status"] == "lost"
        yield Finding(
            severity=Severity.HIGH if row["kept_max"] == "-1" else Severity.WARNING,
            what=f"nobody reads replication slot {row['name']}; {size_text(kept)} of WAL are kept",
            where=row["name"],
            cause=(
                "what it needed is gone already; it can never be used again"
                if lost
                else "its standby or subscriber is gone; WAL is kept until the disk is full"
                if row["kept_max"] == "-1"
                else f"its standby or subscriber is gone; WAL is kept up to {row['kept_max']}"
            ),
            evidence={"kept_bytes": kept, "type": row["type"], "wal_status": row["wal_status"]},
            mend_sql=f"SELECT pg_drop_replication_slot('{name}');",
            risk="Its reader has to be copied anew if it comes back: make sure that it will not.",
            cost=Cost(kind="risk", amount=1.0 if kept >= 1e9 else 0.6),
        )


def _archiving(look: Look) -> Iterator[Finding]:
    row = look.row("archiver")
    if row.get("is_failing"):
        since = row["archived_seconds"]
        yield Finding(
            severity=Severity.CRITICAL if (since or MINUTES_10) >= MINUTES_10 else Severity.HIGH,
            what=f"WAL cannot be archived: {row['failed']:.0f} tries failed",
            where="archive_command",
            cause=(
                f"archive_command fails for {row['last_failed_wal']}; the server's log says why. "
                "Backups cannot be restored past it, and pg_wal grows until the disk is full"
            ),
            evidence={
                "failed": row["failed"],
                "failed_seconds": row["failed_seconds"],
                "archived_seconds": since,
                "last_failed_wal": row["last_failed_wal"],
            },
            mend_sql=(
                "-- Correct the place or the rights that archive_command needs (see the server's "
                "log). Then count anew:\nSELECT pg_stat_reset_shared('archiver');"
            ),
            risk="None.",
            cost=Cost(kind="risk", amount=1.0),
        )
        return
    database = look.row("database")
    unsaved = row.get("mode") == "off" and not database["standbys"] and not database["is_replica"]
    if unsaved and database["bytes"] >= look.config.check.database_bytes_min:
        yield Finding(
            severity=Severity.INFO,
            what="WAL is not archived and no standby is connected",
            where="archive_mode",
            cause="if the disk is lost, so is everything since the last dump",
            evidence={"database_bytes": database["bytes"]},
            mend_sql=(
                "ALTER SYSTEM SET archive_mode = on;\n"
                "-- and archive_command to a program that keeps WAL elsewhere (pgBackRest, WAL-G); "
                "then restart the server."
            ),
            risk="A restart; an archive_command that fails keeps WAL until the disk is full.",
            cost=Cost(kind="risk", amount=0.5),
        )


def _checksums(look: Look) -> Iterator[Finding]:
    failures = look.row("database")["checksum_failures"]
    if failures:
        yield Finding(
            severity=Severity.CRITICAL,
            what=f"{failures:.0f} pages were read whose checksum is wrong",
            where=look.row("database")["name"],
            cause="the disk, its controller or the memory gave back something else than written",
            evidence={"checksum_failures": failures},
            mend_sql=(
                "-- Fail over to a standby or restore a backup, then replace the hardware. The "
                "server's log names the files."
            ),
            risk="Going on writes more onto a disk that loses data.",
            cost=Cost(kind="risk", amount=1.0),
        )
    if look.row("archiver").get("checksums") == "off":
        yield Finding(
            severity=Severity.INFO,
            what="pages have no checksums: a disk that loses data is not noticed",
            where="data_checksums",
            cause="the cluster was made without (the default of initdb up to PostgreSQL 17)",
            evidence={"data_checksums": "off"},
            mend_sql=(
                "-- With the server stopped: pg_checksums --enable -D DATA_DIRECTORY (reads and "
                "writes every page), standbys first, then start it."
            ),
            risk="The server is down meanwhile, some seconds for each GB; then a little more CPU.",
            cost=Cost(kind="risk", amount=0.2),
        )


CHECKS = (
    Check(
        rule="replication_lag",
        dialect="postgresql",
        sees="how far standbys are behind",
        help=(
            "A standby is behind, paused, or the one that commits wait for is not there. Reads "
            "from it are old, and failing over loses what it has not got."
        ),
        judge=_lag,
    ),
    Check(
        rule="replication_slot",
        dialect="postgresql",
        sees="replication slots",
        help=(
            "Nobody reads a replication slot. WAL (and dead rows) are kept for it until the disk "
            "is full. Drop it if its reader will not come back."
        ),
        judge=_slot,
    ),
    Check(
        rule="archiving",
        dialect="postgresql",
        sees="the archive of WAL",
        help=(
            "The archive_command fails, so backups end at that moment and the disk fills; or a "
            "large database is neither archived nor replicated."
        ),
        judge=_archiving,
    ),
    Check(
        rule="checksums",
        dialect="postgresql",
        sees="checksums of pages",
        help=(
            "Pages with a wrong checksum were read, or there are no checksums at all, so that a "
            "disk that loses data goes unnoticed."
        ),
        judge=_checksums,
    ),
)
