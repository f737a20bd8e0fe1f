"""Arrivals: Poisson, by segment, seeded, bounded."""

from __future__ import annotations

from collections import Counter
from itertools import islice, takewhile

import pytest

from homeostat.driver.wire import Rows
from homeostat.errors import ConfigError
from homeostat.sample.arrivals import Arrival, People, arrivals
from homeostat.sample.operations import MIX, Person
from homeostat.sample.schema import SEGMENTS

PEOPLE = People(
    [Person(i, ("INTJ", "ENFP", "ISTJ", "ESTP", None, None, None, None)[i % 8]) for i in range(800)]
)


def first(seconds: float, *, rate: float = 50.0, seed: int = 1) -> list[Arrival]:
    drawn = arrivals(PEOPLE, rate_per_second=rate, random_seed=seed)
    return list(takewhile(lambda one: one.due_seconds < seconds, drawn))


def test_arrivals_are_poisson_at_the_rate() -> None:
    """Counts per second of a Poisson process have a variance equal to their mean."""
    found = first(400)
    assert len(found) == pytest.approx(20_000, abs=4 * 20_000**0.5)
    counts = Counter(int(one.due_seconds) for one in found)
    mean = len(found) / 400
    variance = sum((counts[second] - mean) ** 2 for second in range(400)) / 399
    assert 0.75 < variance / mean < 1.25
    due = [one.due_seconds for one in found]
    assert due == sorted(due)


def test_segments_arrive_by_their_share_of_the_users() -> None:
    found = Counter(one.segment for one in first(400))
    assert set(found) == set(SEGMENTS)
    assert found["undeclared"] == pytest.approx(10_000, rel=0.06)
    assert found["analysts"] == pytest.approx(2_500, rel=0.1)


def test_operations_arrive_by_the_mix() -> None:
    found = first(400)
    counts = Counter(one.name for one in found)
    for name, part in MIX.items():
        expected = part.weight * len(found)
        assert abs(counts[name] - expected) < 5 * expected**0.5 + 1, name


def test_few_users_make_most_of_it() -> None:
    counts = Counter(one.person.id for one in first(400)).most_common()
    assert sum(n for _, n in counts[:80]) > 0.25 * sum(n for _, n in counts)


def test_the_same_seed_makes_the_same_arrivals() -> None:
    def plain(found: list[Arrival]) -> list[tuple[object, ...]]:
        return [(a.due_seconds, a.segment, a.person, a.name, a.chance.random()) for a in found]

    assert plain(first(20)) == plain(first(20))
    assert plain(first(20)) != plain(first(20, seed=2))


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e9])
def test_the_rate_is_bounded(rate: float) -> None:
    with pytest.raises(ConfigError):
        list(islice(arrivals(PEOPLE, rate_per_second=rate, random_seed=1), 1))


def test_without_users_there_is_no_traffic() -> None:
    with pytest.raises(ConfigError, match="Seed"):
        People.of(Rows(("id", "personality_type"), []))
