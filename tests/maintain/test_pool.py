"""When a pool counts as exhausted or oversized, why, and what is proposed: on recorded ticks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import msgspec
import pytest

from homeostat.access.protocol import (
    CallSample,
    DatabaseReport,
    HistogramWire,
    PoolReport,
    Report,
    Settings,
)
from homeostat.config import Config, PoolConfig
from homeostat.driver.wire import Wire
from homeostat.engine.engine import Activity, ConnectionLimit, Engine, Identity, LockHolder
from homeostat.engine.facets import CloneInfo
from homeostat.engine.pace import UNBOUNDED, Bounds
from homeostat.logbook.rows import Finding
from homeostat.maintain.pool import PoolExhausted, PoolOversized
from homeostat.maintain.pool_remedy import GrowPool, ShrinkPool
from homeostat.measure import Sample, Subject, Unknown
from homeostat.operate.recent import Recent
from homeostat.operate.remedy import Declined, Proposal
from homeostat.operate.rule import AgentView, Judgement, Undecided, View

POOL = Subject("db", "agent:shop-1", "pool", "main")
APPLICATION = Subject("db", "agent:shop-1", "application", "shop")
NOW = 1_000.0
TICK = 10.0
EMPTY = HistogramWire([], [], 0.0, 0.0)
BUSY = {
    "pool.limit": 4.0,
    "pool.use_share": 0.95,
    "pool.wait_ms": 40.0,
    "pool.waiting": 3.0,
    "pool.in_use_mean": 3.8,
    "pool.idle_share": 0.9,
    "pool.lock_share": 0.0,
}


def pool_report(limit: int = 4, default: int = 4) -> PoolReport:
    return PoolReport(
        "main", limit, default, 1.0, 1, 1.0, 1, 0, EMPTY, 1.0, 0.5, 0.0, [0.0, 1.0], 0, {}
    )


def agent(limit: int = 4, default: int = 4) -> AgentView:
    report = Report(
        1,
        "shop-1",
        "b",
        1,
        DatabaseReport("sqlite", "db", "db", "3"),
        "shop",
        "here",
        7,
        ["pool.limit"],
        1.0,
        0.1,
        2,
        [pool_report(limit, default)],
        [],
        0,
    )
    return AgentView("shop-1", "shop", 7, "here", ("pool.limit",), 0, NOW, report)


def view(
    *ticks: Mapping[str, float | Unknown],
    cpu: float = 0.2,
    agents: tuple[AgentView, ...] | None = None,
    activity: Activity | None = None,
    pool: PoolConfig | None = None,
) -> View:
    """Return a view whose newest tick is at NOW; each tick is BUSY with changes."""
    recent = Recent()
    for age, changes in zip(range(len(ticks) - 1, -1, -1), ticks, strict=True):
        at = NOW - age * TICK
        readings: dict[str, float | Unknown] = {**BUSY, **changes}
        texts = {"holders": "export (100%)"}
        recent.add(Sample(POOL, name, at, value, texts) for name, value in readings.items())
        recent.add([Sample(APPLICATION, "application.cpu_share", at, cpu)])
    return View(
        at=NOW,
        identity=Identity("sqlite", "db", "app.db", "3"),
        config=Config(pool=pool or PoolConfig()),
        recent=recent,
        activity=activity,
        agents=(agent(),) if agents is None else agents,
    )


def limited(**limits: tuple[float, float]) -> Activity:
    """Return what is seen of a server: by whose limit, connections used and permitted."""
    each = [
        ConnectionLimit(scope, "" if scope == "server" else "shop", *numbers)  # type: ignore[arg-type]
        for scope, numbers in limits.items()
    ]
    each.sort(key=lambda one: one.share, reverse=True)
    return Activity(each[0].used, each[0].used_max, limits=tuple(each))


CALM = {"pool.use_share": 0.3, "pool.wait_ms": 0.0}


def judged(seen: View) -> list[Judgement | Undecided]:
    return list(PoolExhausted().judge(seen))


def only(seen: View) -> Judgement:
    found = judged(seen)
    assert len(found) == 1
    assert isinstance(found[0], Judgement)
    return found[0]


def finding(seen: View) -> Finding:
    one = only(seen)
    return Finding(
        id=1, database="db", instance=POOL.instance, kind="pool", name="main",
        rule="pool-exhausted", severity="high", what=one.what, cause=one.cause,
        evidence=one.evidence, opened=NOW, updated=NOW,
    )  # fmt: skip


def proposed(seen: View) -> Proposal | Declined:
    return GrowPool(config=seen.config.pool).propose(finding(seen), seen)


def test_three_exhausted_ticks_of_five_are_a_finding_with_its_cause() -> None:
    one = only(view(CALM, CALM, {}, {}, {}))
    assert "4 connections" in one.what
    assert "held while idle" in one.cause
    assert "export" in one.cause
    assert one.evidence["since"] == NOW - 3 * TICK


def test_a_pool_that_gives_connections_back_is_no_more_than_full() -> None:
    over = {"pool.use_share": 1.9}  # made smaller a moment ago
    one = only(view(CALM, CALM, over, over, over))
    assert "100% in use" in one.what


@pytest.mark.parametrize(
    "ticks",
    [
        ({}, {}, {}, CALM, CALM),  # over
        (CALM, CALM, CALM, {}, {}),  # too short
        ({"pool.use_share": 0.79},) * 5,  # below 80 %
        ({"pool.wait_ms": 0.5},) * 5,  # nobody really waits
    ],
    ids=["over", "short", "below", "no waiting"],
)
def test_what_is_no_finding(ticks: tuple[Mapping[str, float | Unknown], ...]) -> None:
    assert not any(isinstance(one, Judgement) for one in judged(view(*ticks)))


def test_an_agent_that_went_silent_leaves_it_undecided() -> None:
    seen = view({}, {}, {}, {}, {"pool.use_share": Unknown("silent"), "pool.limit": Unknown("")})
    assert [type(one) for one in judged(seen)] == [Undecided]


def test_a_restarted_operator_waits_for_the_agents_before_it_clears() -> None:
    old = msgspec.structs.replace(finding(view(*[{}] * 5)), opened=1.0, updated=2.0)
    alone = dataclasses.replace(view(CALM, agents=()), recent=Recent(), findings=(old,))
    assert list(PoolExhausted().judge(dataclasses.replace(alone, since=NOW - 1.0))) == [
        Undecided(POOL)
    ]
    assert list(PoolExhausted().judge(alone)) == [], "nobody came back"


@pytest.mark.parametrize(
    ("changes", "cpu", "word"),
    [
        ({"pool.lock_share": 0.6}, 0.2, "lock-bound"),
        ({"pool.idle_share": 0.1}, 0.9, "CPU is used up"),
        ({"pool.idle_share": 0.1}, 0.2, "unknown"),
    ],
)
def test_the_cause_is_told_from_what_the_connections_did(
    changes: dict[str, float], cpu: float, word: str
) -> None:
    assert word in only(view(*[changes] * 5, cpu=cpu)).cause


def test_growth_doubles_the_pool() -> None:
    found = proposed(view(*[{}] * 5))
    assert isinstance(found, Proposal)
    assert (found.parameters["from"], found.parameters["to"]) == (4, 8)
    assert found.resource.label == "pool:shop", "a limit is set for all pools of an application"


@pytest.mark.parametrize(
    ("changes", "cpu", "word"),
    [
        ({"pool.lock_share": 0.55}, 0.2, "lock-bound"),
        ({"pool.idle_share": 0.1}, 0.9, "CPU"),
    ],
)
def test_growth_is_declined_where_it_cannot_help(
    changes: dict[str, float], cpu: float, word: str
) -> None:
    found = proposed(view(*[changes] * 5, cpu=cpu))
    assert isinstance(found, Declined)
    assert word in found.reason


def test_growth_stays_below_the_servers_limit_less_the_reserve() -> None:
    server = limited(server=(10.0, 16.0))
    found = proposed(view(*[{}] * 5, activity=server))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 6, "16 connections less a reserve of 10"
    full = limited(server=(10.0, 14.0))
    none = proposed(view(*[{}] * 5, activity=full))
    assert isinstance(none, Declined)
    assert "no room" in none.reason


def test_the_pools_of_all_processes_share_the_servers_limit() -> None:
    server = limited(server=(10.0, 30.0))
    two = (agent(), agent())
    found = proposed(view(*[{}] * 5, activity=server, agents=two))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 8
    tight = limited(server=(10.0, 22.0))
    found = proposed(view(*[{}] * 5, activity=tight, agents=two))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 6, "two processes of 6 within 22 less 10"


@pytest.mark.parametrize("scope", ["database", "role"])
def test_growth_stays_below_the_limit_of_the_database_and_the_role(scope: str) -> None:
    """The server's is nearest to its end by share; the other leaves less room."""
    both = {"server": (25.0, 37.0), scope: (5.0, 16.0)}
    found = proposed(view(*[{}] * 5, activity=limited(**both)))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 6, "16 connections less a reserve of 10"
    both[scope] = (5.0, 14.0)
    none = proposed(view(*[{}] * 5, activity=limited(**both)))
    assert isinstance(none, Declined)
    assert f"{scope} shop takes 4" in none.reason


