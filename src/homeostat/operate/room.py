"""What a room hands the operator: its metrics, probes, rules and remedies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.measure import MetricSpec
from homeostat.operate.probe import Probe
from homeostat.operate.remedy import Remedy
from homeostat.operate.rule import Rule


@dataclass(frozen=True, slots=True)
class Room:
    """One room's part of the loop."""

    name: str
    metrics: Sequence[MetricSpec] = ()
    probes: Sequence[Probe] = ()
    rules: Sequence[Rule] = ()
    remedies: Sequence[Remedy] = ()
