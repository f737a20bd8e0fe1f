"""What a room hands the operator: its metrics, probes, rules and remedies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeostat.measure import MetricSpec
from homeostat.operate.probe import Probe
from homeostat.operate.remedy import Remedy
from homeostat.operate.rule import Rule


@dataclass(frozen=True, slots=True)
class Room:
    """One room's part of the loop.

    `look_back` says for how many seconds its rules need the readings of a metric, where that may be
    more than the newest `recent.TICKS_MAX` ticks hold.
    """

    name: str
    metrics: Sequence[MetricSpec] = ()
    probes: Sequence[Probe] = ()
    rules: Sequence[Rule] = ()
    remedies: Sequence[Remedy] = ()
    look_back: Mapping[str, float] = field(default_factory=dict)
