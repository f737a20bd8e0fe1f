"""Rules about what only agents know: the latency of operations, and that no agent is there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.logbook.rows import Finding, Json
from homeostat.measure import Histogram, Severity, Unknown, merged
from homeostat.operate.rule import Judgement, Undecided, View

SLOWEST_SHOWN = 3
WAITING_SHARE = 0.5  # waiting is the cause when it is most of the latency
EXPLAINING = ("lock-holder", "pool-exhausted")  # findings that explain latency; locks first
NEEDS_AGENT = {
    "sqlite": "latency, operations, errors, segments, pools, waiting for locks",
    "postgresql": "latency as the application sees it, operations, segments, pools",
}


@dataclass(frozen=True, slots=True)
class PromiseBroken:
    """Opens when p99 was past the promise in so many ticks in a row."""

    clear_ticks: int = 3
    name: str = "promise-broken"
    help: str = (
        "The 99th percentile of operations, as agents measure it from arrival to result, is past "
        "`monitor.promise_ms` (VISION: below 50 ms) for `monitor.promise_ticks` ticks in a row. "
        "Look at the slowest operations named, and at the finding that explains it if there is one."
    )
    after: str = "performance"

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge the newest ticks."""
        monitor = view.config.monitor
        if not view.agents:
            if view.is_young:
                yield Undecided(view.subject())
            return  # nobody measures, so nothing can be said against it
        readings = view.recent.window(
            "operation.p99_ms", view.subject(), ticks=monitor.promise_ticks
        )
        values = [sample.value for sample in readings if isinstance(sample.value, float)]
        few = len(readings) < monitor.promise_ticks and view.is_young
        if not readings or few or isinstance(readings[-1].value, Unknown):
            yield Undecided(view.subject())
            return
        if len(values) < monitor.promise_ticks or min(values) <= monitor.promise_ms:
            return
        yield Judgement(
            view.subject(),
            Severity.HIGH,
            f"p99 is {values[-1]:,.0f} ms, past the promised {monitor.promise_ms:g} ms at "
            f"{len(values)} readings in a row",
            cause=_cause(view),
            mend="Mend the cause; if it is unknown, begin with the slowest operations in the "
            "evidence.",
            evidence={"p99_ms": values, "slowest": _slowest(view, monitor.promise_ticks)},
        )


@dataclass(frozen=True, slots=True)
class NoAgent:
    """Opens while nobody reports from inside an application."""

    name: str = "no-agent"
    help: str = (
        "No application reports about this database, so what only an application sees is unknown "
        "and pools cannot be sized. Open the database through `homeostat.access` in the "
        "application: docs/how-to/report-from-your-application.md."
    )
    after: str = "performance"
    clear_ticks: int = 1

    def judge(self, view: View) -> Iterable[Judgement | Undecided]:
        """Judge once agents have had the time to report."""
        monitor = view.config.monitor
        if view.agents:
            return
        ticks = math.ceil(monitor.agent_silent_seconds / monitor.performance_seconds) + 1
        seen = view.recent.window("operation.p99_ms", view.subject(), ticks=ticks)
        if len(seen) < ticks or not all(isinstance(one.value, Unknown) for one in seen):
            return
        unknown = NEEDS_AGENT.get(view.identity.dialect, NEEDS_AGENT["postgresql"])
        last = seen[-1].value
        reason = last.reason if isinstance(last, Unknown) else ""
        yield Judgement(
            view.subject(),
            Severity.INFO,
            f"no application reports about this database; unknown: {unknown}",
            cause=reason or "unknown",
            mend="Open the database through homeostat.access.Database in the application, or "
            "restart the application whose agent is silent.",
            evidence={"unknown": unknown.split(", ")},
        )


def _cause(view: View) -> str:
    """Return what makes operations wait, if a finding and the numbers agree on it."""
    open_now = {finding.rule: finding for finding in view.findings}
    for rule in EXPLAINING:
        finding = open_now.get(rule)
        if finding is None:
            continue
        share = _waiting_share(view)
        if share is not None and share >= WAITING_SHARE:
            waits = f"operations wait for {share:.0%} of their time"
            return f"{waits}; {_said(finding)}"
    return "unknown"


def _said(finding: Finding) -> str:
    return finding.cause if finding.cause != "unknown" else finding.what


def _waiting_share(view: View) -> float | None:
    """Return the part of mean latency that is waiting for a connection or, held, for a lock."""
    newest = view.recent.last("operation.latency_us", view.subject())
    if newest is None or not isinstance(newest.value, Histogram):
        return None
    mean = newest.value.mean
    if isinstance(mean, Unknown) or mean <= 0:
        return None
    waited, acquired, locked = 0.0, 0.0, 0.0
    for subject in view.recent.subjects("pool.wait_ms", since=newest.at):
        numbers = [
            view.recent.last(f"pool.{name}", subject)
            for name in ("wait_ms", "acquired", "lock_share")
        ]
        wait, count, lock = (
            one.value if one is not None and isinstance(one.value, float) else 0.0
            for one in numbers
        )
        waited += wait * count
        acquired += count
        locked = max(locked, lock)
    if not acquired:
        return None
    waiting = min(1.0, waited / acquired / (mean / 1000))
    return waiting + (1 - waiting) * locked


def _slowest(view: View, ticks: int) -> list[Json]:
    """Return the operations with the highest p99 over the ticks."""
    found = []
    for subject in view.recent.subjects("operation.latency_us"):
        if subject.kind != "operation":
            continue
        window = view.recent.window("operation.latency_us", subject, ticks=ticks)
        whole = merged(one.value for one in window if isinstance(one.value, Histogram))
        p99 = whole.quantile(0.99)
        if isinstance(p99, float):
            found.append({"operation": subject.name, "p99_ms": p99 / 1000, "count": whole.count})
    return sorted(found, key=lambda one: -float(str(one["p99_ms"])))[:SLOWEST_SHOWN]
