"""Settings of `homeostat check`: its limits, and thresholds that monitoring does not have."""

from __future__ import annotations

from typing import Annotated

from homeostat.config.section import Count, Seconds, Section, Share, about


class CheckConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`homeostat check`: its limits, and thresholds that monitoring does not have."""

    load_share: Annotated[
        Share, about("Of one core, over a minute: the most that its statements may use (3 %).")
    ] = 0.03
    statement_seconds: Annotated[Seconds, about("No single statement of it runs longer.")] = 5.0
    findings_max: Annotated[Count, about("Findings of one rule that are listed.")] = 20
