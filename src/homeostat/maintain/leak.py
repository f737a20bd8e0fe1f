"""Find connections that an application took and did not give back, and where it took them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.access.protocol import LeakReport, PoolReport
from homeostat.maintain.pool import finding_subject
from homeostat.measure import Severity, Subject
from homeostat.operate.rule import AgentView, Judgement, Undecided, View

LEAK = "connection-leak"


@dataclass(frozen=True, slots=True)
class ConnectionLeak:
    """Opens while an agent reports a leak in the application's pool."""

    name: str = LEAK
    help: str = (
        "An application held a connection for longer than `PoolLimits.leak_seconds` (30 s, as long "
        "as a statement may take) without a statement, or lost it so that its pool had to take it "
        "back. Names the operation and where in the code it was taken. Mend: leave the `with` "
        "block of the session or transaction before waiting for anything else."
    )
    after: str = "performance"
    clear_ticks: int = 2

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the newest report of every pool."""
        judged = set()
        for agent in view.agents:
            for pool in agent.report.pools:
                subject = Subject(view.identity.key, f"agent:{agent.name}", "pool", pool.name)
                judged.add(subject)
                if pool.leaks:
                    yield _judgement(subject, agent, pool)
        if view.is_young:
            open_ones = {finding_subject(one) for one in view.findings if one.rule == self.name}
            yield from (Undecided(subject) for subject in open_ones - judged)


def _judgement(subject: Subject, agent: AgentView, pool: PoolReport) -> Judgement:
    held = [leak for leak in pool.leaks if not leak.lost]
    first = max(held or pool.leaks, key=lambda leak: leak.seconds)
    where = first.stack[0] if first.stack else "an unknown place"
    if held:
        what = f"holds a connection for {first.seconds:,.0f} s without a statement"
    else:
        what = "lost a connection, which the pool took back"
    others = len(pool.leaks) - 1
    return Judgement(
        subject,
        Severity.HIGH if len(held) >= pool.limit else Severity.WARNING,
        f"{agent.application}: {first.name} {what}" + (f"; {others} more" if others else ""),
        cause=f"taken at {where} and not given back",
        mend="Leave the `with` block of the session or transaction before anything else is "
        "waited for, also when an error is raised.",
        evidence={
            "operation": first.name,
            "held_seconds": round(first.seconds, 1),
            "stack": " < ".join(first.stack),
            "leaks": [_told(leak) for leak in pool.leaks],
            "limit": pool.limit,
        },
    )


def _told(leak: LeakReport) -> str:
    end = "taken back" if leak.lost else "held"
    return f"{leak.name}, {end} after {leak.seconds:,.0f} s: {' < '.join(leak.stack)}"
