"""The shapes of what the pages of a database show beside its state: charts, statements, tables...

A number that is null has its reason beside it, in `unknown` or `reason`. Times are seconds since
1970 UTC. Texts of statements are redacted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from homeostat.logbook.rows import AuditEntry, Finding
from homeostat.operate.operation_sums import OperationRow

if TYPE_CHECKING:
    from homeostat.operate.views import Explained


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all shapes."""


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """One point of a line: time, mean, least and greatest within its span."""

    at: float
    mean: float
    low: float
    high: float


class Line(Shape, frozen=True, kw_only=True):
    """One line of a chart; `mean`, `low` and `high` are over all its points, null without any."""

    metric: str
    name: str  # what it stands for, e.g. a pool; empty where the metric says all
    points: list[Reading]
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Chart(Shape, frozen=True, kw_only=True):
    """Lines of one unit over one range.

    Attributes:
        name: for links.
        bad: the direction that hurts: up, down or none.
        lines: each with at least one point.
        before: the same of the range that it is compared with; their times are their own.
        more: lines that were left out, since there are many.
        known_since: when the first of its readings was made; null: there was none.
        reason: why there is no line; empty where there is one.
    """

    name: str
    title: str
    unit: str
    help: str
    bad: str
    lines: list[Line]
    before: list[Line] = []
    more: int = 0
    known_since: float | None = None
    reason: str = ""


class Mark(Shape, frozen=True, kw_only=True):
    """Where a remedy acted: when it was applied, and when and how it ended."""

    remedy: int
    title: str
    state: str
    applied: float
    ended: float | None


class Charts(Shape, frozen=True, kw_only=True):
    """What was measured of a database over a range, and over the one it is compared with."""

    database: str
    start: float
    end: float
    step_seconds: float
    compared_start: float | None
    charts: list[Chart]
    marks: list[Mark]


class StatementBefore(Shape, frozen=True, kw_only=True):
    """What a statement cost over the earlier range that it is compared with."""

    cost_ms_per_second: float
    mean_ms: float
    calls_per_second: float
    p99_ms: float | None = None


class StatementRow(Shape, frozen=True, kw_only=True):
    """What a statement cost over the window; a null number is not known from where it was read.

    Attributes:
        statement: its key, 16 hex digits.
        name: what people call it: its operation, else the beginning of its text.
        share: of the time that all statements took, 0 to 1.
        rows_per_call: returned or changed.
        pages_per_call: found in the cache or read from below it.
        p95_ms, p99_ms: of its operation, waiting for a connection included; agents tell.
        waited_share: of the moments it was seen running, how many it waited for a lock.
        source: `agents`, `server`, or `samples` (kept for as long as `samples.hour_days`).
        finding: the number of the open finding about it.
        planned: whether a plan of it is known.
        before: over the range that it is compared with; null: none was asked for, or it did not
            run then.
    """

    statement: str
    name: str
    text: str
    applications: list[str]
    write: bool | None
    cost_ms_per_second: float
    share: float
    mean_ms: float
    calls_per_second: float | None
    rows_per_call: float | None
    late_share: float | None
    pages_per_call: float | None
    waited_share: float | None
    source: str
    finding: int | None
    planned: bool
    p95_ms: float | None = None
    p99_ms: float | None = None
    before: StatementBefore | None = None


class Statements(Shape, frozen=True, kw_only=True):
    """The statements of a database that ran in the last `seconds`, in the order asked for.

    `reason` says why there are none, or what is left out; `known_since`: when this was first known.
    `known_seconds`: so much of the time is known, and rates are of it.
    `compared_start`: when the range of as many seconds begins that they are compared with;
    `compared_known_seconds`: so much of it is known, 0: none, so nothing is said to be new.
    """

    database: str
    at: float
    seconds: float
    order: str
    rows: list[StatementRow]
    known_since: float | None
    known_seconds: float = 0.0
    reason: str = ""
    compared_start: float | None = None
    compared_known_seconds: float | None = None


class SessionRow(Shape, frozen=True, kw_only=True):
    """One session as the server sees it; `wait` is empty when it waits for nothing."""

    pid: int
    user: str
    application: str
    state: str
    state_seconds: float
    transaction_seconds: float | None
    wait: str
    blocked_by: list[int]
    query: str


