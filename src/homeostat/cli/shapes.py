"""What each command prints with `--json`: a contract that docs/reference/json.md states."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeostat.check.report import Report
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.views import CloneView, Explained, RemedyView, Status, TokenView


class StatusReport(Status, frozen=True, kw_only=True):
    """`homeostat status --json`: the status and all open findings, the worst first."""

    open_findings: list[Finding]


def report_of(status: Status, findings: Sequence[Finding], *, note: str) -> StatusReport:
    """Return what is printed; a note replaces the detail."""
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    if note:
        fields["detail"] = f"{note} ({status.detail})" if status.detail else note
    return msgspec.convert({**fields, "open_findings": list(findings)}, StatusReport)


PRINTS: dict[str, object] = {
    "check": Report,
    "status": StatusReport,
    "explain": Explained,
    "remedy list": list[RemedyRecord],
    "remedy show": RemedyView,
    "remedy approve": RemedyView,
    "remedy reject": RemedyView,
    "remedy revert": RemedyView,
    "clone list": list[CloneView],
    "clone create": CloneView,
    "clone drop": CloneView,
    "token create": TokenView,
    "token list": list[TokenView],
    "token revoke": TokenView,
}
"""Command -> shape; the rest print text for people only."""
