"""What people and programs are shown: the shapes of the JSON API, the page and `--json`."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from homeostat.access.protocol import Reply, Report
from homeostat.logbook.rows import AuditEntry, Event, Finding, Json, RemedyRecord, Run, Step
from homeostat.operate.insights import Insights

COUNTED_MAX = 500_000  # rows, in the facts of a statement; a larger table counts as this large


class DatabaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One database at a glance; a null number has its reason in `unknown` under the same name."""

    key: str
    label: str
    dialect: str
    version: str
    state: str  # ok, trouble, unreachable, paused
    since: float  # attached, seconds since 1970 UTC
    promise_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    operations_per_second: float | None
    agents: int | None
    findings: int
    healed: int
    reverted: int
    waiting: int
    autonomy: str
    unknown: dict[str, str] = {}
    name: str = ""  # as configured; empty: it has none
    group: str = ""
    labels: dict[str, str] = {}
    pools: list[Json] = []  # as in Tick; `agent` is `pgbouncer` for a pool of PgBouncer's


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A database that is to be attached and could not be yet; tried again by itself."""

    name: str
    label: str  # without secrets
    group: str
    error: str
    since: float
    tries: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The operator and its databases; `pid` and `uptime_seconds` are null when none runs."""

    version: str
    state: str  # ok, trouble, paused, logbook
    detail: str
    pid: int | None
    epoch: int | None
    uptime_seconds: float | None
    databases: list[DatabaseStatus]
    next_command: str
    pending: list[Pending] = []


class RemedyView(msgspec.Struct, frozen=True, kw_only=True):
    """A remedy with all that belongs to it."""

    remedy: RemedyRecord
    finding: Finding | None
    run: Run | None
    steps: list[Step]
    possible: list[str]  # decisions that a person can take now: approve, reject, revert


class PlanThen(msgspec.Struct, frozen=True, kw_only=True):
    """A plan of a statement and when it was first seen (seconds since 1970 UTC).

    `plan` is a Plan: dialect, shape, executed, total_ms, rows_read, blocks_hit, blocks_read and
    `root`, a step with kind, relation, index, detail, rows_estimated, rows, loops, removed, cost,
    total_ms and `children`, which are steps too. Texts in it are redacted.
    """

    at: float
    plan: Json


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A statement: what it cost lately, the plans it had, what was found out, and what was done.

    `plan` is the newest of `plans`; null when the statement could not be planned. `facts` says of
    its tables how many rows they have and match, and which indexes might serve it. Numbers are null
    when it did not run lately, or only the logbook tells. Bytes are of the values of rows and
    parameters, and `waited_share` of the calls waited for a connection; agents tell, of operations
    that are called by themselves, not within transactions.
    """

    database: str
    name: str
    finding: Finding | None
    statement: str
    text: str
    operations: list[str]
    applications: list[str]
    source: str
    mean_ms: float | None
    calls_per_second: float | None
    cost_ms_per_second: float | None
    late_share: float | None
    rows_per_call: float | None
    plan: Json | None
    plans: list[PlanThen]
    facts: Json
    remedies: list[RemedyRecord]
    received_bytes_per_call: float | None = None
    sent_bytes_per_call: float | None = None
    waited_share: float | None = None
    waited_ms_per_call: float | None = None


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One point of a series: time, mean, minimum and maximum within the point's span."""

    at: float
    mean: float
    low: float
    high: float


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of one subject over time; no points are made up where nothing was measured."""

    metric: str
    subject: str
    unit: str
    step_seconds: float
    known_since: float | None
    points: list[Point]


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of a subject; null with its reason when unknown."""

    subject: str
    metric: str
    unit: str
    at: float
    value: float | None
    reason: str = ""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows live, sent every performance tick (not stored as an event)."""

    database: str
    at: float
    p50_ms: float | None
    p99_ms: float | None
    operations_per_second: float | None
    errors_per_second: float | None
    segments: dict[str, float]  # operations per second by segment
    pools: list[Json]  # name, agent, application, limit, in_use_mean, use_share, waiting, wait_ms
    latest: list[Latest]


class Buckets(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram since the operator started: how many values were below each bound.

    `counts` are cumulative; `count` and `total` are of all values, in the metric's unit.
    """

    below: list[float]
    counts: list[int]
    count: int
    total: float


