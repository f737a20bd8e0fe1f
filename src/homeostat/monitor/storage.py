"""Rules about what fills up or wears out: cache, disk, transaction ids, SQLite's log and pages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.logbook.rows import Json
from homeostat.measure import Severity, Unknown, size_text
from homeostat.monitor.metrics import ANSWERED
from homeostat.operate.rule import Judgement, Undecided, View


def newest(view: View, metric: str) -> float | Unknown | None:
    """Return the newest reading of the database itself; None: the engine has no such metric."""
    sample = view.recent.last(metric, view.subject())
    if sample is None:
        return None
    return sample.value if isinstance(sample.value, float | Unknown) else None


@dataclass(frozen=True, slots=True)
class CacheHitsLow:
    """Opens when too many blocks had to be read from outside of shared buffers."""

    name: str = "cache-hits-low"
    help: str = (
        "Over `monitor.cache_hit_ticks` ticks with at least `monitor.cache_hit_reads_min` blocks "
        "each, fewer blocks than `monitor.cache_hit_share_warning` were found in shared buffers "
        "(postgres-mcp: 95 %; below 90 %, pgEdge, it is high). Look for statements that scan whole "
        "tables; then give shared_buffers more memory."
    )
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the blocks of the newest ticks together: shares are not averaged."""
        monitor = view.config.monitor
        last = newest(view, "postgresql.blocks_read")
        if last is None:
            return
        ticks = monitor.cache_hit_ticks
        read = view.recent.values("postgresql.blocks_read", view.subject(), ticks=ticks)
        hit = view.recent.values("postgresql.blocks_hit", view.subject(), ticks=ticks)
        if isinstance(last, Unknown) or min(len(read), len(hit)) < ticks:
            yield Undecided(view.subject())
            return
        asked = sum(read) + sum(hit)
        if asked < monitor.cache_hit_reads_min * ticks:
            return
        share = sum(hit) / asked
        if share >= monitor.cache_hit_share_warning:
            return
        low = share < monitor.cache_hit_share_high
        yield Judgement(
            view.subject(),
            Severity.HIGH if low else Severity.WARNING,
            f"{share:.1%} of {asked:,.0f} blocks were found in shared buffers; at least "
            f"{monitor.cache_hit_share_warning:.0%} is expected",
            mend="Look for statements that scan whole tables; then raise shared_buffers.",
            evidence={"hit_share": share, "blocks": asked, "ticks": ticks},
        )


@dataclass(frozen=True, slots=True)
class DiskNearlyFull:
    """Opens when the file system under the data is nearly full."""

    name: str = "disk-nearly-full"
    help: str = (
        "The file system that holds the data is filled past `monitor.disk_share_warning`, critical "
        "past `monitor.disk_share_critical` (pgEdge: 85 %, 95 %). Free space or enlarge it before "
        "writes fail."
    )
    after: str = "health"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the newest reading."""
        monitor = view.config.monitor
        used = newest(view, "disk.used_share")
        if isinstance(used, Unknown):
            yield Undecided(view.subject("disk"))
        if not isinstance(used, float) or used < monitor.disk_share_warning:
            return
        free, size = newest(view, "disk.free_bytes"), newest(view, "database.size_bytes")
        left = f"; {size_text(free)} are free" if isinstance(free, float) else ""
        own = f", the database has {size_text(size)}" if isinstance(size, float) else ""
        critical = used >= monitor.disk_share_critical
        yield Judgement(
            view.subject("disk"),
            Severity.CRITICAL if critical else Severity.WARNING,
            f"the disk under the data is {used:.0%} full{left}{own}",
            mend="Free space, or enlarge the file system, before writes fail.",
            evidence=_numbers(used_share=used, free_bytes=free, size_bytes=size),
        )


@dataclass(frozen=True, slots=True)
class TransactionIdsAgeing:
    """Opens when transaction ids come near the limit at which the server stops writing."""

    name: str = "transaction-ids-ageing"
    help: str = (
        "The oldest transaction id or multixact id has reached `monitor.xid_share_warning` of the "
        "2^31 at which PostgreSQL stops writing, critical past `monitor.xid_share_critical` (field "
        "practice: 50 %, 80 %). End what keeps old ids alive (transactions, prepared transactions, "
        "replication slots), then VACUUM (FREEZE) the oldest tables."
    )
    after: str = "health"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the older of the two kinds."""
        monitor = view.config.monitor
        names = {
            "transaction ids": newest(view, "postgresql.xid_age_share"),
            "multixact ids": newest(view, "postgresql.multixact_age_share"),
        }
        known = {name: value for name, value in names.items() if isinstance(value, float)}
        if not known:
            if any(isinstance(value, Unknown) for value in names.values()):
                yield Undecided(view.subject("transaction ids"))
            return
        name, share = max(known.items(), key=lambda one: one[1])
        if share < monitor.xid_share_warning:
            return
        prepared = newest(view, "postgresql.prepared_transactions")
        longest = newest(view, "postgresql.longest_transaction_seconds")
        retained = newest(view, "postgresql.slot_retained_bytes")
        yield Judgement(
            view.subject("transaction ids"),
            Severity.CRITICAL if share >= monitor.xid_share_critical else Severity.WARNING,
            f"the {name} are {share:.0%} of the way to the limit at which the server stops writing",
            mend="End the oldest transactions, prepared transactions and replication slots, then "
            "run VACUUM (FREEZE) on the oldest tables.",
            evidence={
                **_numbers(
                    prepared_transactions=prepared,
                    longest_transaction_seconds=longest,
                    slot_retained_bytes=retained,
                ),
                **known,
            },
        )


