from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.driver import sqlite
from homeostat.measure import Reading, Severity, Unknown
from homeostat.monitor.settings import Durability
from homeostat.monitor.storage import (
    CacheHitsLow,
    DiskNearlyFull,
    FreePages,
    TransactionIdsAgeing,
    WalGrown,
)
from homeostat.operate.rule import Judgement, Rule, Undecided
from tests.monitor.stage import judged, ward
from tests.servers import PostgresServer

DOWN = Unknown("the database did not answer")


def severities(rule: Rule, **series: Reading | list[Reading]) -> list[str]:
    """Return the severities a rule finds in series of `room__metric`."""
    readings = {
        name.replace("__", "."): value if isinstance(value, list) else [value]
        for name, value in series.items()
    }
    said = judged(rule, readings)
    return [str(one.severity) for one in said if isinstance(one, Judgement)]


# -- real databases


def test_a_log_that_a_reader_keeps_from_being_checkpointed_is_found(
    tmp_path: Path, sqlite_path: Path
) -> None:
    writer, reader = sqlite.connect(sqlite_path), sqlite.connect(sqlite_path)
    writer.execute("CREATE TABLE t (a)")
    reader.begin(write=False)
    reader.execute("SELECT count(*) FROM t")
    with ward(tmp_path / "data", str(sqlite_path), wal_checkpoint_pages=5) as one:
        one.tick("health")
        one.tick()
        assert one.open("wal-grown") is None
        for _ in range(50):
            writer.execute("INSERT INTO t VALUES (randomblob(4000))")
        one.tick()
        found = one.open("wal-grown")
        assert found is not None
        assert "times its checkpoint target" in found.what
        assert "read transaction" in found.mend
        reader.rollback()
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        one.tick(times=3)
        assert one.open("wal-grown") is None
    for wire in (writer, reader):
        wire.close()


def test_a_file_full_of_holes_is_found_until_it_is_vacuumed(
    tmp_path: Path, sqlite_path: Path
) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("CREATE TABLE t (a)")
    wire.execute_many("INSERT INTO t VALUES (randomblob(4000))", [{}] * 100)
    wire.execute("DELETE FROM t WHERE rowid % 2")
    wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with ward(tmp_path / "data", str(sqlite_path), free_pages_bytes_min=50_000) as one:
        one.tick("health")
        found = one.open("free-pages")
        assert found is not None
        assert found.severity == "info"
        assert "hold nothing" in found.what
        wire.execute("VACUUM")
        wire.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        one.tick("health")
        assert one.open("free-pages") is None
    wire.close()


def test_a_file_that_is_not_in_wal_mode_is_told(tmp_path: Path, sqlite_path: Path) -> None:
    wire = sqlite.connect(sqlite_path)
    wire.execute("PRAGMA journal_mode = DELETE")
    wire.execute("CREATE TABLE t (a)")
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        one.tick("health")
        found = one.open("weak-setting")
        assert found is not None
        assert found.severity == "info"
        assert found.what.startswith("journal_mode is delete")
        wire.execute("PRAGMA journal_mode = WAL")
        one.tick("health")
        assert one.open("weak-setting") is None
    wire.close()


def test_commits_that_a_crash_can_lose_are_told(
    tmp_path: Path, pg_own_server: PostgresServer
) -> None:
    pg_own_server.execute("ALTER DATABASE postgres SET synchronous_commit = off")
    with ward(tmp_path / "data", pg_own_server.url()) as one:
        one.tick("health")
        found = one.open("weak-setting")
        assert found is not None
        assert found.severity == "info"
        assert "lose transactions that were reported as committed" in found.what


# -- recorded readings: the edges


@pytest.mark.parametrize(
    ("used", "expected"),
    [(0.849, []), (0.85, ["warning"]), (0.949, ["warning"]), (0.95, ["critical"])],
)
def test_disk_edges(used: float, expected: list[str]) -> None:
    assert severities(DiskNearlyFull(), disk__used_share=used) == expected


def test_a_full_disk_says_how_much_is_left() -> None:
    [said] = judged(
        DiskNearlyFull(),
        {
            "disk.used_share": [0.96],
            "disk.free_bytes": [2.5e9],
            "database.size_bytes": [Unknown("not read")],
        },
    )
    assert isinstance(said, Judgement)
    assert said.what == "the disk under the data is 96% full; 2.5 GB are free"


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.499, []), (0.5, ["warning"]), (0.799, ["warning"]), (0.8, ["critical"])],
)
def test_transaction_id_edges(share: float, expected: list[str]) -> None:
    rule = TransactionIdsAgeing()
    assert severities(rule, postgresql__xid_age_share=share) == expected
    assert severities(rule, postgresql__multixact_age_share=share) == expected