class LockNode(Shape, frozen=True, kw_only=True):
    """Who holds a lock, and below it who waits for it; a waiting one holds others up in turn.

    `seconds`: how long a holder has held it, or how long one has waited; null: not known.
    """

    pid: int
    who: str
    user: str
    what: str
    seconds: float | None
    waiting: list[LockNode] = []


class AgentRow(Shape, frozen=True, kw_only=True):
    """An application whose agent reports, with its pools as reported last."""

    name: str
    application: str
    pid: int
    host: str
    heard: float
    cpu_share: float | None
    limit: int
    in_use: float
    waiting: int
    operations_per_second: float


class Activity(Shape, frozen=True, kw_only=True):
    """Who is connected and who waits for whom, at `at`; reasons of nulls are in `unknown`.

    `sessions` is null where the engine keeps no list of them. `operations` are the busiest, as
    agents reported them last; `operations_more` counts those that were left out.
    """

    database: str
    at: float | None
    connections: float | None
    connections_max: float | None
    waiting: float | None
    sessions: list[SessionRow] | None
    locks: list[LockNode]
    agents: list[AgentRow]
    operations: list[OperationRow] = []
    operations_more: int = 0
    unknown: dict[str, str] = {}


class IndexRow(Shape, frozen=True, kw_only=True):
    """One index; `remark` says what stands out: unused, invalid, or covered by another."""

    name: str
    columns: list[str]
    definition: str
    unique: bool
    constraint: bool
    valid: bool
    bytes: float | None
    scans: float | None
    remark: str = ""


class TableRow(Shape, frozen=True, kw_only=True):
    """One table; null numbers have their reason in `unknown` under the same name.

    `grown_bytes` is over the last `grown_seconds` (at most a week), with its indexes.
    """

    name: str
    schema: str
    rows: float | None
    dead_rows: float | None
    bytes: float | None
    index_bytes: float | None
    waste_bytes: float | None
    changed: float | None
    analysed: float | None
    vacuumed: float | None
    full_scans: float | None
    full_scan_rows: float | None
    index_scans: float | None
    grown_bytes: float | None
    grown_seconds: float | None
    indexes: list[IndexRow]
    unknown: dict[str, str] = {}


class Tables(Shape, frozen=True, kw_only=True):
    """Tables and their indexes as seen at `at`; null with a reason: not seen yet."""

    database: str
    at: float | None
    tables: list[TableRow]
    reason: str = ""


class SettingRow(Shape, frozen=True, kw_only=True):
    """A setting in force; a null value is not seen, and the description says why.

    `source` is `default`, or where the value comes from; `restart`: a changed value waits for one.
    """

    name: str
    value: str | None
    default: str
    source: str
    description: str
    category: str
    restart: bool = False


class SettingsInForce(Shape, frozen=True, kw_only=True):
    """The settings of a database and of Homeostat itself; `reason`: why the first are missing."""

    database: str
    of_database: list[SettingRow]
    of_homeostat: list[SettingRow]
    reason: str = ""


class FoundRow(Shape, frozen=True, kw_only=True):
    """Findings of one rule in a period: how many, for how long they were open, and the worst."""

    rule: str
    count: int
    open_now: int
    open_seconds: float  # within the period, all of them
    severity: str
    newest: int  # the number of the newest
    what: str  # of the newest
    cause: str


class Tried(Shape, frozen=True, kw_only=True):
    """What a rehearsal on a copy measured; nothing of the database itself was changed.

    Attributes:
        at: when, in seconds since 1970 UTC.
        ok: whether it was worth it.
        operation: the statement that it is for; empty with both times null: not measured so.
        before_ms, after_ms: mean time of a call of it on the copy, without and with the change.
        benefit_share: time saved net of what others lose, as a share of what it serves; 0 to 1.
        build_seconds, index_bytes: what making it costs, scaled to the whole database.
        replayed, captured: calls that ran on both sides, of those that applications reported.
    """

    at: float
    ok: bool
    operation: str = ""
    before_ms: float | None = None
    after_ms: float | None = None
    benefit_share: float | None = None
    build_seconds: float | None = None
    index_bytes: float | None = None
    replayed: int | None = None
    captured: int | None = None


