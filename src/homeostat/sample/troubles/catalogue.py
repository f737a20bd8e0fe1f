"""Which troubles there are: their names, how strong they are, and the story's acts."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.errors import ConfigError

IDLE_HOLDERS = "idle-holders"
LOCK_HOLDER = "lock-holder"
CONNECTION_LEAK = "connection-leak"
DISK_GROWTH = "disk-growth"
STRENGTHS = {
    IDLE_HOLDERS: 0.28,
    LOCK_HOLDER: 0.85,
    CONNECTION_LEAK: 0.5,
    DISK_GROWTH: 0.5,
}
TROUBLES = tuple(STRENGTHS)
WORDS = {
    IDLE_HOLDERS: "a slow partner: some requests keep their connection while they wait for it",
    LOCK_HOLDER: "a nightly report takes the write lock and sits on it",
    CONNECTION_LEAK: "an export takes connections and never gives them back",
    DISK_GROWTH: "a debug log was left on: it fills a table that nobody cleans up",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One act of the demo's story, at the default rate: what is on, and what then holds.

    Attributes:
        idle_holders: strength, or None.
        lock_holder: strength, or None.
        pool_short: a pool of this size is exhausted.
        pool_enough: this size mends it; None: none does.
    """

    idle_holders: float | None
    lock_holder: float | None
    pool_short: int
    pool_enough: int | None


STORY = (
    Act(idle_holders=0.28, lock_holder=None, pool_short=4, pool_enough=8),
    Act(idle_holders=0.50, lock_holder=0.80, pool_short=8, pool_enough=None),
    Act(idle_holders=0.60, lock_holder=None, pool_short=8, pool_enough=16),
)


def checked_strength(name: str, strength: float | None) -> float:
    """Return the strength of a trouble; None: its own one in STRENGTHS.

    Raises:
        ConfigError: there is no such trouble, or the strength is not above 0 and below 1.
    """
    if name not in TROUBLES:
        raise ConfigError(f"Name one of the troubles {', '.join(TROUBLES)}.", detail=name)
    if strength is None:
        return STRENGTHS[name]
    if not 0 < strength < 1:
        raise ConfigError("A trouble's strength is above 0 and below 1.", detail=f"{strength:g}")
    return strength