def test_growth_takes_no_more_connections_than_are_left() -> None:
    """Most of the server's are taken by what has no agent."""
    found = proposed(view(*[{}] * 5, activity=limited(server=(35.0, 37.0), database=(5.0, 60.0))))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 6, "4 that it has, and the 2 that are left"


def test_without_an_agent_it_says_what_would_let_it_act() -> None:
    seen = view(*[{}] * 5)
    found = GrowPool().propose(finding(seen), view(*[{}] * 5, agents=()))
    assert isinstance(found, Declined)
    assert "homeostat.access" in found.reason


def test_locks_make_other_evidence() -> None:
    """What did not help while a lock was held may be tried again when it is gone."""
    begun = {"pool.lock_share": 0.09}  # a holder that has just begun
    with_locks, without = proposed(view(*[begun] * 5)), proposed(view(*[{}] * 5))
    assert isinstance(with_locks, Proposal)
    assert isinstance(without, Proposal)
    assert with_locks.likeness != without.likeness


def test_the_holder_is_named_when_growth_did_not_help() -> None:
    holder = LockHolder(4711, "nightly-report", "me", "LOCK TABLE users", 3.0, 5)
    activity = Activity(connections=10.0, connections_max=100.0, holders=(holder,))
    seen = view(*[{"pool.lock_share": 0.6}] * 5, activity=activity)
    text = GrowPool().explain({"application": "shop"}, seen)
    assert "60%" in text
    assert "4711" in text
    assert "nightly-report" in text


