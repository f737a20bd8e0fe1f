"""What a check hands over: findings by what they cost, and what could not be seen.

`Report` is the contract of `homeostat check --json`; docs/reference/json.md is written from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from homeostat.measure import Severity

CostKind = Literal["risk", "time", "bytes"]
_KINDS: tuple[CostKind, ...] = ("risk", "time", "bytes")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a finding costs as long as nobody mends it: what findings of one severity rank by.

    `kind` is `risk`, `time` or `bytes`, in this order. `amount` is for a risk how near it is (0:
    far, 1: it is here, or nothing stands in its way); for time milliseconds of the database for
    each second of the clock (1000: one core or one session, all the time); for bytes how many are
    taken for nothing. Kinds are not converted into each other: no rate of exchange would be true.
    """

    kind: CostKind
    amount: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that hurts, why, and how to mend it.

    `severity` is `info`, `warning`, `high` or `critical`. `where` names the object as SQL would.
    `evidence` is what was seen, numbers by name (their unit is the last word). `mend_sql` can be
    run as it is; where no SQL helps, it is a comment that says what to do. `risk` is that of
    mending.
    """

    rule: str = ""
    severity: Severity
    what: str
    where: str
    cause: str
    evidence: dict[str, float | str | None]
    mend_sql: str
    risk: str
    cost: Cost


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be looked at, why, and what would show it (a grant, an extension)."""

    what: str
    reason: str
    mend: str


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """Which database was looked at, as whom, when, and what looking cost.

    `at` is seconds since 1970 UTC; `seconds` is how long it took, `busy_seconds` how long
    statements of the check ran; `checks` is how many checks there were.
    """

    key: str
    label: str
    dialect: str
    version: str
    role: str | None
    at: float
    seconds: float
    busy_seconds: float
    checks: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `homeostat check --json` prints: the costliest finding first."""

    database: Database
    findings: list[Finding]
    unseen: list[Unseen]

    @property
    def healthy(self) -> bool:
        """Return whether nothing above `info` was found (docs/decisions/check-exit-code.md)."""
        return all(one.severity is Severity.INFO for one in self.findings)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by severity, then kind of cost, then amount, the costliest first."""
    return sorted(
        findings,
        key=lambda one: (
            -one.severity.rank,
            _KINDS.index(one.cost.kind),
            -one.cost.amount,
            one.rule,
            one.where,
        ),
    )
