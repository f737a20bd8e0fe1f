"""What `--json` prints, where it is more than a shape of operate.views: see reference/json.md."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from homeostat.logbook.rows import Finding
from homeostat.operate.views import Status


class StatusReport(Status, frozen=True, kw_only=True):
    """`homeostat status --json`: the status and all open findings, the worst first."""

    open_findings: list[Finding]


def report_of(status: Status, findings: Sequence[Finding], *, note: str) -> StatusReport:
    """Return what is printed; a note replaces the detail."""
    fields = {name: getattr(status, name) for name in status.__struct_fields__}
    if note:
        fields["detail"] = f"{note} ({status.detail})" if status.detail else note
    return msgspec.convert({**fields, "open_findings": list(findings)}, StatusReport)
