"""Who asks: the Caller that every call on the data path carries.

A Caller is what the application says; nothing here authenticates anybody. It decides which segment
a call is counted under, which scopes it may touch, and what the database is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CRITICALITIES = ("critical", "normal", "sheddable")
NO_SEGMENT = "none"


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made.

    Inside a PostgreSQL transaction every non-empty text is set as `homeostat.<field>` (SET LOCAL),
    so that row-level security, triggers and logs can use it.

    Attributes:
        principal: the account or service that was authenticated.
        user: whose data it is about.
        segment: the group that statistics are kept by (a tenant, a plan, a region, a type).
        scopes: the scope values the caller may touch; empty: any. An operation that declares a
            scope column is refused for another scope.
        device: the device the call comes from.
        source: the part of the application, e.g. `web`, `worker`.
        criticality: one of CRITICALITIES; told to the database and to write hooks.
        read_token: reads see at least what `Database.read_token` had seen, also on a replica.
    """

    principal: str = ""
    user: str = ""
    segment: str = NO_SEGMENT
    scopes: frozenset[str] = frozenset()
    device: str = ""
    source: str = ""
    criticality: str = "normal"
    read_token: str = ""

    def __post_init__(self) -> None:
        """Refuse an unknown criticality."""
        if self.criticality not in CRITICALITIES:
            message = f"criticality is one of {', '.join(CRITICALITIES)}, not {self.criticality!r}"
            raise ValueError(message)

    def announced(self) -> Mapping[str, str]:
        """Return what the database is told, by setting name."""
        values = {
            "principal": self.principal,
            "user": self.user,
            "segment": self.segment,
            "device": self.device,
            "source": self.source,
            "criticality": self.criticality,
            "scopes": ",".join(sorted(self.scopes)),
        }
        return {f"homeostat.{name}": value for name, value in values.items() if value}


ANYONE = Caller()
