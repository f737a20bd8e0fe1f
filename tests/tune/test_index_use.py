"""Whether an index of ours is used is told from readings that come in bursts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from homeostat.config import Config, MonitorConfig
from homeostat.engine.engine import Identity
from homeostat.measure import Sample, Subject
from homeostat.operate.recent import Recent
from homeostat.operate.rule import View
from homeostat.tune.index_remedy import CreateIndex

PARAMETERS = {
    "index": {"table": "orders", "columns": ["customer_id"], "name": "homeostat_orders"},
    "statement": "0" * 16,
}
TICK = 0.2
UNUSED = "the planner does not use the index"


def seen(uses: Sequence[float]) -> View:
    """Return what is known after these readings, one a tick."""
    recent = Recent()
    subject = Subject("db", kind="index", name="homeostat_orders")
    recent.add(Sample(subject, "index.uses", n * TICK, use) for n, use in enumerate(uses, 1))
    config = Config(monitor=MonitorConfig(performance_seconds=TICK))
    identity = Identity("postgresql", "db", "shop", "15")
    return View(at=len(uses) * TICK, identity=identity, config=config, recent=recent)


@pytest.mark.parametrize(
    ("uses", "told"),
    [
        ([50.0, 0.0, 0.0, 0.0, 0.0], ""),  # the sessions told of their scans a second ago
        ([0.0] * 20, UNUSED),
        ([50.0] + [0.0] * 20, UNUSED),  # it was used, and is not any more
        ([], ""),
    ],
)
def test_an_index_counts_as_unused_only_after_a_while(uses: list[float], told: str) -> None:
    assert CreateIndex().explain(PARAMETERS, seen(uses)) == told
