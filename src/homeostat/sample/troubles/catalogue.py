"""Which troubles there are: their names, how strong they are, and the story's acts."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.errors import ConfigError

IDLE_HOLDERS = "idle-holders"
LOCK_HOLDER = "lock-holder"
CONNECTION_LEAK = "connection-leak"
DISK_GROWTH = "disk-growth"
DROPPED_INDEX = "dropped-index"
STALE_STATISTICS = "stale-statistics"
HURTFUL_INDEX = "hurtful-index"
STRENGTHS = {
    IDLE_HOLDERS: 0.28,
    LOCK_HOLDER: 0.85,
    CONNECTION_LEAK: 0.5,
    DISK_GROWTH: 0.5,
    DROPPED_INDEX: 0.04,
    STALE_STATISTICS: 0.06,
    HURTFUL_INDEX: 0.2,
}
TROUBLES = tuple(STRENGTHS)
WORDS = {
    IDLE_HOLDERS: "a slow partner: some requests keep their connection while they wait for it",
    LOCK_HOLDER: "a nightly report takes the write lock and sits on it",
    CONNECTION_LEAK: "an export takes connections and never gives them back",
    DISK_GROWTH: "a debug log was left on: it fills a table that nobody cleans up",
    DROPPED_INDEX: "somebody drops the index that tells who is online",
    STALE_STATISTICS: "a table grew a hundredfold since its statistics were taken",
    HURTFUL_INDEX: "a search asks for an index on what is written all the time",
}

OUTCOMES = {
    IDLE_HOLDERS: "The pool runs out; it is made larger and stays so if that helped.",
    LOCK_HOLDER: "A larger pool is tried and undone, for it does not help; the holder is named.",
    CONNECTION_LEAK: "A finding names the operation and the line of code that never gave back.",
    DISK_GROWTH: "A finding says when the disk is full, which table grows, and who writes it.",
    DROPPED_INDEX: "The missing index is proven on a copy, built, and kept if it helped.",
    STALE_STATISTICS: "Fresh statistics are proven on a copy and kept; PostgreSQL asks you first.",
    HURTFUL_INDEX: "An index looks good; the proof on a copy shows its cost, and it is refused.",
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
