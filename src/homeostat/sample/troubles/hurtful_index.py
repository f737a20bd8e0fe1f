"""The trouble `hurtful-index`: a statement asks for an index that would cost more than it brings.

Readings are found by their score now and then, which reads the whole table: an index on the score
looks good. But scores are written all the time, some hundred at once, and an index would have to
follow every one. What proves the index on a copy, writes included, sees that.
"""

from __future__ import annotations

import itertools
from random import Random

from homeostat.access.operation import Operation
from homeostat.sample.operations import Part, Person
from homeostat.sample.troubles.asking import AskingTrouble
from homeostat.sample.troubles.catalogue import HURTFUL_INDEX
from homeostat.sample.troubles.own_table import OwnTable

TABLE = "readings"
ROWS = 90_000
WRITTEN_ROWS = 300
SCORES = 100_003  # a prime: scores stay spread, whatever is added
WRITES_PER_READ = 5
FIND_READING = Operation(
    name="find_reading",
    sql="SELECT id, note FROM readings WHERE score = :score",
    parameters=("score",),
    tables=(TABLE,),
    idempotent=True,
)
RESCORE_READINGS = Operation(
    name="rescore_readings",
    sql=(
        f"UPDATE readings SET score = (score + :added) % {SCORES} WHERE id BETWEEN :low AND :high"
    ),
    parameters=("added", "low", "high"),
    write=True,
    tables=(TABLE,),
)


def _score(_person: Person, chance: Random, _now_ms: int) -> dict[str, object]:
    return {"score": chance.randrange(SCORES)}


def _block(_person: Person, chance: Random, _now_ms: int) -> dict[str, object]:
    low = 1 + WRITTEN_ROWS * chance.randrange(ROWS // WRITTEN_ROWS)
    return {"added": 1 + chance.randrange(SCORES - 1), "low": low, "high": low + WRITTEN_ROWS - 1}


class HurtfulIndex(AskingTrouble):
    """Makes the table, reads it now and then and writes it all the time; drops it at the end."""

    parts = (Part(FIND_READING, 0.0, _score), Part(RESCORE_READINGS, 0.0, _block))

    def __init__(self, url: str) -> None:
        """Remember which database it is; nothing is made yet."""
        super().__init__(url)
        find, rescore = self.parts
        self._turns = itertools.cycle((find, *itertools.repeat(rescore, WRITES_PER_READ)))

    def chosen(self) -> Part:
        """Return one read, then so many writes, in turn."""
        return next(self._turns)

    def spoil(self) -> None:
        """Make the table without the index."""
        OwnTable(self.url, TABLE, HURTFUL_INDEX).make()

    def mend(self) -> None:
        """Drop the table."""
        OwnTable(self.url, TABLE, HURTFUL_INDEX).drop()
