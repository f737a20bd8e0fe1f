"""Probes read and yield samples; they change nothing.

A probe is shared by all databases; what it must remember of one (running totals, say) it keeps in
`Watched.memory`. Probes of one database share its reserved connection and take turns on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from homeostat.engine.engine import Activity, Engine, Identity, TableUse
from homeostat.engine.facets import IndexInfo
from homeostat.measure import Sample
from homeostat.operate.statements import StatementBook


@dataclass(frozen=True, slots=True)
class Holdings:
    """The tables and indexes of a database as last seen; `reason`: why indexes are not known."""

    at: float
    tables: Sequence[TableUse]
    indexes: Sequence[IndexInfo]
    reason: str = ""


@dataclass(slots=True)
class Watched:
    """One attached database, as probes see it.

    Attributes:
        engine: how to ask it.
        identity: which one it is; its key is the subject's database.
        at: the time of this tick, in seconds since 1970 UTC.
        memory: the probe's own notes on this database, kept between ticks.
        activity: set by the probe that asked; rules and verdicts quote it.
        holdings: set by the probe that reads tables and indexes.
        statements: what statements cost; probes add what the server and its plans say.
    """

    engine: Engine
    identity: Identity
    at: float
    memory: dict[str, Any] = field(default_factory=dict)
    activity: Activity | None = None
    holdings: Holdings | None = None
    statements: StatementBook = field(default_factory=StatementBook)


class Probe(Protocol):
    """Reads one kind of thing at an interval."""

    @property
    def name(self) -> str:
        """The name, unique among all rooms."""
        ...

    @property
    def help(self) -> str:
        """One sentence for the reference."""
        ...

    @property
    def interval_seconds(self) -> float:
        """How often it reads."""
        ...

    def read(self, watched: Watched) -> Iterable[Sample]:
        """Read; what cannot be known is yielded as Unknown.

        Raises:
            DatabaseError: the database could not be asked at all; what was yielded before counts.
        """
        ...