class ProposedRow(Shape, frozen=True, kw_only=True):
    """A remedy that was proposed in a period.

    Attributes:
        rehearsal: what trying it showed, why it cannot be tried, or how it would be.
        benefit: what it must show to be kept, or what it was measured to do.
        undo: how it is undone: exact, compensating or none.
        decision: what is asked of a person; empty: nothing.
        tried: the numbers of a rehearsal on a copy; null: none was made.
    """

    remedy: int
    key: str
    title: str
    why: str
    state: str
    proposed: float
    finding: int | None
    rehearsal: str
    benefit: str
    undo: str
    decision: str
    tried: Tried | None = None


class Proposals(Shape, frozen=True, kw_only=True):
    """What was found in a period, and what was or would have been done about it.

    `since`: when the database was attached; the period before is not known.
    """

    database: str
    start: float
    end: float
    since: float
    autonomy: str
    found: list[FoundRow]
    proposed: list[ProposedRow]


class Trail(Shape, frozen=True, kw_only=True):
    """A page of the audit log, the newest first, and what following its chain gave.

    Attributes:
        entries: of this page.
        total: entries of the whole log.
        verified: entries that the chain was followed through, from the first; null: it is broken.
        verified_at: when that was.
        broken: which entry does not fit, and what to do; empty: none.
    """

    entries: list[AuditEntry]
    total: int
    verified: int | None
    verified_at: float
    broken: str = ""


class Hit(Shape, frozen=True, kw_only=True):
    """Something that holds the words asked for; `name` leads to it within its kind.

    Kinds: finding, remedy, statement, table, index, setting, metric, rule, kind of remedy.
    """

    kind: str
    database: str  # empty: of all
    name: str
    title: str
    detail: str


class Hits(Shape, frozen=True, kw_only=True):
    """What was found, the best first; `more`: left out."""

    asked: str
    hits: list[Hit]
    more: int


class Insights(Protocol):
    """The part of the Console that the pages of a database ask beside its state."""

    def charts(
        self,
        database: str,
        *,
        start: float,
        end: float,
        shift: float = 0.0,
        points: int = 240,
        only: str = "",
    ) -> Charts:
        """Return the charts of a database, or one of them, with those `shift` seconds earlier."""
        ...

    def statements(
        self,
        database: str,
        *,
        seconds: float = 600.0,
        order: str = "total",
        limit: int = 50,
        shift: float = 0.0,
    ) -> Statements:
        """Return what statements cost in the last so many seconds.

        Order is `total` (time), `mean` (time), `p99`, `calls`, `rows`, `pages`, or `grown` (by the
        cost that came about since the range `shift` seconds earlier).
        """
        ...

    def statement(self, database: str, key: str) -> Explained:
        """Return what is known of a statement; one without a plan is planned now, not run."""
        ...

    def activity(self, database: str) -> Activity:
        """Return who is connected and who waits for whom, as last seen."""
        ...

    def tables(self, database: str) -> Tables:
        """Return tables and indexes as last seen, with how they grew."""
        ...

    def settings(self, database: str) -> SettingsInForce:
        """Return the settings in force of a database and of Homeostat."""
        ...

    def finding(self, number: int) -> Finding:
        """Return one finding, open or cleared."""
        ...

    def proposals(self, database: str, *, start: float, end: float) -> Proposals:
        """Return what was found in a period, and what was or would have been done about it."""
        ...

    def trail(
        self, *, database: str | None = None, before: int | None = None, limit: int = 100
    ) -> Trail:
        """Return audit entries before a number, the newest first, with the chain verified.

        Of a database: its entries and those that concern none.
        """
        ...

    def story(self, number: int) -> list[AuditEntry]:
        """Return the audit entries about a remedy, the oldest first; the chain is not verified."""
        ...

    def search(self, words: str, *, database: str | None = None, limit: int = 50) -> Hits:
        """Return what holds all the words: findings, remedies, statements, tables, settings..."""
        ...
