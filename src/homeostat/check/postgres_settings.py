"""Settings of PostgreSQL that lose data, switch off upkeep, or contradict the machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from homeostat.check.check import Check
from homeostat.check.disk import nearly_full
from homeostat.check.look import Look
from homeostat.check.postgres_activity import activity
from homeostat.check.postgres_machine import Machine, machine
from homeostat.check.report import Cost, Finding
from homeostat.check.words import span
from homeostat.measure import Severity, Unknown, size_text

UNITS = {"8kB": 8192.0, "kB": 1024.0, "MB": 1024.0**2, "B": 1.0, "": 1.0}
RANDOM_PAGE_COST_SSD = 1.1
RANDOM_PAGE_COST_HIGH = 3.0  # the default of 4 is for spinning disks
BUFFERS_SHARE = 0.25  # of memory, for shared_buffers (manual, "Memory")
CACHE_SHARE = 0.6  # of memory, for effective_cache_size: what the system's cache is worth
CACHE_SHARE_LOW = 0.15
WORK_MEM_LEAST = 4.0 * 1024**2  # PostgreSQL's default: less has most sorts go to disk
CONNECTIONS_LEAST = 10
PAGES_SHARE_REQUESTED = 0.5  # checkpoints begun by WAL, not by time
WAL_SHARE_REQUESTED = 1 / 3  # of max_wal_size, written for each of them; see _checkpoints
RELOAD = "SELECT pg_reload_conf();"
RESTART = "-- Then restart the server."

SAFETY = {
    "fsync": (
        "on",
        Severity.CRITICAL,
        "a crash of the machine can destroy the whole database",
        "Commits wait for the disk again.",
    ),
    "full_page_writes": (
        "on",
        Severity.CRITICAL,
        "a crash of the machine can leave half-written pages",
        "More WAL after each checkpoint.",
    ),
    "zero_damaged_pages": (
        "off",
        Severity.CRITICAL,
        "damaged pages are emptied as they are read: their rows are gone without a word",
        "Statements that meet a damaged page fail again, as they should.",
    ),
    "ignore_checksum_failure": (
        "off",
        Severity.CRITICAL,
        "pages with wrong checksums are used and spread",
        "Statements that meet a damaged page fail again, as they should.",
    ),
    "autovacuum": (
        "on",
        Severity.HIGH,
        "dead rows stay, statistics grow old, and transaction ids run out",
        "It catches up at once: some I/O for a while.",
    ),
    "track_counts": (
        "on",
        Severity.HIGH,
        "nothing is counted, so autovacuum never knows that it has work",
        "Little: counters are kept in memory.",
    ),
}


def settings(look: Look) -> dict[str, str]:
    """Return the settings in force by name, in their base units; those hidden are left out."""
    return {row["name"]: row["setting"] for row in look.rows("settings")}


def setting_bytes(look: Look, name: str) -> float:
    """Return a setting of memory in bytes."""
    row = next(row for row in look.rows("settings") if row["name"] == name)
    return float(row["setting"]) * UNITS[row["unit"]]


def _set(look: Look, name: str, value: str, *, then: str = RELOAD) -> str:
    """Return how to change a setting; what stands on the command line wins over ALTER SYSTEM."""
    mend = f"ALTER SYSTEM SET {name} = {value};\n{then}"
    sources = {row["name"]: row["source"] for row in look.rows("settings")}
    if sources.get(name) == "command line":
        mend += f"\n-- It is given on the server's command line too: take -c {name} away there."
    return mend


def _safety(look: Look) -> Iterator[Finding]:
    found = {row["name"]: row for row in look.rows("settings")}
    for name, (good, severity, consequence, risk) in SAFETY.items():
        row = found.get(name)
        if row is None or row["setting"] == good:
            continue
        yield Finding(
            severity=severity,
            what=f"{name} is {row['setting']}: {consequence}",
            where=name,
            cause=f"set by {row['source']}",
            evidence={name: row["setting"], "source": row["source"]},
            mend_sql=_set(look, name, good),
            risk=risk,
            cost=Cost(kind="risk", amount=1.0),
        )


def _memory(look: Look) -> Iterator[Finding]:
    here = machine(look)
    if isinstance(here, Unknown):
        look.miss(
            "whether the settings of memory and disk fit the machine",
            reason=here.reason,
            mend="Run the check on the server itself.",
        )
        return
    yield from _shared_buffers(look, here)
    yield from _work_mem(look, here)
    yield from _cache_size(look, here)
    yield from _random_page_cost(look, here)


def _disk(look: Look) -> Iterator[Finding]:
    here, directory = machine(look), settings(look).get("data_directory")
    if isinstance(here, Unknown) or directory is None:
        reason = here.reason if isinstance(here, Unknown) else "this role may not see where it is"
        mend = "Run the check on the server itself, as a member of pg_read_all_settings."
        look.miss("the free disk", reason=reason, mend=mend)
        return
    yield from nearly_full(
        look,
        Path(directory),
        fails="the server stops because it cannot write WAL",
        evidence={"database_bytes": look.row("database")["bytes"]},
    )


def _shared_buffers(look: Look, here: Machine) -> Iterator[Finding]:
    limits, bytes_ = look.config.check, setting_bytes(look, "shared_buffers")
    share = bytes_ / here.memory_bytes
    large = look.row("database")["bytes"] >= max(limits.database_bytes_min, 2 * bytes_)
    if share > limits.memory_share_high:
        cause = "nothing is left for sorts, sessions and the system's own cache"
    elif share < limits.memory_share_low and large:
        cause = "the database is larger than the buffers, and the memory is there"
    else:
        return
    target = _round_megabytes(BUFFERS_SHARE * here.memory_bytes)
    yield Finding(
        severity=Severity.WARNING,
        what=(
            f"shared_buffers is {size_text(bytes_)}: {100 * share:.0f} % of the machine's "
            f"{size_text(here.memory_bytes)}"
        ),
        where="shared_buffers",
        cause=cause,
        evidence={
            "shared_buffers_bytes": bytes_,
            "memory_bytes": here.memory_bytes,
            "database_bytes": look.row("database")["bytes"],
        },
        mend_sql=_set(look, "shared_buffers", f"'{target}'", then=RESTART),
        risk="A restart. Other programs of the machine have that much less.",
        cost=Cost(kind="risk", amount=0.4 if share < limits.memory_share_low else 0.8),
    )


def _work_mem(look: Look, here: Machine) -> Iterator[Finding]:
    each, sessions = setting_bytes(look, "work_mem"), float(settings(look)["max_connections"])
    buffers = setting_bytes(look, "shared_buffers")
    if each * sessions + buffers <= here.memory_bytes:
        return
    target = max(WORK_MEM_LEAST, (here.memory_bytes - buffers) / sessions / 2)
    if target < each:
        mend = _set(look, "work_mem", f"'{_round_megabytes(target)}'")
        risk = "Large sorts go to disk: give those statements more by SET LOCAL work_mem."
    else:
        mend = _fewer_connections(look, int((here.memory_bytes - buffers) / each / 2))
        risk = "A restart; clients past that number are refused: put a pooler before the server."
    yield Finding(
        severity=Severity.WARNING,
        what=(
            f"work_mem of {size_text(each)} for {sessions:.0f} connections is more than the memory"
        ),
        where="work_mem",
        cause=(
            "each sort and hash of each session may take work_mem; when all do, the system ends "
            "the server"
        ),
        evidence={
            "work_mem_bytes": each,
            "max_connections": sessions,
            "shared_buffers_bytes": buffers,
            "memory_bytes": here.memory_bytes,
        },
        mend_sql=mend,
        risk=risk,
        cost=Cost(kind="risk", amount=min(1.0, each * sessions / here.memory_bytes / 4)),
    )


def _fewer_connections(look: Look, wanted: int) -> str:
    """Return how to permit fewer connections: not fewer than are in use and reserved.

    With no more than are reserved the server does not start; nor does a standby with fewer than
    its primary has.
    """
    now = settings(look)
    reserved = sum(
        int(now.get(name, 0)) for name in ("superuser_reserved_connections", "reserved_connections")
    )
    used = max((one.used for one in activity(look).limits if one.scope == "server"), default=0.0)
    fewer = max(CONNECTIONS_LEAST, wanted, reserved + int(used))
    if fewer >= int(now["max_connections"]):
        return (
            f"-- No fewer connections would do: {used:.0f} are in use and {reserved} reserved. Give"
            "\n-- the server more memory, or put PgBouncer (pool_mode = transaction) before it."
        )
    if look.row("database")["is_replica"]:
        return (
            "-- A standby does not start with fewer connections than its primary has. Set it on the"
            f"\n-- primary first, then here: max_connections = {fewer}"
        )
    return _set(look, "max_connections", str(fewer), then=RESTART)


def _cache_size(look: Look, here: Machine) -> Iterator[Finding]:
    told, buffers = setting_bytes(look, "effective_cache_size"), setting_bytes(
        look, "shared_buffers"
    )  # fmt: skip
    share = told / here.memory_bytes
    if told >= buffers and CACHE_SHARE_LOW <= share <= 1:
        return
    if buffers > here.memory_bytes:  # no value would be right; `_shared_buffers` names the trouble
        return
    target = _round_megabytes(CACHE_SHARE * here.memory_bytes, least=buffers)
    yield Finding(
        severity=Severity.INFO,
        what=(
            f"effective_cache_size is {size_text(told)}, the machine has "
            f"{size_text(here.memory_bytes)}"
        ),
        where="effective_cache_size",
        cause=(
            "the planner thinks that more is cached than can be"
            if share > 1
            else "the planner thinks that little is cached, and avoids indexes"
        ),
        evidence={
            "effective_cache_size_bytes": told,
            "shared_buffers_bytes": buffers,
            "memory_bytes": here.memory_bytes,
        },
        mend_sql=_set(look, "effective_cache_size", f"'{target}'"),
        risk="Plans may change; no memory is taken.",
        cost=Cost(kind="risk", amount=0.2),
    )


def _random_page_cost(look: Look, here: Machine) -> Iterator[Finding]:
    value = float(settings(look)["random_page_cost"])
    if here.is_spinning is not False or value < RANDOM_PAGE_COST_HIGH:
        return
    yield Finding(
        severity=Severity.INFO,
        what=f"random_page_cost is {value:g}, and the machine has no spinning disk",
        where="random_page_cost",
        cause="the default is for spinning disks; the planner avoids indexes for larger results",
        evidence={"random_page_cost": value, "spinning_disks": 0},
        mend_sql=_set(look, "random_page_cost", f"{RANDOM_PAGE_COST_SSD}"),
        risk="Plans change towards indexes. Virtual disks may only say that they do not spin.",
        cost=Cost(kind="risk", amount=0.2),
    )


def _checkpoints(look: Look) -> Iterator[Finding]:
    """Tell of checkpoints that come because max_wal_size is full.

    CHECKPOINT, CREATE DATABASE and base backups request checkpoints too and count as the same, so
    the WAL has to explain them. The server begins one after max_wal_size / (1 +
    checkpoint_completion_target) of WAL, in whole segments (manual, "WAL Configuration", and
    CalculateCheckpointSegments in its xlog.c): half of max_wal_size at the target's largest, 1. A
    third leaves room for a few that somebody asked for.
    """
    newer = look.row("database")["version"] >= 170_000
    row = look.row("checkpoints_17" if newer else "checkpoints")
    whole = row["timed"] + row["requested"]
    if whole < look.config.check.checkpoints_min or not row["seconds"]:
        return
    if row["requested"] / whole < PAGES_SHARE_REQUESTED:
        return
    interval = row["seconds"] / whole
    timeout = float(settings(look)["checkpoint_timeout"])
    if interval >= timeout:
        return
    now = setting_bytes(look, "max_wal_size")
    written = (row["wal_bytes_per_second"] or 0.0) * row["seconds"] / row["requested"]
    if written < WAL_SHARE_REQUESTED * now:
        return
    target = _round_megabytes(now * min(16.0, max(2.0, timeout / interval)))
    reset = "pg_stat_reset_shared('checkpointer')" if newer else "pg_stat_reset_shared('bgwriter')"
    yield Finding(
        severity=Severity.WARNING,
        what=f"a checkpoint every {span(interval)}, most of them because max_wal_size is full",
        where="max_wal_size",
        cause=f"more WAL is written within checkpoint_timeout ({span(timeout)}) than max_wal_size",
        evidence={
            "checkpoints_timed": row["timed"],
            "checkpoints_requested": row["requested"],
            "interval_seconds": round(interval, 1),
            "wal_bytes_per_requested": round(written),
            "max_wal_size_bytes": now,
        },
        mend_sql=(
            _set(look, "max_wal_size", f"'{target}'") + f"\n-- Then count anew:\nSELECT {reset};"
        ),
        risk="Takes that much disk for WAL, and recovery after a crash takes longer.",
        cost=Cost(kind="time", amount=1000.0 * min(1.0, 1.0 / interval)),
    )


def _cache_hits(look: Look) -> Iterator[Finding]:
    row, limits = look.row("database"), look.config.monitor
    asked = row["blocks_hit"] + row["blocks_read"]
    if row["blocks_read"] * row["block_bytes"] < look.config.check.database_bytes_min:
        return
    share = row["blocks_hit"] / asked
    if share >= limits.cache_hit_share_warning:
        return
    buffers = setting_bytes(look, "shared_buffers")
    yield Finding(
        severity=(Severity.WARNING if share < limits.cache_hit_share_high else Severity.INFO),
        what=f"{100 * share:.1f} % of the blocks asked for were in shared_buffers",
        where="shared_buffers",
        cause="what is read is larger than the buffers, or tables are read from end to end",
        evidence={
            "blocks_hit": row["blocks_hit"],
            "blocks_read": row["blocks_read"],
            "shared_buffers_bytes": buffers,
        },
        mend_sql=(
            _set(look, "shared_buffers", f"'{_round_megabytes(2 * buffers)}'", then=RESTART)
            + "\n-- First mend missing_index and sequential_scans."
        ),
        risk="A restart. Other programs of the machine have that much less.",
        cost=Cost(kind="risk", amount=0.3),
    )


def _pending(look: Look) -> Iterator[Finding]:
    waiting = [row for row in look.rows("settings") if row["pending_restart"]]
    for row in waiting:
        yield Finding(
            severity=Severity.INFO,
            what=f"{row['name']} was changed and waits for a restart",
            where=row["name"],
            cause="the file of settings says something else than what is in force",
            evidence={row["name"]: row["setting"]},
            mend_sql=(
                "-- Restart the server, or take the change back:\n"
                f"-- ALTER SYSTEM RESET {row['name']}; SELECT pg_reload_conf();"
            ),
            risk="The next restart, whenever it comes, changes more than one expects.",
            cost=Cost(kind="risk", amount=0.1),
        )


def _round_megabytes(count: float, *, least: float = 0.0) -> str:
    """Return a size as PostgreSQL reads it, rounded down to 64 MB (to 1 MB below that).

    It is not below `least` bytes.
    """
    megabytes = int(count / 1024**2)
    megabytes = max(megabytes // 64 * 64 or max(1, megabytes), math.ceil(least / 1024**2))
    return f"{megabytes}MB" if megabytes % 1024 else f"{megabytes // 1024}GB"


CHECKS = (
    Check(
        rule="unsafe_setting",
        dialect="postgresql",
        sees="settings that lose data or stop upkeep",
        help=(
            "fsync, full_page_writes, autovacuum or track_counts is off, or damaged pages are "
            "passed over. What is saved is not worth what can be lost. Set it back."
        ),
        judge=_safety,
    ),
    Check(
        rule="machine_setting",
        dialect="postgresql",
        sees="settings of memory and disk",
        help=(
            "shared_buffers, work_mem, effective_cache_size or random_page_cost contradicts the "
            "memory and the disks of the machine. Judged only where the server runs on this one."
        ),
        judge=_memory,
    ),
    Check(
        rule="disk_nearly_full",
        dialect="postgresql",
        sees="the disk under the server",
        help=(
            "The disk that holds the server's data is filled past `[monitor] disk_share_warning`. "
            "When WAL cannot be written the server stops. Judged only where it runs on this one."
        ),
        judge=_disk,
    ),
    Check(
        rule="checkpoints",
        dialect="postgresql",
        sees="checkpoints",
        help=(
            "Checkpoints come because max_wal_size is full, not because it is time: every page is "
            "written to WAL whole after each. Raise max_wal_size. Those that statements request "
            "(CREATE DATABASE) are not meant: the WAL written has to explain them."
        ),
        judge=_checkpoints,
    ),
    Check(
        rule="cache_hits",
        dialect="postgresql",
        sees="hits of the buffer cache",
        help=(
            "Many blocks are not in shared_buffers when they are asked for. Mend scans first, then "
            "give it more memory."
        ),
        judge=_cache_hits,
    ),
    Check(
        rule="pending_restart",
        dialect="postgresql",
        sees="settings that wait for a restart",
        help="A setting was changed in the file and is not in force yet. Restart, or take it back.",
        judge=_pending,
    ),
)
