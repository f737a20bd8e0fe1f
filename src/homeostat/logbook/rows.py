"""The rows of the logbook: what Homeostat remembers of its own decisions.

All are frozen; a change is a new row value given to `Transaction.save_*`. An `id` of 0 is assigned
on saving. Times are seconds since 1970 UTC; None: not yet.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Json = dict[str, Any]
FindingState = Literal["open", "cleared"]
RemedyState = Literal[
    "observed",  # autonomy observe: what would have been done
    "waiting",  # for a person to approve
    "proposed",
    "rehearsing",
    "applying",
    "verifying",
    "reverting",
    "kept",
    "reverted",
    "ineffective",  # undone because it did not help
    "rejected",
    "refused",  # the rehearsal spoke against it
    "failed",
    "asking",  # a take-over could not tell what was done
]
REMEDY_ENDED: frozenset[str] = frozenset(
    {"observed", "kept", "reverted", "ineffective", "rejected", "refused", "failed"}
)
RunState = Literal["running", "done", "failed", "asking", "cancelled"]
StepState = Literal["intent", "done", "failed"]


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all rows."""


class DatabaseRow(_Row, frozen=True, kw_only=True):
    """A database that was attached."""

    key: str
    dialect: str
    label: str
    url: str  # without any password
    version: str
    attached: float
    detached: float | None = None
    paused: bool = False


class Finding(_Row, frozen=True, kw_only=True):
    """A judged observation."""

    id: int = 0
    database: str
    instance: str = "primary"
    kind: str = "database"
    name: str = ""
    rule: str
    severity: str  # measure.Severity
    state: FindingState = "open"
    what: str  # one sentence with numbers
    cause: str = "unknown"
    mend: str = ""
    evidence: Json = {}
    opened: float
    updated: float
    cleared: float | None = None


class RemedyRecord(_Row, frozen=True, kw_only=True):
    """One remedy on its way through the five moves."""

    id: int = 0
    database: str
    key: str  # which remedy, e.g. "size-pool"
    resource: str  # what it acts on, e.g. "pool:main@agent"
    finding: int | None = None
    run: int | None = None
    state: RemedyState
    autonomy: str
    title: str
    why: str
    parameters: Json = {}
    evidence: Json = {}
    likeness: str = ""  # evidence that is alike has the same likeness
    verdict: str = ""  # one sentence: why it was kept, reverted, ...
    result: Json = {}  # measured: before, after, mechanism, probability
    proposed: float
    decided: float | None = None
    decided_by: str = ""
    applied: float | None = None
    ended: float | None = None


class Run(_Row, frozen=True, kw_only=True):
    """A durable multi-step operation."""

    id: int = 0
    kind: str
    version: int
    database: str
    remedy: int | None = None
    state: RunState = "running"
    epoch: int
    attempt: int = 1
    progress: float = 0.0  # 0 to 1
    detail: str = ""
    started: float
    ended: float | None = None


class Step(_Row, frozen=True, kw_only=True):
    """One step of a run: intent and undo are committed before the effect, observation after."""

    run: int
    number: int
    name: str
    state: StepState = "intent"
    epoch: int
    intent: Json = {}
    undo: Json = {}
    observation: Json = {}
    intended: float
    observed: float | None = None


class AuditEntry(_Row, frozen=True, kw_only=True):
    """Who did what; each entry's hash covers the one before."""

    sequence: int
    at: float
    actor: str
    action: str
    database: str
    subject: str
    detail: Json
    previous: str
    hash: str


class Event(_Row, frozen=True, kw_only=True):
    """Something that was committed; `sequence` is the id of server-sent events."""

    sequence: int
    at: float
    kind: str  # finding, remedy, run, step, database, audit, note
    database: str
    data: Json


class Owner(_Row, frozen=True, kw_only=True):
    """A process that may own a database's operations."""

    pid: int
    started: float  # the process's start time, so that a reused pid is not mistaken for it
    host: str
    boot: str  # the machine's boot id
    label: str = ""


class Tenure(_Row, frozen=True, kw_only=True):
    """Ownership of a scope for a time; writes made under it are refused once the epoch moved on."""

    scope: str
    owner: Owner
    epoch: int
    expires: float
