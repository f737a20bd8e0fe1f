"""The rule that finds statements which cost too much, and ranks them by what they cost."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.config import Config
from homeostat.logbook.rows import Finding, Json
from homeostat.measure import Severity
from homeostat.operate.rule import Judgement, Undecided, View, brief
from homeostat.operate.statements import StatementBook, StatementView
from homeostat.tune.causes import LOCK_WAIT, N_PLUS_ONE, Cause, cause_of, repeated, subject_of

SLOW = "slow-statement"
COST_HIGH = 10.0  # times the cost at which a statement is slow: half a core by default
LATE_HIGH = 0.5
LOOKS_MIN = 2  # then a cause is told from what is known: what failed was tried again


def slow_now(book: StatementBook, config: Config, at: float) -> list[StatementView]:
    """Return the statements that are slow at a time, the costliest first."""
    tune = config.tune
    found = book.views(start=at - tune.window_seconds, end=at)
    return [one for one in found if is_slow(one, config)]


def is_slow(one: StatementView, config: Config) -> bool:
    """Return whether a statement costs too much."""
    tune = config.tune
    if one.spent.calls < tune.calls_min:
        return False
    costly = one.cost >= tune.cost_ms_per_second
    late = one.late_share >= tune.promise_missed_share
    slow = one.mean_ms >= tune.slow_query_ms
    most = max(one.per_transaction.values(), default=0.0)
    again = most >= tune.calls_per_transaction or repeated(one, tune) is not None
    return one.mean_ms >= tune.mean_query_ms or (slow and (costly or late)) or (again and costly)


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """Opens for the statements that cost most, each with its cause."""

    name: str = SLOW
    help: str = (
        "A statement takes `tune.slow_query_ms` or more and either costs "
        "`tune.cost_ms_per_second` or misses `monitor.promise_ms` in `tune.promise_missed_share` "
        "of its calls; or its mean passes `tune.mean_query_ms` (VISION: mean query > 1000 ms). "
        "Ranked by what it costs. The cause is told from evidence: missing index, stale "
        "statistics, lock wait, plan change, I/O, too many rows, N+1; else unknown. A missing "
        "index may be one that a foreign key needs where rows are deleted, or several for an OR; "
        "too many rows may be those of a table that is summed up. N+1 outside a transaction is "
        "told of three runs within `tune.window_seconds`: one or two may be chance, so a job that "
        "runs seldom is not told. "
        "`homeostat explain` shows its plan. Remedies: create-index, refresh-statistics."
    )
    after: str = "statements"
    clear_ticks: int = 2

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the statements of the window.

        One that became slow since the probe looked, or about which the probe could not find out all
        on a busy database, waits for the next look: a moment later its cause may be known.
        """
        slow = slow_now(view.statements, view.config, view.at)
        chosen = heapq.nlargest(view.config.tune.findings_max, slow, key=lambda one: one.cost)
        for one in chosen:
            cause = cause_of(one, view)
            if looked_into(one) or cause.kind == LOCK_WAIT:  # which needs no look
                yield _judgement(one, cause, view)
            else:
                yield Undecided(subject_of(view, one.key))
        named = {one.key for one in chosen}
        for finding in view.findings:
            silent = finding.rule == self.name and finding.name not in named
            if silent and view.is_young:
                yield Undecided(subject_of(view, finding.name))


def looked_into(one: StatementView) -> bool:
    """Return whether what can be found out about a slow statement was."""
    known = bool(one.facts) and not one.facts["uncounted"]
    return one.looks >= (1 if known else LOOKS_MIN)


def _judgement(one: StatementView, cause: Cause, view: View) -> Judgement:
    tune, promise = view.config.tune, view.config.monitor.promise_ms
    high = one.cost >= COST_HIGH * tune.cost_ms_per_second or one.late_share >= LATE_HIGH
    what = (
        f"{brief(one.name)}: {one.mean_ms:,.1f} ms each, {one.spent.calls / one.seconds:,.1f} a "
        f"second, {one.cost:,.0f} ms of every second"
    )
    if cause.kind == N_PLUS_ONE:
        what += f", run {cause.text}"
    elif one.late_share:
        what += f"; {one.late_share:.0%} miss the promise of {promise:,.0f} ms"
    return Judgement(
        subject_of(view, one.key),
        Severity.HIGH if high else Severity.WARNING,
        what,
        cause=cause.sentence,
        mend=cause.mend,
        evidence=evidence_of(one, cause),
    )


def evidence_of(one: StatementView, cause: Cause) -> Json:
    """Return what a finding carries: all redacted, plans as data."""
    return {
        "statement": one.key,
        "text": one.text,
        "operations": list(one.operations),
        "applications": list(one.applications),
        "cause": cause.kind,
        "mean_ms": round(one.mean_ms, 3),
        "calls_per_second": round(one.spent.calls / one.seconds, 3),
        "cost_ms_per_second": round(one.cost, 1),
        "late_share": round(one.late_share, 4),
        "rows_per_call": round(one.spent.rows / max(1.0, one.spent.calls), 1),
        "source": one.source,
        "since": one.plans[-1].at if one.plans else one.first_seen,
        **cause.evidence,
        **one.facts,
    }


def statement_of(finding: Finding, view: View) -> StatementView | None:
    """Return the statement that a finding is about, over the window that is judged."""
    seconds = view.config.tune.window_seconds
    return view.statements.view(finding.name, start=view.at - seconds, end=view.at)
