"""Upkeep: connection pools."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from homeostat.config.section import Count, Seconds, Section, Share, about


class PoolConfig(Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When the connection pool of an application grows and shrinks."""

    use_share_high: Annotated[Share, about("Use of the pool that counts as exhausted (80 %).")] = (
        0.8
    )
    window_ticks: Annotated[Count, about("Performance ticks that are judged together.")] = 5
    exhausted_ticks: Annotated[
        Count, about("Exhausted ticks within the window that open a finding.")
    ] = 3
    wait_ms: Annotated[float, about("Mean wait for a connection that counts as waiting.")] = 1.0
    cpu_share_max: Annotated[
        Share,
        about(
            "CPU in use (of all cores, database side where seen) above which more connections only "
            "queue elsewhere."
        ),
    ] = 0.85
    leaked_share_max: Annotated[
        Share,
        about(
            "Share of a pool that was leaked (taken and not given back) above which it is not "
            "grown: what leaks would take the new connections too."
        ),
    ] = 0.2
    growth: Annotated[float, Meta(gt=1), about("Factor of one growth step.")] = 2.0
    limit_max: Annotated[Count, about("No pool grows past this.")] = 64
    server_reserve: Annotated[
        Count,
        about(
            "Server connections always left for people and tools; the sum of pool limits "
            "stays below the server's limit minus this."
        ),
    ] = 10
    shrink_after_seconds: Annotated[
        Seconds, about("Low use for so long lets a grown pool shrink.")
    ] = 3600.0
    shrink_use_share: Annotated[Share, about("Peak use of the limit that counts as low.")] = 0.4
    wait_reduction: Annotated[Share, about("Least reduction of the mean wait worth keeping.")] = 0.3
