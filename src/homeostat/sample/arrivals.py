"""Who asks for what, when: independent Poisson arrivals per segment, the same for the same seed.

Arrivals are open loop: the next one never waits for the last. This module draws them; it touches no
database.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from homeostat.driver.wire import Rows
from homeostat.errors import ConfigError
from homeostat.sample.operations import MIX, Person
from homeostat.sample.schema import SEGMENTS, segment_of

RATE_PER_SECOND_MAX = 20_000.0
PEOPLE_MAX = 20_000
PEOPLE_SQL = "SELECT id, personality_type FROM users ORDER BY id LIMIT :people_max"
ACTIVITY_EXPONENT = 2.0  # a tenth of the users makes a third of the arrivals

_NAMES = tuple(MIX)
_CUMULATIVE = tuple(accumulate(part.weight for part in MIX.values()))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request.

    Attributes:
        due_seconds: when it arrives, after the start.
        segment: the group its user belongs to.
        person: the user.
        name: the operation.
        chance: what its parameters are drawn from.
    """

    due_seconds: float
    segment: str
    person: Person
    name: str
    chance: Random


class People:
    """The users that traffic acts for, by segment."""

    def __init__(self, people: Sequence[Person]) -> None:
        """Sort them by segment; a segment's share of the traffic is its share of the users."""
        if not people:
            raise ConfigError("There are no users to act for. Seed the database first.")
        found: dict[str, list[Person]] = {segment: [] for segment in SEGMENTS}
        for person in people:
            found[segment_of(person.personality_type)].append(person)
        self.by_segment: Mapping[str, Sequence[Person]] = {
            segment: members for segment, members in found.items() if members
        }
        self.count = len(people)

    @classmethod
    def of(cls, rows: Rows) -> People:
        """Return the people of PEOPLE_SQL."""
        return cls(
            [
                Person(int(str(user_id)), None if declared is None else str(declared))
                for user_id, declared in rows.rows
            ]
        )

    def draw(self, segment: str, chance: Random) -> Person:
        """Return one of a segment; the first ones come more often."""
        members = self.by_segment[segment]
        return members[int(len(members) * chance.random() ** ACTIVITY_EXPONENT)]


def arrivals(people: People, *, rate_per_second: float, random_seed: int) -> Iterator[Arrival]:
    """Yield arrivals for ever, in order of time.

    Each segment is a Poisson process of its own with its share of the rate, so all together are one
    of the whole rate.

    Raises:
        ConfigError: the rate is not above 0, or past RATE_PER_SECOND_MAX.
    """
    if not 0 < rate_per_second <= RATE_PER_SECOND_MAX:
        raise ConfigError(
            f"The rate must be above 0 and at most {RATE_PER_SECOND_MAX:g} requests a second.",
            detail=f"{rate_per_second:g}",
        )
    ahead: list[tuple[float, str, float, Random]] = []
    for segment, members in people.by_segment.items():
        rate = rate_per_second * len(members) / people.count
        chance = Random(f"{random_seed}/{segment}")
        heapq.heappush(ahead, (chance.expovariate(rate), segment, rate, chance))
    while True:
        due_seconds, segment, rate, chance = ahead[0]
        person = people.draw(segment, chance)
        (name,) = chance.choices(_NAMES, cum_weights=_CUMULATIVE)
        yield Arrival(due_seconds, segment, person, name, Random(chance.getrandbits(64)))
        heapq.heapreplace(ahead, (due_seconds + chance.expovariate(rate), segment, rate, chance))
