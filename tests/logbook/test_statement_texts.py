"""What people call a statement stays known as long as it is seen, in bounded memory."""

from __future__ import annotations

import tracemalloc

from homeostat.clock import ManualClock
from homeostat.logbook import SampleStore
from homeostat.logbook.statement_texts import KEPT_MAX, StatementText
from tests.logbook.ticking import DB

LOOK_SECONDS, LOOKS, AT_ONCE = 60.0, 65, 20
LONG = "SELECT " + "x" * 10_000
STEADY = StatementText("steady", "orders_of", "SELECT id FROM orders")


def test_a_text_that_is_seen_outlives_many_that_pass_by(
    store: SampleStore, clock: ManualClock
) -> None:
    texts = store.statement_texts
    tracemalloc.start()
    for look in range(LOOKS):
        clock.advance(LOOK_SECONDS)
        passing = [f"{look}-{index}" for index in range(AT_ONCE)]
        texts.note(DB, [STEADY, *(StatementText(key, key, LONG + key) for key in passing)])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    known = texts.of(DB)
    assert known["steady"] == STEADY
    assert len(known) <= KEPT_MAX + AT_ONCE
    assert "0-0" not in known
    assert held < 5_000_000  # the texts themselves were 13 MB


def test_a_text_that_went_is_known_again_when_it_is_seen_again(
    store: SampleStore, clock: ManualClock
) -> None:
    texts = store.statement_texts
    texts.note(DB, [STEADY])
    clock.advance(1.0)
    texts.note(DB, [StatementText(str(index), "one", "SELECT 1") for index in range(KEPT_MAX)])
    assert "steady" not in texts.of(DB)
    clock.advance(1.0)
    texts.note(DB, [STEADY])
    assert texts.of(DB)["steady"] == STEADY