LONG = PoolConfig(shrink_after_seconds=50.0)


@pytest.mark.parametrize(("peak", "is_found"), [(3.0, True), (4.0, False)])
def test_a_grown_pool_that_is_hardly_used_is_oversized(peak: float, *, is_found: bool) -> None:
    ticks = [{"pool.limit": 8.0, "pool.in_use_max": peak}] * 5
    seen = view(*ticks, agents=(agent(8, 4),), pool=LONG)
    assert bool(list(PoolOversized().judge(seen))) == is_found


def test_a_pool_at_the_applications_own_limit_is_never_oversized() -> None:
    ticks = [{"pool.limit": 8.0, "pool.in_use_max": 0.0}] * 5
    assert not list(PoolOversized().judge(view(*ticks, agents=(agent(8, 8),), pool=LONG)))


def test_shrinking_goes_back_by_a_step_and_not_below_the_default() -> None:
    ticks = [{"pool.limit": 10.0, "pool.in_use_max": 1.0}] * 5
    seen = view(*ticks, agents=(agent(10, 6),), pool=LONG)
    (one,) = PoolOversized().judge(seen)
    assert isinstance(one, Judgement)
    case = msgspec.structs.replace(finding(view(*[{}] * 5)), rule="pool-oversized")
    found = ShrinkPool().propose(case, seen)
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 6


class FakeHands:
    """Settings and a view that a test sets; the database itself is not for pools."""

    run = 1

    def __init__(self, seen: View) -> None:
        self.seen = seen
        self.settings = Settings(3, 60.0, {"cache": 1})

    def view(self) -> View:
        return self.seen

    @property
    def engine(self) -> Engine:
        raise AssertionError("a pool needs no database")

    def make_clone(self) -> CloneInfo:
        raise AssertionError("a pool needs no clone")

    def on_clone(self, name: str) -> AbstractContextManager[Wire]:
        raise AssertionError(f"a pool needs no clone: {name}")

    def for_run(self, run: int, *, bounds: Bounds = UNBOUNDED) -> FakeHands:
        raise AssertionError(f"a pool needs no run: {run}, {bounds}")

    def captured(self) -> Sequence[tuple[str, CallSample]]:
        raise AssertionError("a pool needs no captured calls")

    def keep_undo(self, body: bytes) -> None:
        raise AssertionError(f"a pool keeps no values: {body!r}")

    def kept_undo(self) -> bytes | None:
        raise AssertionError("a pool keeps no values")

    def settings_of(self, application: str) -> Settings:
        assert application == "shop"
        return self.settings

    def set_settings(self, application: str, values: Mapping[str, float | int | str | bool]) -> int:
        assert application == "shop"
        self.settings = Settings(self.settings.version + 1, 60.0, dict(values))
        return self.settings.version

    def work(
        self, *, run: int, lock: str, seconds: float | None = None
    ) -> AbstractContextManager[Wire]:
        raise AssertionError(f"a pool needs no connection: {run} {lock} {seconds}")