class SeriesNow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of a metric of a subject; null with its reason when unknown.

    A counter's value is the total since the operator started; a histogram has `buckets` instead.
    """

    database: str
    metric: str
    unit: str
    kind: str  # gauge, counter, histogram
    help: str
    instance: str  # where it was seen: primary, replica:NAME, agent:NAME
    subject: str  # database, pool, operation, segment, table, ...
    name: str
    at: float
    value: float | None
    reason: str = ""
    buckets: Buckets | None = None


Role = Literal["agent", "viewer", "operator", "admin"]
"""What the owner of a token or link may: report; read; decide; everything."""


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A named token: times in seconds since 1970 UTC; `token` only in the answer that made it."""

    name: str
    role: Role
    created: float
    expires: float | None
    token: str | None = None


class CloneView(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a database; times in seconds since 1970 UTC, `share` is that of its rows."""

    name: str
    database: str
    label: str  # of the database it was made from
    url: str
    bytes: int
    share: float
    seconds: float  # how long the copy took
    created: float
    expires: float
    owner: str  # the run it was made for, or `person`


class Console(Insights, Protocol):
    """The operator as the web page, the API and the CLI see it; safe to call from any thread.

    Decisions raise DecisionRefusedError, lookups NotFoundError, a failing logbook LogbookError.
    """

    def status(self) -> Status:
        """Return the state of everything."""
        ...

    def findings(self, *, database: str | None = None, open_only: bool = True) -> list[Finding]:
        """Return findings, the newest first."""
        ...

    def remedies(self, *, database: str | None = None, limit: int = 100) -> list[RemedyRecord]:
        """Return remedies, the newest first."""
        ...

    def remedy(self, number: int) -> RemedyView:
        """Return one remedy with finding, run and steps."""
        ...

    def explain(self, name: str) -> Explained:
        """Return what is known of a statement: of a finding's number, a key, or an operation."""
        ...

    def decide(self, number: int, decision: str, *, actor: str) -> RemedyView:
        """Take a decision: `approve`, `reject` or `revert`."""
        ...

    def set_autonomy(self, key: str, autonomy: str, *, actor: str) -> None:
        """Set what a remedy may do by itself until the operator restarts."""
        ...

    def pause(self, *, actor: str, database: str | None = None) -> None:
        """Apply nothing more; observing goes on."""
        ...

    def resume(self, *, actor: str, database: str | None = None) -> None:
        """Apply again."""
        ...

    def detach(self, database: str, *, actor: str) -> None:
        """Stop observing a database; what it learned stays in the logbook."""
        ...

    def clones(self, *, database: str | None = None) -> list[CloneView]:
        """Return the clones of a database or of all, the newest first."""
        ...

    def create_clone(
        self, database: str | None, *, actor: str, hours: float | None = None
    ) -> CloneView:
        """Copy a database (None: the only one) for a person; takes as long as the copy does.

        Raises CloneRefusedError when there can be none.
        """
        ...

    def drop_clone(self, name: str, *, actor: str) -> CloneView:
        """Remove a clone; return what it was."""
        ...

    def note(self, action: str, subject: str, detail: Json, *, actor: str) -> None:
        """Write to the audit log what a person did that concerns no database."""
        ...

    def series(
        self,
        database: str,
        metric: str,
        subject: str,
        *,
        start: float,
        end: float,
        points: int = 300,
    ) -> Series:
        """Return a metric of a subject between two times, with at most so many points."""
        ...

    def tick(self, database: str) -> Tick:
        """Return the newest tick."""
        ...

    def readings(self, *, database: str | None = None) -> list[SeriesNow]:
        """Return the newest reading of every series of a database or of all."""
        ...

    def audit(self, *, limit: int = 100) -> list[AuditEntry]:
        """Return audit entries, the newest first."""
        ...

    def events(self, after: int, *, limit: int = 500) -> list[Event]:
        """Return committed events past a sequence number, the oldest first."""
        ...

    def wait_for_change(self, after: int, ticks: int, seconds: float) -> tuple[int, int]:
        """Wait for a new event or tick; return the newest event sequence and tick counter."""
        ...

    def report(self, report: Report) -> Reply:
        """Take an agent's report and answer it."""
        ...
