"""What is replayed on a copy ends when the copy is not wanted any more."""

from __future__ import annotations

import pytest

from homeostat.engine.wanted import while_wanted
from homeostat.errors import CloneRefusedError
from homeostat.tune.replay import Call, replay
from tests.tune.application import open_wire

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
SECONDS = 60.0  # more than any test may take: only the end that is asked for ends it in time


@pytest.mark.parametrize(("sql", "count"), [(ENDLESS, 1), ("SELECT 1", 10**6)], ids=["one", "many"])
def test_a_replay_ends_when_it_is_not_wanted_any_more(sql: str, count: int) -> None:
    wire = open_wire(":memory:")
    chosen = [Call("key", "operation", sql, {}, write=False)] * count
    asked = iter(["", *["the database was detached"] * 100])
    try:
        with (
            pytest.raises(CloneRefusedError, match="the database was detached"),
            while_wanted(wire, lambda: next(asked)),
        ):
            replay(wire, chosen, seconds=SECONDS)
        assert wire.execute("SELECT 1").rows == [(1,)], "the connection itself is whole"
    finally:
        wire.close()