def test_other_settings_of_the_application_are_left_as_they_are() -> None:
    seen = view(*[{}] * 5)
    hands = FakeHands(seen)
    found = proposed(seen)
    assert isinstance(found, Proposal)
    remedy = GrowPool()
    undo = remedy.undo_of(found.parameters, hands)
    remedy.apply(found.parameters, hands)
    assert hands.settings.values == {"cache": 1, "pool.limit": 8}
    remedy.apply(found.parameters, hands)
    assert hands.settings.version == 4, "applied again, it changes nothing"
    remedy.revert(found.parameters, undo, hands)
    assert hands.settings.values == {"cache": 1}


def process(number: int, limit: int, default: int = 4, **changes: object) -> AgentView:
    """Return another process of the same application."""
    made = agent(limit, default)
    pools = [msgspec.structs.replace(made.report.pools[0], **changes)]
    return dataclasses.replace(
        made,
        name=f"shop-{number}",
        report=msgspec.structs.replace(made.report, agent=f"shop-{number}", pools=pools),
    )


def test_growth_stays_below_what_the_application_permits() -> None:
    seen = view(*[{}] * 5, agents=(process(1, 4, limit_max=6), process(2, 4, limit_max=5)))
    found = proposed(seen)
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 5
    none = proposed(view(*[{}] * 5, agents=(process(1, 4, limit_max=4),)))
    assert isinstance(none, Declined)
    assert "application" in none.reason


def test_a_limit_for_all_is_not_set_where_limits_differ() -> None:
    """Growing the small pool of one process would shrink the large one of another."""
    found = proposed(view(*[{}] * 5, agents=(process(1, 4), process(2, 20, 20))))
    assert isinstance(found, Declined)
    assert "4 and 20" in found.reason
    reports = process(2, 20, 20, name="reports")
    assert isinstance(proposed(view(*[{}] * 5, agents=(process(1, 4), reports))), Declined)


def test_it_is_rehearsed_with_whatever_process_of_the_application_runs_now() -> None:
    found = proposed(view(*[{}] * 5))
    assert isinstance(found, Proposal)
    restarted = FakeHands(view(*[{}] * 5, agents=(process(9, 4),)))
    assert GrowPool().rehearse(found.parameters, restarted).ok
    larger = FakeHands(view(*[{}] * 5, agents=(process(9, 20, 20),)))
    rehearsed = GrowPool().rehearse(found.parameters, larger)
    assert not rehearsed.ok
    assert "no longer 4" in rehearsed.reason


def test_it_is_undone_when_every_process_has_its_own_limit_back() -> None:
    """Also when one was started anew with another limit of its own meanwhile."""
    hands = FakeHands(view(*[{}] * 5))
    hands.settings = Settings(3, 60.0, {})
    found = proposed(hands.seen)
    assert isinstance(found, Proposal)
    remedy = GrowPool()
    undo = remedy.undo_of(found.parameters, hands)
    remedy.apply(found.parameters, hands)
    remedy.revert(found.parameters, undo, hands)
    version = hands.settings.version

    def undone(*agents: AgentView) -> str:
        told = tuple(dataclasses.replace(one, applied_version=version) for one in agents)
        hands.seen = view(*[{}] * 5, agents=told)
        return remedy.observe_undone(found.parameters, undo, hands)

    assert undone(process(1, 8)) == "not done"
    assert undone(process(1, 4), process(2, 6, 6)) == "done"
    assert undone() == "done", "nobody is left; the settings are what the next start gets"


def oversized(*agents: AgentView) -> tuple[Finding, View]:
    ticks = [{"pool.limit": 16.0, "pool.in_use_max": 1.0}] * 5
    seen = view(*ticks, agents=agents, pool=LONG)
    (one, *_) = PoolOversized().judge(seen)
    assert isinstance(one, Judgement)
    return msgspec.structs.replace(finding(view(*[{}] * 5)), rule="pool-oversized"), seen


def test_a_pool_that_another_process_needs_is_not_shrunk() -> None:
    case, seen = oversized(process(1, 16), process(2, 16))
    busy = Subject("db", "agent:shop-2", "pool", "main")
    seen.recent.add([Sample(busy, "pool.in_use_max", NOW - TICK, 15.0)])
    found = ShrinkPool().propose(case, seen)
    assert isinstance(found, Declined)
    assert "15" in found.reason


def test_shrinking_stops_at_the_highest_of_the_processes_own_limits() -> None:
    found = ShrinkPool().propose(*oversized(process(1, 16, 4), process(2, 16, 12)))
    assert isinstance(found, Proposal)
    assert found.parameters["to"] == 12
