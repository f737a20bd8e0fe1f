"""The trouble `stale-statistics`: a table was analysed while it was small, and grew.

Then each of 500 trial campaigns had one notice, and each of ten testers had fifty. Now one campaign
has sent 60,000. By the old statistics a campaign is the quick way to a user's notices; by new ones
the user is.
"""

from __future__ import annotations

from random import Random

from homeostat.access.operation import Operation
from homeostat.sample.operations import Part, Person
from homeostat.sample.troubles.asking import AskingTrouble
from homeostat.sample.troubles.catalogue import STALE_STATISTICS
from homeostat.sample.troubles.own_table import OwnTable

TABLE = "notices"
TESTERS = 10
GROWTH_SQL = (
    "INSERT INTO notices (id, user_id, campaign, sent_ms) "
    "SELECT 500 + 120 * (one.id - 1) + two.id, 1 + (120 * one.id + two.id) % 1000, 'spring', "
    "two.id FROM notices AS one CROSS JOIN notices AS two WHERE two.id <= 120"
)  # 60,000 rows: sixty for each of a thousand users
LIST_NOTICES = Operation(
    name="list_notices",
    sql=(
        "SELECT count(*) AS notices, max(sent_ms) AS newest FROM notices "
        "WHERE campaign = :campaign AND user_id = :user_id"
    ),
    parameters=("user_id", "campaign"),
    tables=(TABLE,),
    idempotent=True,
)


def _draw(_person: Person, chance: Random, _now_ms: int) -> dict[str, object]:
    return {"user_id": 1 + chance.randrange(TESTERS), "campaign": "spring"}


class StaleStatistics(AskingTrouble):
    """Makes the table, analyses it and lets it grow; drops it at the end."""

    parts = (Part(LIST_NOTICES, 0.0, _draw),)

    def spoil(self) -> None:
        """Make the table as it was, take its statistics, and let it grow."""
        OwnTable(self.url, TABLE, STALE_STATISTICS).make(GROWTH_SQL)

    def mend(self) -> None:
        """Drop the table."""
        OwnTable(self.url, TABLE, STALE_STATISTICS).drop()