@dataclass(frozen=True, slots=True)
class WalGrown:
    """Opens when SQLite's write-ahead log is large, or grows and is not checkpointed."""

    name: str = "wal-grown"
    help: str = (
        "The -wal file is more than `monitor.wal_checkpoint_multiple` times its checkpoint target "
        "(SQLite: 1000 pages), or is past the target and has grown for "
        "`monitor.wal_growing_seconds`. Reads get slower with it. A read transaction that stays "
        "open keeps checkpoints from ending: find and end it, then PRAGMA wal_checkpoint(TRUNCATE)."
    )
    after: str = "performance"
    clear_ticks: int = 3

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge size and growth."""
        monitor = view.config.monitor
        size = newest(view, "sqlite.wal_bytes")
        if size is None:
            return
        settings = view.recent.last(ANSWERED, view.subject())
        page = settings.texts.get("page_size", "") if settings is not None else ""
        if isinstance(size, Unknown) or not page.isdigit():
            yield Undecided(view.subject("wal"))
            return
        target = monitor.wal_checkpoint_pages * int(page)
        ticks = math.ceil(monitor.wal_growing_seconds / monitor.performance_seconds)
        grown = view.recent.values("sqlite.wal_bytes", view.subject(), ticks=ticks)
        growing = len(grown) == ticks and _grows(grown) and size > target
        if size <= monitor.wal_checkpoint_multiple * target and not growing:
            return
        growth = f" and has grown for {monitor.wal_growing_seconds / 60:.0f} min" if growing else ""
        yield Judgement(
            view.subject("wal"),
            Severity.WARNING,
            f"the write-ahead log is {size_text(size)}, {size / target:.1f} times its checkpoint "
            f"target{growth}",
            mend="Look for a read transaction that stays open, end it, then run "
            "PRAGMA wal_checkpoint(TRUNCATE) in the application.",
            evidence={"wal_bytes": size, "target_bytes": target, "growing": growing},
        )


@dataclass(frozen=True, slots=True)
class FreePages:
    """Opens when much of an SQLite file holds nothing."""

    name: str = "free-pages"
    help: str = (
        "More than `monitor.free_pages_share` of the SQLite file's pages hold nothing, and they "
        "are at least `monitor.free_pages_bytes_min`. They are used again as data grows; VACUUM at "
        "a quiet time gives the space back."
    )
    after: str = "health"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the newest reading."""
        monitor = view.config.monitor
        share = newest(view, "sqlite.free_pages_share")
        size = newest(view, "database.size_bytes")
        if isinstance(share, Unknown) or isinstance(size, Unknown):
            yield Undecided(view.subject("pages"))
            return
        if share is None or size is None:
            return
        free = share * size
        if share <= monitor.free_pages_share or free < monitor.free_pages_bytes_min:
            return
        yield Judgement(
            view.subject("pages"),
            Severity.INFO,
            f"{share:.0%} of the file's pages hold nothing: {size_text(free)} of {size_text(size)}",
            mend="Run VACUUM at a quiet time; it needs as much free space as the data has.",
            evidence={"free_share": share, "free_bytes": free, "size_bytes": size},
        )


def _grows(values: list[float]) -> bool:
    """Return whether a series never falls and ends higher than it began."""
    steps = itertools.pairwise(values)
    return values[-1] > values[0] and all(after >= before for before, after in steps)


def _numbers(**readings: float | Unknown | None) -> Json:
    return {
        name: None if isinstance(value, Unknown) else value
        for name, value in readings.items()
        if value is not None
    }
