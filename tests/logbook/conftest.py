"""Fixtures for the logbook's tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.logbook import Logbook, SampleStore
from tests.logbook.ticking import CONFIG

MIDNIGHT = 1_699_920_000.0  # UTC


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(MIDNIGHT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logbook.db"


@pytest.fixture
def logbook(path: Path, clock: ManualClock) -> Iterator[Logbook]:
    with Logbook.open(path, clock=clock) as opened:
        yield opened


@pytest.fixture
def samples_path(tmp_path: Path) -> Path:
    return tmp_path / "samples.db"


@pytest.fixture
def store(samples_path: Path, clock: ManualClock) -> Iterator[SampleStore]:
    with SampleStore.open(samples_path, clock=clock, config=CONFIG) as opened:
        yield opened


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
