"""How much slower applications are than just before: what the copying of a database follows.

Only what agents report is looked at; without one nobody tells, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable

from homeostat.access.protocol import unpack
from homeostat.engine.pace import Strain
from homeostat.measure import Histogram, Unknown, merged
from homeostat.operate.rule import View

QUANTILE = 0.95  # the goal for clones is about p95
USUAL_SECONDS = 60.0  # before the copy
CALLS_MIN = 40  # fewer have no p95 to speak of


def strain_of(view: Callable[[], View]) -> Strain:
    """Return what tells the p95 of the agents' newest reports over that of the minute before now.

    Args:
        view: returns what is known of the database now.
    """
    before = view()
    readings = before.recent.between(
        "operation.latency_us", before.subject(), start=before.at - USUAL_SECONDS, end=before.at
    )
    usual = _high(merged(one for one in readings if isinstance(one, Histogram)))
    heard: dict[str, float] = {agent.name: agent.heard for agent in before.agents}

    def strain() -> float | None:
        fresh = [one for one in view().agents if one.heard > heard.get(one.name, 0.0)]
        heard.update({one.name: one.heard for one in fresh})
        told = [unpack(one.latency) for agent in fresh for one in agent.report.operations]
        now = _high(merged(told))
        return None if now is None or not usual else now / usual

    return strain


def _high(latency: Histogram) -> float | None:
    if latency.count < CALLS_MIN:
        return None
    found = latency.quantile(QUANTILE)
    return None if isinstance(found, Unknown) else found
