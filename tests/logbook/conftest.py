"""Fixtures for the logbook's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from homeostat.clock import ManualClock
from homeostat.logbook import Logbook

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
