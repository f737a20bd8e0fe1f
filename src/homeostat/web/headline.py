"""The state of a database in one line: what was found, what was done, what is asked of a person.

Pure: from the rows to words. Says `unknown` rather than well when nothing is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from homeostat.logbook.rows import REMEDY_ENDED, Finding, RemedyRecord
from homeostat.operate.views import DatabaseStatus, Status
from homeostat.web.words import ended_how, milliseconds, sentence, statement, worst

Tone = Literal["good", "you", "busy", "bad", "quiet"]

UNDER_WAY = {
    "proposed": "about to act",
    "rehearsing": "rehearsing, nothing in use is touched",
    "applying": "applying it now",
    "verifying": "applied, measuring whether it helps",
    "reverting": "undoing it",
}


TRIED = {
    "kept": "it helped then.",
    "reverted": "it was undone.",
    "ineffective": "it did not help and was undone.",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """What matters most now.

    Attributes:
        tone: good, you (a person is asked), busy (a remedy is under way), bad, quiet (not known).
        badge: the state in a word or two.
        title: one sentence.
        detail: one or two more, a line each; may be empty.
        since: when this began, seconds since 1970 UTC; None: not a matter of time.
        remedy: the remedy that it is about, whose decision is offered beside it.
    """

    tone: Tone
    badge: str
    title: str
    detail: str = ""
    since: float | None = None
    remedy: int | None = None


def headline(
    status: Status,
    database: DatabaseStatus,
    findings: Sequence[Finding],
    remedies: Sequence[RemedyRecord],
) -> Headline:
    """Return the headline: what blocks everything first, then what asks for a person.

    Args:
        status: the operator's.
        database: the one the page is about.
        findings: its open findings.
        remedies: its remedies, the newest first.
    """
    if status.state == "logbook":
        title = "The logbook cannot be used, so nothing is applied."
        return Headline("bad", "Logbook", title, status.detail)
    found = worst([finding for finding in findings if finding.severity != "info"])
    if database.state == "unreachable":
        detail = _about(found) if found else next(iter(database.unknown.values()), "")
        return Headline("bad", "Unreachable", "The database does not answer.", detail)
    return (
        _asked(findings, remedies)
        or _under_way(findings, remedies)
        or _offered(findings, remedies)
        or _found(found, remedies)
        or _well(database, remedies)
    )


def _asked(findings: Sequence[Finding], remedies: Sequence[RemedyRecord]) -> Headline | None:
    remedy = next((r for r in remedies if r.state in {"waiting", "asking"}), None)
    if remedy is None:
        return None
    found = next((f for f in findings if f.id == remedy.finding), None)
    detail = f"Found: {_about(found)}" if found else f"Why: {_stop(remedy.why)}"
    if remedy.state == "asking":
        title = f"It cannot be told how this stands: {remedy.title}."
        detail = f"{sentence(_stop(remedy.verdict))}\n{detail}"
        return Headline("you", "Needs you", title, detail, remedy.proposed, remedy.id)
    title = f"{sentence(remedy.title)}?"
    tried = next((r for r in remedies if r.title == remedy.title and r.state in TRIED), None)
    if tried is not None:
        detail += f"\nTried before: {TRIED[tried.state]}"
    return Headline("you", "Your decision", title, detail, remedy.proposed, remedy.id)


def _under_way(findings: Sequence[Finding], remedies: Sequence[RemedyRecord]) -> Headline | None:
    remedy = next((r for r in remedies if r.state not in REMEDY_ENDED), None)
    if remedy is None:
        return None
    found = next((f for f in findings if f.id == remedy.finding), None)
    title = f"{sentence(remedy.title)}: {UNDER_WAY.get(remedy.state, remedy.state)}."
    detail = f"Found: {_about(found)}" if found else f"Why: {_stop(remedy.why)}"
    return Headline("busy", "Mending", title, detail, remedy.applied or remedy.proposed)


def _offered(findings: Sequence[Finding], remedies: Sequence[RemedyRecord]) -> Headline | None:
    """Return what would be done if the remedy were allowed to do more than observe."""
    standing = {finding.id: finding for finding in findings}
    remedy = next((r for r in remedies if r.state == "observed" and r.finding in standing), None)
    if remedy is None or remedy.finding is None:
        return None
    found = standing[remedy.finding]
    would = f"Homeostat would {remedy.title}, but only observes here."
    return Headline(
        "bad",
        "Trouble",
        statement(_what(found)),
        f"{_cause(found)}\n{would}",
        found.opened,
        remedy.id,
    )


def _found(finding: Finding | None, remedies: Sequence[RemedyRecord]) -> Headline | None:
    if finding is None:
        return None
    tried = next((r for r in remedies if r.finding == finding.id and r.ended is not None), None)
    parts = [
        _cause(finding),
        f"Tried: {ended_how(tried)}" if tried else "",
        sentence(_stop(finding.mend)),
    ]
    detail = "\n".join(part for part in parts if part)
    return Headline("bad", "Trouble", statement(_what(finding)), detail, finding.opened)


def _well(database: DatabaseStatus, remedies: Sequence[RemedyRecord]) -> Headline:
    last = next((r for r in remedies if r.ended is not None), None)
    detail = f"Last: {ended_how(last)}" if last else "Nothing has needed mending so far."
    if database.p99_ms is None:
        reason = database.unknown.get("p99_ms", "nothing was measured yet")
        title = "Nothing wrong was found. Latency is not known."
        return Headline("quiet", "Watching", title, f"{sentence(_stop(reason))}\n{detail}")
    p99, promise = milliseconds(database.p99_ms), database.promise_ms
    if promise is None:
        return Headline("good", "Well", f"Nothing hurts: p99 is {p99}.", detail)
    if database.p99_ms <= promise:
        title = f"Nothing hurts: p99 is {p99}, within the promised {milliseconds(promise)}."
        return Headline("good", "Well", title, detail)
    title = f"p99 is {p99}, past the promised {milliseconds(promise)}; not long enough to judge."
    return Headline("quiet", "Watching", title, detail)


def _about(finding: Finding) -> str:
    return f"{_what(finding)}\n{_cause(finding)}".strip()


def _cause(finding: Finding) -> str:
    if finding.cause in {"", "unknown"}:
        return "The cause is not known."
    return f"Cause: {_stop(finding.cause)}"


def _what(finding: Finding) -> str:
    return _stop(finding.what)


def _stop(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
