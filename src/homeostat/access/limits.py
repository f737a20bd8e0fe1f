"""How many connections a pool may hold: the application's own word, within which operators act."""

from __future__ import annotations

from dataclasses import dataclass

WAIT_TARGET_MS = 50.0  # what operations are promised in all: this wait alone breaks it
LEAK_SECONDS = 30.0  # as settings.DEADLINE_MS: no statement of ours takes longer
LIMIT_MAX = 64  # as config.PoolConfig.limit_max, the operator's own bound


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a pool may hold.

    Attributes:
        limit: the application's own limit, in force until an operator sets another.
        limit_max: no operator raises it past this.
        name: what the pool is called in reports.
        wait_target_ms: while nobody gets a connection in less than this, callers are refused by
            their criticality (see shedding.py); None: nobody is.
        leak_seconds: a connection that is held so long without a statement is named as a leak.
    """

    limit: int = 4
    limit_max: int = LIMIT_MAX
    name: str = "main"
    wait_target_ms: float | None = WAIT_TARGET_MS
    leak_seconds: float = LEAK_SECONDS

    def __post_init__(self) -> None:
        """Refuse limits that no connection fits in, and times that are none."""
        if not 1 <= self.limit <= self.limit_max:
            message = f"the pool's limit must be 1 to {self.limit_max}, not {self.limit}"
            raise ValueError(message)
        if self.leak_seconds <= 0 or (self.wait_target_ms is not None and self.wait_target_ms <= 0):
            message = "wait_target_ms and leak_seconds must be above 0"
            raise ValueError(message)

    @classmethod
    def of(cls, limit: int) -> PoolLimits:
        """Return limits for a pool of this size; a large one is not cut to `limit_max`."""
        return cls(limit=limit, limit_max=max(LIMIT_MAX, limit))
