"""What an operator would hold at a moment of the story: empty, trouble, waiting, kept, undone."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec

from homeostat.logbook.rows import Finding, RemedyRecord, Step
from homeostat.operate.views import Tick
from tests.web.fake import KEY, FakeConsole

SEGMENTS = ("INTJ", "ENFP", "ISTJ", "INFP", "ESTP", "ENTJ", "ISFJ", "undeclared")


def tick(
    console: FakeConsole,
    *,
    p50: float | None = 4.1,
    p99: float | None = 21.0,
    limit: int = 4,
    use: float = 1.9,
) -> Tick:
    """Return a tick of now."""
    return Tick(
        database=KEY,
        at=console.now(),
        p50_ms=p50,
        p99_ms=p99,
        operations_per_second=412.6,
        errors_per_second=0.0,
        segments={name: 412.6 / (i + 2.2) / 1.9 for i, name in enumerate(SEGMENTS)},
        pools=[
            {
                "name": "main",
                "agent": "shop-4711",
                "application": "shop",
                "limit": float(limit),
                "in_use_mean": use,
                "waiting": 6.0 if use / limit > 0.8 else 0.0,
                "wait_ms": 142.0 if use / limit > 0.8 else 0.2,
                "use_share": use / limit,
            }
        ],
        latest=[],
    )


def finding(console: FakeConsole, number: int = 1) -> Finding:
    """Return a finding of now."""
    now = console.now()
    return Finding(
        id=number,
        database=KEY,
        instance="agent:shop-4711",
        kind="pool",
        name="main",
        rule="pool-exhausted",
        severity="high",
        what="shop: the pool of 4 connections is exhausted: 97% in use, callers wait 142 ms",
        cause="connections are held while idle (88% of the time held) by report.monthly",
        mend="Let the pool grow, or give connections back before idling.",
        evidence={
            "limit": 4,
            "use_share": 0.973,
            "wait_ms": 142.4,
            "waiting": 6.2,
            "idle_share": 0.88,
            "lock_share": 0.01,
            "cpu_share": None,
            "held_while_idle_by": {"report.monthly": 6.1, "assessment.read": 0.4},
            "since": now - 60,
        },
        opened=now,
        updated=now,
    )


def remedy(console: FakeConsole, state: str, number: int = 1, **changes: Any) -> RemedyRecord:
    """Return a remedy in a state."""
    now = console.now()
    record = RemedyRecord(
        id=number,
        database=KEY,
        key="grow-pool",
        resource="pool:shop/main",
        finding=1,
        state="waiting",
        autonomy="approve",
        title="grow the pool of shop from 4 to 8 connections",
        why="shop: the pool of 4 connections is exhausted: 97% in use, callers wait 142 ms",
        parameters={"application": "shop", "pool": "main", "from": 4, "to": 8},
        evidence={"use_share": 0.973, "wait_ms": 142.4, "room": 64, "undo": {"values": {}}},
        proposed=now,
    )
    return msgspec.structs.replace(record, **{"state": state, **changes})


def steps(console: FakeConsole, *names: str, last_open: bool = False) -> list[Step]:
    """Return the steps of a run up to the last name."""
    now = console.now()
    seen: dict[str, dict[str, object]] = {
        "rehearse": {"ok": True, "reason": "dry run: room for 64 connections (pool.limit_max)"},
        "apply": {"seen": "done"},
        "verify": {"outcome": "better"},
        "revert": {"seen": "undone"},
    }
    return [
        Step(
            run=1,
            number=i + 1,
            name=name,
            state="intent" if last_open and name == names[-1] else "done",
            epoch=1,
            intent={"batches": 8} if name == "verify" else {},
            observation={} if last_open and name == names[-1] else seen[name],
            intended=now - 60 + 10 * i,
            observed=None if last_open and name == names[-1] else now - 55 + 10 * i,
        )
        for i, name in enumerate(names)
    ]


def result(
    before: float, after: float, *, mechanism: float, probability: float
) -> dict[str, object]:
    """Return what a verification measured."""
    noise = random.Random(7)

    def batches(value: float) -> list[dict[str, float]]:
        return [{"value": value * noise.uniform(0.85, 1.15), "load": 400.0} for _ in range(8)]

    return {
        "outcome": "better",
        "unit": "ms",
        "value_before": before,
        "value_after": after,
        "probability": probability,
        "mechanism": mechanism,
        "before": batches(before),
        "after": batches(after),
    }


def history(console: FakeConsole, *, seconds: float = 700, trouble: tuple[float, float]) -> None:
    """Fill the samples: quiet, then trouble between two times ago, in seconds."""
    noise = random.Random(3)
    now = console.now()
    at = now - seconds
    while at < now - 5:
        ago = now - at
        bad = trouble[1] <= ago <= trouble[0]
        p99 = (340 if bad else 19) * math.exp(noise.gauss(0, 0.15))
        console.points.append((at, (62 if bad else 4) * math.exp(noise.gauss(0, 0.1)), p99))
        at += 10


def empty(_console: FakeConsole) -> None:
    """Just attached."""


def trouble(console: FakeConsole) -> None:
    """Found and being mended."""
    history(console, trouble=(120, 0))
    console.put_tick(tick(console, p50=64, p99=338, use=3.9))
    console.put_finding(finding(console))
    console.put_remedy(
        remedy(console, "verifying", autonomy="auto", applied=console.now() - 20),
        *steps(console, "rehearse", "apply", "verify", last_open=True),
    )
    console.put_audit("propose", "remedy 1")
    console.put_audit("rehearse: applying", "remedy 1")
    console.put_audit("apply: verifying", "remedy 1")


def waiting(console: FakeConsole) -> None:
    """Found; the remedy waits for a person."""
    history(console, trouble=(120, 0))
    console.put_tick(tick(console, p50=64, p99=338, use=3.9))
    console.put_finding(finding(console))
    console.put_remedy(remedy(console, "waiting"))
    console.put_audit("propose", "remedy 1")


def kept(console: FakeConsole) -> None:
    """Mended and proven."""
    history(console, trouble=(420, 240))
    now = console.now()
    console.put_tick(tick(console, limit=8, use=4.4))
    console.put_finding(
        msgspec.structs.replace(finding(console), state="cleared", cleared=now - 100)
    )
    console.put_remedy(
        remedy(
            console,
            "kept",
            autonomy="auto",
            applied=now - 300,
            ended=now - 120,
            verdict="mean latency 88 -> 5.2 ms (-94%): above the old limit in 100% of the batches "
            "(p = 0.0001)",
            result=result(88, 5.2, mechanism=1.0, probability=0.0001),
        ),
        *steps(console, "rehearse", "apply", "verify"),
    )
    for action in ("propose", "rehearse: applying", "apply: verifying", "verify: kept"):
        console.put_audit(action, "remedy 1")


def undone(console: FakeConsole) -> None:
    """A kept one, then one that did not help, whose finding is still open."""
    kept(console)
    now = console.now()
    console.put_tick(tick(console, p50=71, p99=1420, limit=8, use=7.9))
    console.points = [point for point in console.points if point[0] < now - 112]
    console.points += [(now - 110 + 10 * i, 70, 1400 + 40 * i) for i in range(11)]
    console.put_finding(
        msgspec.structs.replace(
            finding(console, 2),
            what="shop: the pool of 8 connections is exhausted: 99% in use, callers wait 1,204 ms",
            cause="lock-bound: 93% of the time held is waiting for locks; process 31337 "
            "(nightly-export) holds the write lock since 4 min",
            mend="End or shorten the lock; growing cannot help.",
            evidence={
                **finding(console).evidence,
                "not_done": {"grow-pool": "it did not help before on evidence that is alike"},
            },
        )
    )
    console.put_remedy(
        remedy(
            console,
            "ineffective",
            2,
            finding=2,
            autonomy="auto",
            title="grow the pool of shop from 8 to 16 connections",
            parameters={"from": 8, "to": 16},
            applied=now - 80,
            ended=now - 10,
            verdict="mean latency 1,190 -> 1,204 ms (+1%): at least -30% was asked for "
            "(p = 0.6100); lock-bound, process 31337 (nightly-export) holds the write lock",
            result=result(1190, 1204, mechanism=1.0, probability=0.61),
        ),
        *steps(console, "rehearse", "apply", "verify", "revert"),
    )


def observed(console: FakeConsole) -> None:
    """Found on a database where remedies only observe."""
    history(console, trouble=(120, 0))
    console.put_tick(tick(console, p50=64, p99=338, use=3.9))
    console.put_finding(finding(console))
    console.put_remedy(remedy(console, "observed", autonomy="observe"))
    console.put_audit("propose (observe)", "remedy 1")


def many(console: FakeConsole) -> None:
    """Every severity and every way that a remedy can stand, under long names."""
    console.put_tick(tick(console, p50=None, p99=None))
    console.pause(actor="page", database=KEY)
    for number, severity in enumerate(("info", "warning", "high", "critical"), 1):
        console.put_finding(
            msgspec.structs.replace(
                finding(console, number),
                severity=severity,
                what=f"{'a_long_name_of_something_' * 4}: {severity}",
                evidence={
                    "plan": "SCAN assessments\n" * 20 + "USING INDEX " + "x" * 200,
                    "sessions": [{"pid": i, "wait_ms": 12.5 * i} for i in range(20)],
                },
            )
        )
    now = console.now()
    for number, state in enumerate(("rejected", "refused", "failed", "reverted", "asking"), 10):
        console.put_remedy(
            remedy(console, state, number, applied=now - 50, ended=now, verdict="why " * 40),
            *steps(console, "rehearse", "apply", "verify", "revert")[: number - 9],
        )


SCENES = {
    "many": many,
    "empty": empty,
    "observed": observed,
    "trouble": trouble,
    "waiting": waiting,
    "kept": kept,
    "undone": undone,
}
