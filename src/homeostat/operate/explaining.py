"""What is known of one statement, put together for people: `homeostat explain`, the page, the API.

A name is a finding's number, a statement's key (16 hex digits) or an operation. It only looks.
"""

from __future__ import annotations

import msgspec

from homeostat.errors import NotFoundError
from homeostat.logbook.rows import Finding, Json, RemedyRecord
from homeostat.operate.attached import Attached
from homeostat.operate.operator import Operator
from homeostat.operate.statements import StatementView
from homeostat.operate.views import Explained, PlanThen

STATEMENT = "statement"
REMEDIES_MAX = 200


def explained(operator: Operator, name: str, *, database: str | None = None) -> Explained:
    """Return what is known of a statement; of one database, or of the first that knows it.

    Raises:
        NotFoundError: there is no such finding, statement or operation, or the finding is about
            something else.
    """
    finding = _of_number(operator, name) if name.isdecimal() and len(name) < 16 else None
    if finding is not None and finding.kind != STATEMENT:
        message = "This finding is not about a statement. `homeostat status` shows all of it."
        raise NotFoundError(message, where=f"finding {name}")
    only = finding.database if finding is not None else database
    for one in list(operator.attached.values()):
        if only not in {None, one.row.key}:
            continue
        view = _find(operator, one, finding.name if finding is not None else name)
        if view is not None:
            current = finding or _finding_of(one, view.key)
            remedies = _remedies(operator, one.row.key, current, view.key)
            return _of_view(one, view, current, remedies)
    if finding is not None:
        return of_finding(finding, _remedies(operator, finding.database, finding, finding.name))
    message = (
        "No statement or operation of this name was seen. Give a finding's number, a statement's "
        "key or an operation's name; `homeostat status` lists findings."
    )
    raise NotFoundError(message, where=name)


def _of_number(operator: Operator, number: str) -> Finding:
    try:
        return operator.logbook.finding(int(number))
    except NotFoundError:
        message = (
            "There is no finding of this number. `homeostat status --json` lists those there are."
        )
        raise NotFoundError(message, where=f"finding {number}") from None


def of_finding(finding: Finding, remedies: list[RemedyRecord]) -> Explained:
    """Return what a finding about a statement says by itself, when nobody looks any more."""
    evidence = finding.evidence
    plan = evidence.get("plan")
    return Explained(
        database=finding.database,
        name=str((evidence.get("operations") or [finding.name])[0]),
        finding=finding,
        statement=finding.name,
        text=str(evidence.get("text", "")),
        operations=list(evidence.get("operations", [])),
        applications=list(evidence.get("applications", [])),
        source=str(evidence.get("source", "")),
        mean_ms=evidence.get("mean_ms"),
        calls_per_second=evidence.get("calls_per_second"),
        cost_ms_per_second=evidence.get("cost_ms_per_second"),
        late_share=evidence.get("late_share"),
        rows_per_call=evidence.get("rows_per_call"),
        plan=plan,
        plans=[PlanThen(at=finding.updated, plan=plan)] if plan else [],
        facts=_facts(evidence),
        remedies=remedies,
    )


def _facts(evidence: Json) -> Json:
    return {
        name: evidence[name] for name in ("tables", "candidates", "scanned") if name in evidence
    }


def _find(operator: Operator, one: Attached, name: str) -> StatementView | None:
    now, seconds = operator.clock.now(), operator.config.tune.window_seconds
    book = one.watch.statements
    found = book.view(name, start=now - seconds, end=now)
    if found is not None:
        return found
    key = book.key_of(name)
    return None if key is None else book.view(key, start=now - seconds, end=now)


def _finding_of(one: Attached, key: str) -> Finding | None:
    about = [f for f in one.findings.open() if (f.kind, f.name) == (STATEMENT, key)]
    return about[0] if about else None


def _remedies(
    operator: Operator, database: str, finding: Finding | None, key: str
) -> list[RemedyRecord]:
    records = operator.logbook.remedies(database=database, limit=REMEDIES_MAX)
    number = finding.id if finding is not None else None
    return [
        record
        for record in records
        if (number is not None and record.finding == number)
        or record.parameters.get("statement") == key
    ]


def _of_view(
    one: Attached, view: StatementView, finding: Finding | None, remedies: list[RemedyRecord]
) -> Explained:
    calls = view.spent.calls
    plans = [PlanThen(at=p.at, plan=msgspec.to_builtins(p.plan)) for p in view.plans]
    return Explained(
        database=one.row.key,
        name=view.name,
        finding=finding,
        statement=view.key,
        text=view.text,
        operations=list(view.operations),
        applications=list(view.applications),
        source=view.source,
        mean_ms=view.mean_ms if calls else None,
        calls_per_second=calls / view.seconds if calls else None,
        cost_ms_per_second=view.cost if calls else None,
        late_share=view.late_share if calls else None,
        rows_per_call=view.spent.rows / calls if calls else None,
        plan=plans[-1].plan if plans else None,
        plans=plans,
        facts=_facts(view.facts),
        remedies=remedies,
        received_bytes_per_call=_each(view.spent.received_bytes, calls),
        sent_bytes_per_call=_each(view.spent.sent_bytes, calls),
        waited_share=_share(view.spent.waits, calls),
        waited_ms_per_call=_each(view.spent.waited_ms, calls),
    )


def _each(value: float | None, calls: float) -> float | None:
    return None if value is None or not calls else value / calls


def _share(waits: float | None, calls: float) -> float | None:
    """Return the part of the calls that waited: one that is tried again may wait more than once."""
    each = _each(waits, calls)
    return None if each is None else min(1.0, each)
