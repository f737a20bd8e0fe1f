"""Every benchmark runs, prints what it says it prints, and its figures are documented."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "figures.md"
MODULES = sorted(
    path.stem
    for path in (ROOT / "bench").glob("*.py")
    if "main(figures, " in path.read_text(encoding="utf-8")
)
SECONDS_MAX = 150  # 45 are promised on a quiet machine


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a directory for temporary files; Chromium refuses one with a long path."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Printed(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a benchmark."""

    name: str
    value: float
    unit: str
    peer: str
    ratio: float | None
    engine: str
    parameters: dict[str, object]


def test_there_are_benchmarks() -> None:
    assert {
        "agent",
        "demo",
        "monitoring",
        "operator",
        "overhead",
        "samples",
        "scale",
        "seed",
    } <= set(MODULES)


@pytest.mark.long
@pytest.mark.timed
@pytest.mark.parametrize("module", MODULES)
def test_quick_prints_well_formed_figures(module: str, short: Path) -> None:
    temporary, runtime = short / "temporary", short / "runtime"
    temporary.mkdir()
    runtime.mkdir(mode=0o700)  # where operators keep their locks
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", "--quick", "--json"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "XDG_RUNTIME_DIR": str(runtime)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    printed = [msgspec.json.decode(line, type=Printed) for line in lines]
    assert printed
    assert len({(one.name, one.engine, one.peer) for one in printed}) == len(printed)
    page = PAGE.read_text(encoding="utf-8")
    for one in printed:
        assert math.isfinite(one.value), one
        assert one.value >= 0, one
        assert one.unit, one
        assert (one.ratio is None) == (one.peer == ""), one
        assert f"`{one.name}`" in page, f"{one.name} is not in docs/reference/figures.md"
    assert list(temporary.iterdir()) == [], "temporary files are left"
