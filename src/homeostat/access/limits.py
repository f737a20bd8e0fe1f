"""How many connections a pool may hold: the application's own word, within which operators act."""

from __future__ import annotations

from dataclasses import dataclass

LIMIT_MAX = 64  # as config.PoolConfig.limit_max, the operator's own bound


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a pool may hold.

    Attributes:
        limit: the application's own limit, in force until an operator sets another.
        limit_max: no operator raises it past this.
        name: what the pool is called in reports.
    """

    limit: int = 4
    limit_max: int = LIMIT_MAX
    name: str = "main"

    def __post_init__(self) -> None:
        """Refuse limits that no connection fits in."""
        if not 1 <= self.limit <= self.limit_max:
            message = f"the pool's limit must be 1 to {self.limit_max}, not {self.limit}"
            raise ValueError(message)

    @classmethod
    def of(cls, limit: int) -> PoolLimits:
        """Return limits for a pool of this size; a large one is not cut to `limit_max`."""
        return cls(limit=limit, limit_max=max(LIMIT_MAX, limit))
