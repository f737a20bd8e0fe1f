"""An SQLite file from outside: its journal, pages, log, rights, and the disk that it is on."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from homeostat.check.check import Check
from homeostat.check.disk import nearly_full
from homeostat.check.look import Look
from homeostat.check.report import Cost, Finding
from homeostat.measure import Severity

PAGE_BYTES = 4096  # SQLite's default since 3.12: the page of file systems and memory
FULL, INCREMENTAL = 1, 2  # PRAGMA auto_vacuum


def _journal_mode(look: Look) -> Iterator[Finding]:
    look.miss(
        "synchronous and foreign_keys of the application's connections",
        reason="SQLite keeps them in each connection, not in the file",
        mend="In the application: PRAGMA synchronous should say 2 (FULL: a power cut loses nothing "
        "committed) and PRAGMA foreign_keys 1.",
    )
    row = look.row("file")
    mode = row["journal_mode"]
    if mode == "wal" or not row["tables"]:
        return
    yield Finding(
        severity=Severity.INFO,
        what=f"the journal is in {mode} mode: who writes stops all who read, and who reads stops "
        "the writer",
        where=look.engine.identity().label,
        cause="it is SQLite's default, and nobody asked for WAL",
        evidence={"journal_mode": mode},
        mend_sql="PRAGMA journal_mode = WAL;",
        risk="None for data; needs a local disk. The file then has a -wal and a -shm beside it, "
        "which belong to it in every copy.",
        cost=Cost(kind="risk", amount=0.1),
    )


def _page_size(look: Look) -> Iterator[Finding]:
    row = look.row("file")
    size, whole = row["page_bytes"], row["pages"] * row["page_bytes"]
    if size >= PAGE_BYTES or whole < look.config.check.page_size_bytes_min:
        return
    mode = row["journal_mode"]
    steps = [f"PRAGMA page_size = {PAGE_BYTES};", "VACUUM;"]
    if mode == "wal":  # in WAL mode the page size cannot be changed
        steps = ["PRAGMA journal_mode = DELETE;", *steps, "PRAGMA journal_mode = WAL;"]
    yield Finding(
        severity=Severity.INFO,
        what=f"pages are {size} bytes, below the {PAGE_BYTES} of disk and memory: more pages and "
        "deeper trees for the same rows",
        where=look.engine.identity().label,
        cause="the file was made by SQLite before 3.12, or with PRAGMA page_size",
        evidence={"page_size_bytes": size, "file_bytes": whole},
        mend_sql="\n".join(steps),
        risk="Writes the whole file anew; nobody else may have it open meanwhile.",
        cost=Cost(kind="time", amount=0.0),
    )


def _auto_vacuum(look: Look) -> Iterator[Finding]:
    if look.row("file")["auto_vacuum"] != FULL:
        return
    yield Finding(
        severity=Severity.INFO,
        what="auto_vacuum is FULL: each commit that deletes moves pages, which writes more and "
        "scatters tables",
        where=look.engine.identity().label,
        cause="the file was made with PRAGMA auto_vacuum = FULL",
        evidence={"auto_vacuum": "full"},
        mend_sql=f"PRAGMA auto_vacuum = {INCREMENTAL};",
        risk="None; free pages then stay until PRAGMA incremental_vacuum is run, best at a quiet "
        "time.",
        cost=Cost(kind="time", amount=0.0),
    )


def _wal_growth(look: Look) -> Iterator[Finding]:
    row = look.row("file")
    monitor = look.config.monitor
    target = monitor.wal_checkpoint_pages * row["page_bytes"]
    try:
        size = Path(f"{look.engine.identity().label}-wal").stat().st_size
    except FileNotFoundError:
        return
    except OSError as error:
        look.miss(
            "the size of the -wal file",
            reason=error.strerror or "",
            mend="Run the check as a user who may enter the directory.",
        )
        return
    if size <= monitor.wal_checkpoint_multiple * target:
        return
    yield Finding(
        severity=Severity.WARNING,
        what=f"the write-ahead log is {size / 1e6:,.3g} MB, {size / target:.1f} times its "
        "checkpoint target: reads get slower and the disk fuller",
        where=f"{look.engine.identity().label}-wal",
        cause="unknown: a reader that stays in its transaction, one large transaction, or "
        "wal_autocheckpoint is off",
        evidence={"wal_bytes": size, "target_bytes": target},
        mend_sql="PRAGMA wal_checkpoint(TRUNCATE);",
        risk="Waits for readers; writes the log's pages into the file.",
        cost=Cost(kind="bytes", amount=size - target),
    )


def _open_to_others(look: Look) -> Iterator[Finding]:
    path = Path(look.engine.identity().label)
    try:
        mode = path.stat().st_mode
        reached = all(one.stat().st_mode & stat.S_IXOTH for one in path.resolve().parents)
    except OSError as error:
        look.miss("the rights of the file", reason=error.strerror or "", mend="Check as its owner.")
        return
    writes, reads = bool(mode & stat.S_IWOTH), bool(mode & stat.S_IROTH)
    if not reached or not (writes or reads):
        return
    verb = "write" if writes else "read"
    yield Finding(
        severity=Severity.HIGH if writes else Severity.INFO,
        what=f"every user of the machine may {verb} the file",
        where=str(path),
        cause=f"its mode is {stat.filemode(mode)}, and others may enter all directories above it",
        evidence={"mode": oct(stat.S_IMODE(mode))},
        mend_sql=f"-- In a shell: chmod o-rwx {shlex.quote(str(path))}",
        risk="A program that runs as another user loses access; put it into the file's group.",
        cost=Cost(kind="risk", amount=1.0 if writes else 0.2),
    )


def _disk(look: Look) -> Iterator[Finding]:
    row = look.row("file")
    yield from nearly_full(
        look,
        Path(look.engine.identity().label).resolve().parent,
        fails="writes fail with SQLITE_FULL",
        evidence={"file_bytes": row["pages"] * row["page_bytes"]},
    )


CHECKS = (
    Check(
        rule="file_open_to_others",
        dialect="sqlite",
        sees="the rights of the file",
        help=(
            "Every user of the machine may write (high) or read (info) the file. SQLite has no "
            "users of its own: the file's rights are all that protects it. Take them from others."
        ),
        judge=_open_to_others,
    ),
    Check(
        rule="disk_nearly_full",
        dialect="sqlite",
        sees="the disk under the file",
        help=(
            "The disk is filled past `[monitor] disk_share_warning`. When it is full, every write "
            "fails, and so does the VACUUM that would free space."
        ),
        judge=_disk,
    ),
    Check(
        rule="wal_growth",
        dialect="sqlite",
        sees="the size of the write-ahead log",
        help=(
            "The -wal file is larger than `[monitor] wal_checkpoint_multiple` times its target. "
            "End the reader that keeps it, then checkpoint."
        ),
        judge=_wal_growth,
    ),
    Check(
        rule="journal_mode",
        dialect="sqlite",
        sees="the journal mode",
        help=(
            "The file has a rollback journal, with which readers and the writer wait for each "
            "other. In WAL mode they do not."
        ),
        judge=_journal_mode,
    ),
    Check(
        rule="page_size",
        dialect="sqlite",
        sees="the page size",
        help="Pages smaller than 4096 bytes in a file of some size: more reads for the same rows.",
        judge=_page_size,
    ),
    Check(
        rule="auto_vacuum_full",
        dialect="sqlite",
        sees="auto_vacuum",
        help=(
            "With auto_vacuum = FULL each deleting commit moves pages to the file's end. "
            "INCREMENTAL does it when you ask."
        ),
        judge=_auto_vacuum,
    ),
)
