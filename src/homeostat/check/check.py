"""A check: a rule's name, what it means, and the function that judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from homeostat.check.look import Look
from homeostat.check.report import Finding

Dialect = Literal["postgresql", "sqlite"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked for.

    Attributes:
        rule: names the finding; unique within a dialect, the same for the same trouble on both.
        dialect: which engine it asks.
        sees: what it looks at, for `unseen`: `the use of indexes`.
        help: what the finding means and what to do about it; for docs/reference/checks.md.
        judge: yields findings without their rule; may raise DatabaseError.
        mend: what would let it see, when a right is missing; `{role}` is the role that asks.
    """

    rule: str
    dialect: Dialect
    sees: str
    help: str
    judge: Callable[[Look], Iterable[Finding]]
    mend: str = "GRANT pg_monitor TO {role};"
