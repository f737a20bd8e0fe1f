"""What each command prints with `--json`: a contract that docs/reference/json.md states."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeostat.check.report import Report
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.insights import Proposals
from homeostat.operate.views import CloneView, Explained, RemedyView, Status, TokenView


class StatusReport(Status, frozen=True, kw_only=True):
    """`homeostat status --json`: the status and all open findings, the worst first."""

    open_findings: list[Finding]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat pause|resume|detach --json`: what was done, to one database or (null) to all."""

    done: str
    database: str | None


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat link --json`: the link, good once, and for whom."""

    url: str
    name: str
    role: str


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat up|demo --json`, once it runs: a sign-in link and the state at that moment."""

    page: str
    data: str
    status: Status


class CompletionScript(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat completion --json`: the script for a shell."""

    shell: str
    script: str


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """One statement to run, and why; `where` is `database` or `clone server`."""

    sql: str
    why: str
    optional: bool
    where: str


class FileRightView(msgspec.Struct, frozen=True, kw_only=True):
    """One right of the file system; `held`: whether the user who asked has it."""

    path: str
    right: str
    why: str
    held: bool


class GrantsReport(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat grants --json`: what is missing; statements (PostgreSQL) or files (SQLite)."""

    database: str
    dialect: str
    role: str
    name: str
    superuser: bool
    managed: str
    statements: list[GrantView]
    files: list[FileRightView]
    notes: list[str]


class InitReport(msgspec.Struct, frozen=True, kw_only=True):
    """`homeostat init --json`: what was seen, what was written, and what to do next.

    `kept`: where a replaced file is. `password`: the reference to the database's password that was
    written, and `key`: that to the key of an encrypted file; empty: none. `act_line`: the line of
    `file` to change, and `act_section` the section it stands in, to let Homeostat act.
    `grants`: what the role in the URL still lacks to see everything.
    """

    file: str
    kept: str | None
    name: str
    url: str
    password: str
    key: str
    dialect: str
    version: str
    bytes: float
    tables: int
    role: str
    note: str
    act_line: str
    act_section: str
    grants: GrantsReport
    next_command: str


def report_of(status: Status, findings: Sequence[Finding], *, note: str) -> StatusReport:
    """Return what is printed; a note replaces the detail."""
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    if note:
        fields["detail"] = f"{note} ({status.detail})" if status.detail else note
    return msgspec.convert({**fields, "open_findings": list(findings)}, StatusReport)


PRINTS: dict[str, object] = {
    "check": Report,
    "status": StatusReport,
    "demo": Started,
    "init": InitReport,
    "grants": GrantsReport,
    "up": Started,
    "report": Proposals,
    "explain": Explained,
    "remedy list": list[RemedyRecord],
    "remedy show": RemedyView,
    "remedy approve": RemedyView,
    "remedy reject": RemedyView,
    "remedy revert": RemedyView,
    "clone list": list[CloneView],
    "clone create": CloneView,
    "clone drop": CloneView,
    "pause": Done,
    "resume": Done,
    "detach": Done,
    "link": SignInLink,
    "token create": TokenView,
    "token list": list[TokenView],
    "token revoke": TokenView,
    "completion": CompletionScript,
}
"""Command -> shape; the rest print text for people only."""
