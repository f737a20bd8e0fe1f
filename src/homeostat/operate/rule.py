"""Rules judge samples and say what is wrong; the operator opens, updates and clears findings.

A rule never acts, and never asks the database: it looks at what probes and agents have seen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from homeostat.access.protocol import Report
from homeostat.config import Config
from homeostat.engine.engine import Activity, Identity
from homeostat.logbook.rows import Finding, Json
from homeostat.measure import Severity, Subject
from homeostat.operate.recent import Recent
from homeostat.operate.statements import StatementBook

STATEMENT_CHARS_MAX = 64  # of a statement that a sentence names


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent inside an application, as last heard."""

    name: str
    application: str
    pid: int
    host: str
    capabilities: tuple[str, ...]
    applied_version: int
    heard: float
    report: Report


@dataclass(frozen=True, slots=True)
class View:
    """All that is known of one database at one moment.

    Attributes:
        at: seconds since 1970 UTC.
        identity: which database.
        config: the configuration in force.
        recent: the newest samples.
        activity: who is connected and who waits, when last asked; None: never.
        agents: agents heard of within `monitor.agent_silent_seconds`.
        findings: findings now open on this database.
        error: why the database could not be asked at the last try; empty: it answered.
        since: when this operator began to watch; agents need some seconds to find it.
        statements: what statements cost, and what was found out about them.
    """

    at: float
    identity: Identity
    config: Config
    recent: Recent
    activity: Activity | None = None
    agents: Sequence[AgentView] = ()
    findings: Sequence[Finding] = ()
    error: str = ""
    since: float = 0.0
    statements: StatementBook = field(default_factory=StatementBook)

    @property
    def is_young(self) -> bool:
        """Return whether agents that were there before may not have found this operator yet."""
        return self.at - self.since < self.config.monitor.agent_silent_seconds

    def subject(self, kind: str = "database", name: str = "") -> Subject:
        """Return a subject of this database's primary."""
        return Subject(self.identity.key, kind=kind, name=name)


@dataclass(frozen=True, slots=True)
class Judgement:
    """Something wrong with a subject.

    Attributes:
        subject: what is judged; with the rule's name it identifies the finding.
        severity: how bad.
        what: one sentence with numbers.
        cause: the likely cause, or `unknown`: wrong is worse than unknown.
        mend: what to do about it.
        evidence: numbers and texts, redacted.
    """

    subject: Subject
    severity: Severity
    what: str
    cause: str = "unknown"
    mend: str = ""
    evidence: Json = field(default_factory=dict)


def brief(text: str) -> str:
    """Return the beginning of a statement, for a sentence about it; evidence has all of it."""
    return textwrap.shorten(text, STATEMENT_CHARS_MAX, placeholder=" \u2026")


@dataclass(frozen=True, slots=True)
class Undecided:
    """The rule cannot tell now (readings unknown): an open finding stays as it is."""

    subject: Subject


class Rule(Protocol):
    """Judges after every tick of the probe named by `after`."""

    @property
    def name(self) -> str:
        """The name, unique among all rooms; findings carry it."""
        ...

    @property
    def help(self) -> str:
        """What it finds, its threshold's source, and what to do: for the reference."""
        ...

    @property
    def after(self) -> str:
        """The probe after whose tick it judges."""
        ...

    @property
    def clear_ticks(self) -> int:
        """Quiet ticks in a row after which its findings clear."""
        ...

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Return what is wrong now; nothing: all is well."""
        ...
