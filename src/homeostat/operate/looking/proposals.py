"""What was found in a period, and what was done or, in observe mode, would have been done.

Nothing is tried for it: where a remedy was not rehearsed, it says why not, or how it would be.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeostat.logbook.rows import REMEDY_ENDED, Finding, Json, RemedyRecord, Step
from homeostat.measure import Severity
from homeostat.operate.attached import Attached
from homeostat.operate.insights import FoundRow, Proposals, ProposedRow, Tried
from homeostat.operate.operator import Operator
from homeostat.operate.remedy import Remedy
from homeostat.operate.verify import change_in_words

FINDINGS_MAX, REMEDIES_MAX = 2000, 500


def proposals_of(operator: Operator, one: Attached, *, start: float, end: float) -> Proposals:
    """Return the findings and remedies of a database with start <= time < end."""
    key = one.row.key
    findings = [
        finding
        for finding in operator.logbook.findings(key, open_only=False, limit=FINDINGS_MAX)
        if finding.opened < end and (finding.cleared or end) >= start
    ]
    records = [
        record
        for record in operator.logbook.remedies(key, limit=REMEDIES_MAX)
        if start <= record.proposed < end
    ]
    kinds = sorted({one.desk.autonomy_of(remedy.key) for remedy in one.desk.remedies})
    return Proposals(
        database=key,
        start=start,
        end=end,
        since=one.row.attached,
        autonomy=", ".join(kinds),
        found=_found(findings, start, end),
        proposed=[_proposed(operator, one, record) for record in records],
    )


def _found(findings: Sequence[Finding], start: float, end: float) -> list[FoundRow]:
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    rows = [_of_rule(rule, inside, start, end) for rule, inside in by_rule.items()]
    return sorted(rows, key=lambda row: (-Severity(row.severity).rank, -row.open_seconds))


def _of_rule(rule: str, findings: Sequence[Finding], start: float, end: float) -> FoundRow:
    newest = max(findings, key=lambda finding: finding.opened)
    spans = (min(f.cleared or end, end) - max(f.opened, start) for f in findings)
    worst = max(findings, key=lambda finding: Severity(finding.severity).rank)
    return FoundRow(
        rule=rule,
        count=len(findings),
        open_now=sum(finding.state == "open" for finding in findings),
        open_seconds=sum(max(0.0, span) for span in spans),
        severity=worst.severity,
        newest=newest.id,
        what=newest.what,
        cause=newest.cause,
    )


def _proposed(operator: Operator, one: Attached, record: RemedyRecord) -> ProposedRow:
    remedy = next((r for r in one.desk.remedies if r.key == record.key), None)
    steps = [] if record.run is None else operator.logbook.steps(record.run)
    step = next((step for step in steps if step.name == "rehearse"), None)
    tried = tried_of(step, str(record.parameters.get("statement", "")))
    return ProposedRow(
        remedy=record.id,
        key=record.key,
        title=record.title,
        why=record.why,
        state=record.state,
        proposed=record.proposed,
        finding=record.finding,
        rehearsal=_rehearsal(record, remedy, step),
        benefit=_benefit(record, remedy, tried),
        undo=remedy.undo if remedy is not None else "not known any more",
        decision=_decision(one, record),
        tried=tried,
    )


def tried_of(step: Step | None, statement: str) -> Tried | None:
    """Return the numbers of a rehearsal that was made on a copy, or None.

    Args:
        step: the rehearsal.
        statement: the key of the statement that the remedy is for.
    """
    if step is None or step.state != "done" or "statements" not in step.observation:
        return None
    said = step.observation
    own: Json = next((one for one in said["statements"] if one.get("statement") == statement), {})
    return Tried(
        at=step.observed or step.intended,
        ok=bool(said.get("ok")),
        operation=str(own.get("operation", "")),
        before_ms=own.get("before_ms"),
        after_ms=own.get("after_ms"),
        benefit_share=said.get("benefit"),
        build_seconds=said.get("build_seconds"),
        index_bytes=said.get("index_bytes"),
        replayed=said.get("replayed"),
        captured=said.get("captured"),
    )


def _rehearsal(record: RemedyRecord, remedy: Remedy | None, step: Step | None) -> str:
    if step is not None and step.state == "done":
        said = str(step.observation.get("reason", ""))
        word = "it went well"
        if not step.observation.get("ok"):
            word = "it could not be tried so far"
            if _has_answered(record, remedy, step):
                word = "it spoke against it"
        return f"{word}: {said}" if said else word
    if step is not None and record.state in {"observed", "waiting"}:
        return "under way; nothing of the database itself is changed"
    if remedy is None or record.state in REMEDY_ENDED - {"observed"}:
        return "not rehearsed"
    how = {"clone": "on a clone", "dry run": "as a dry run"}.get(remedy.rehearsal, "not at all")
    why = f" ({remedy.rehearsal_reason})" if remedy.rehearsal_reason else ""
    return f"not rehearsed yet; once approved it is, {how}, before anything changes{why}"


def _has_answered(record: RemedyRecord, remedy: Remedy | None, step: Step) -> bool:
    """Return whether a rehearsal that did not go well was made at all."""
    if "statements" in step.observation or "clone" in step.observation:
        return True
    checked = remedy is not None and remedy.rehearsal == "dry run" and record.state == "refused"
    return checked and not step.observation.get("later")


def _benefit(record: RemedyRecord, remedy: Remedy | None, tried: Tried | None) -> str:
    if record.verdict:
        return record.verdict
    if remedy is None:
        return "unknown"
    demand = remedy.demand
    if not demand.reduction_min:
        return f"does no harm to the {demand.name}, else it is undone"
    least = change_in_words(-demand.reduction_min)
    asked = f"{demand.name} at least {least}, else it is undone"
    if tried is None or not tried.before_ms or tried.after_ms is None:
        return asked
    change = change_in_words((tried.after_ms - tried.before_ms) / tried.before_ms)
    return f"{tried.operation} {change}, as on the copy; undone if it is not {least} in use"


def _decision(one: Attached, record: RemedyRecord) -> str:
    possible = one.desk.possible(record)
    if "approve" in possible:
        return "Approve or reject it."
    return "Revert it if you do not want it." if possible == ["revert"] else ""
