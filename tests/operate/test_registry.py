"""How many series there may be: of each database, and for as long as they are seen."""

from __future__ import annotations

from homeostat.measure import Sample, Subject
from homeostat.operate.registry import Registry
from homeostat.tune.probes import METRICS, SERIES_MAX

CALLS, DAY = "statement.calls", 86_400.0


def seen(database: str, *names: str, at: float) -> list[Sample]:
    return [
        Sample(Subject(database, kind="statement", name=name), CALLS, at, 1.0) for name in names
    ]


def test_one_database_leaves_the_places_of_another() -> None:
    registry = Registry(METRICS)
    full = [str(index) for index in range(SERIES_MAX)]
    for database in ("a", "b"):
        assert len(registry.admit(seen(database, *full, at=0.0))) == SERIES_MAX
    assert registry.admit(seen("a", "new", at=60.0)) == []
    assert registry.take_dropped("a") == {CALLS: 1}
    assert registry.take_dropped("b") == {}


def test_a_statement_unseen_for_a_day_makes_room() -> None:
    registry = Registry(METRICS)
    full = [str(index) for index in range(SERIES_MAX)]
    registry.admit(seen("a", *full, at=0.0))
    registry.admit(seen("a", "0", at=DAY / 2))
    after_a_deploy = seen("a", "new", at=DAY)
    assert registry.admit(after_a_deploy) == after_a_deploy
    assert len(registry.admit(seen("a", "0", "new", at=DAY + 60))) == 2
    assert registry.take_dropped("a") == {}
