"""What the page shows live is of now: an old number is no number."""

from __future__ import annotations

from pathlib import Path

from homeostat.operate.live import tick_of
from tests.monitor.stage import ward


def test_a_segment_that_went_quiet_has_no_operations(tmp_path: Path, sqlite_path: Path) -> None:
    with ward(tmp_path / "data", str(sqlite_path)) as one:
        for segment in ("paid", "free"):
            one.report(segment=segment)
            one.tick()
        segments = tick_of(one.operator, one.operator.attached[one.key]).segments
        assert segments["free"] > 0
        assert segments["paid"] == 0
