"""Rows and processes for the logbook's tests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from homeostat.logbook.rows import DatabaseRow, Finding, Owner, RemedyRecord, Run, Step
from tests.patience import SECONDS_MAX, line_of

DATABASE = "sqlite-1-1"
DEADLINE_SECONDS = 30.0
PAGE = 4096


def owner(pid: int = 1, *, started: float = 1.0) -> Owner:
    return Owner(pid=pid, started=started, host="here", boot="boot", label="test")


def finding(**more: object) -> Finding:
    given: dict[str, object] = {
        "database": DATABASE,
        "rule": "pool-exhausted",
        "severity": "high",
        "what": "9 of 10 connections are used",
        "opened": 1.0,
        "updated": 1.0,
    }
    return Finding(**(given | more))  # type: ignore[arg-type]  # the row checks nothing itself


def remedy(**more: object) -> RemedyRecord:
    given: dict[str, object] = {
        "database": DATABASE,
        "key": "size-pool",
        "resource": "pool:main",
        "state": "proposed",
        "autonomy": "auto",
        "title": "Grow the pool",
        "why": "callers wait",
        "proposed": 2.0,
    }
    return RemedyRecord(**(given | more))  # type: ignore[arg-type]  # as above


def run(**more: object) -> Run:
    given: dict[str, object] = {
        "kind": "remedy",
        "version": 1,
        "database": DATABASE,
        "epoch": 1,
        "started": 3.0,
    }
    return Run(**(given | more))  # type: ignore[arg-type]  # as above


def step(run_number: int, number: int, **more: object) -> Step:
    given: dict[str, object] = {"name": "apply", "epoch": 1, "intended": 4.0}
    return Step(run=run_number, number=number, **(given | more))  # type: ignore[arg-type]


def database(key: str = DATABASE) -> DatabaseRow:
    return DatabaseRow(
        key=key, dialect="sqlite", label=f"/{key}", url=f"/{key}", version="3", attached=1.0
    )


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > until:
            message = f"waited {DEADLINE_SECONDS:.0f} s in vain for {what}"
            raise AssertionError(message)
        time.sleep(0.002)


@contextmanager
def child(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run tests/logbook/child.py in a process of its own; end it afterwards."""
    command = [sys.executable, str(Path(__file__).with_name("child.py")), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS_MAX)


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line of a child."""
    assert process.stdout is not None
    return line_of(process.stdout).strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Give a child a line."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def fill(disk: Path) -> Path:
    """Use up all space of a disk; return the file to delete."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(PAGE)) == PAGE:
                pass
        except OSError:
            return ballast
    return ballast