def test_what_keeps_transaction_ids_alive_is_shown_as_evidence() -> None:
    [said] = judged(
        TransactionIdsAgeing(),
        {"postgresql.xid_age_share": [0.6], "postgresql.prepared_transactions": [2.0]},
    )
    assert isinstance(said, Judgement)
    assert said.evidence["prepared_transactions"] == 2.0
    assert said.cause == "unknown"


@pytest.mark.parametrize(
    ("hits", "reads", "expected"),
    [
        ([950.0] * 6, [50.0] * 6, []),
        ([949.0] * 6, [51.0] * 6, ["warning"]),
        ([900.0] * 6, [100.0] * 6, ["warning"]),
        ([899.0] * 6, [101.0] * 6, ["high"]),
        ([0.0] * 6, [999.0] * 6, []),  # too few blocks to say anything
        ([0.0] * 5, [9999.0] * 5, []),  # too few ticks
        ([0.0] + [1e6] * 5, [1000.0] + [0.0] * 5, []),  # blocks count, not the ticks' shares
    ],
)
def test_cache_hit_edges(hits: list[float], reads: list[float], expected: list[str]) -> None:
    found = severities(
        CacheHitsLow(), postgresql__blocks_hit=list(hits), postgresql__blocks_read=list(reads)
    )
    assert found == expected


@pytest.mark.parametrize(
    ("sizes", "opens"),
    [
        ([4.0 * 4096_000], False),
        ([4.0 * 4096_000 + 1], True),
        ([4096_001.0 + n for n in range(60)], True),  # 60 ticks of 10 s are the 10 minutes
        ([4096_001.0 + n for n in range(59)], False),
        ([float(n) for n in range(60)], False),  # below its target it may grow
        ([5e6] * 60, False),
        ([5e6 + n for n in range(59)] + [5e6], False),
    ],
)
def test_wal_edges(sizes: list[float], *, opens: bool) -> None:
    said = judged(
        WalGrown(),
        {"sqlite.wal_bytes": list(sizes), "database.answered_share": [1.0]},
        texts={"page_size": "4096"},
    )
    assert bool(said) is opens
    assert all(isinstance(one, Judgement) for one in said)


@pytest.mark.parametrize(
    ("share", "size", "opens"),
    [(0.3, 1e9, False), (0.31, 1e9, True), (0.5, 19.9e6, False), (0.5, 20e6, True)],
)
def test_free_page_edges(share: float, size: float, *, opens: bool) -> None:
    found = severities(FreePages(), sqlite__free_pages_share=share, database__size_bytes=size)
    assert bool(found) is opens


@pytest.mark.parametrize(
    ("name", "value", "severity"),
    [
        ("fsync", "off", Severity.WARNING),
        ("full_page_writes", "off", Severity.WARNING),
        ("synchronous_commit", "off", Severity.INFO),
        ("synchronous_commit", "local", None),
        ("fsync", "on", None),
    ],
)
def test_settings_that_promise_less(name: str, value: str, severity: Severity | None) -> None:
    said = judged(Durability(), {"database.answered_share": [1.0]}, texts={name: value})
    found = [one.severity for one in said if isinstance(one, Judgement)]
    assert found == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("rule", "metric"),
    [
        (CacheHitsLow(), "postgresql.blocks_read"),
        (DiskNearlyFull(), "disk.used_share"),
        (TransactionIdsAgeing(), "postgresql.xid_age_share"),
        (WalGrown(), "sqlite.wal_bytes"),
        (FreePages(), "sqlite.free_pages_share"),
        (Durability(), "database.answered_share"),
    ],
)
def test_an_unknown_reading_neither_opens_nor_clears(rule: Rule, metric: str) -> None:
    said = judged(rule, {metric: [DOWN]})
    assert said
    assert all(isinstance(one, Undecided) for one in said)


@pytest.mark.parametrize("rule", [CacheHitsLow(), DiskNearlyFull(), WalGrown(), FreePages()])
def test_an_engine_without_the_metric_has_no_such_finding(rule: Rule) -> None:
    assert judged(rule, {}) == []
