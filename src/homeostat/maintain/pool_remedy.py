"""Size a connection pool through the agent inside the application.

A pool grows only when waiting for a connection is the cause: callers wait, the CPU is not used up,
and the connections are not mostly waiting for locks (then more of them only queue at the lock).
A limit is set for an application, so it holds for each pool of each of its processes: where their
limits differ nothing is set. The undo is exact: the settings that were in force before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.access.protocol import PoolReport
from homeostat.config import PoolConfig
from homeostat.logbook.rows import Finding, Json
from homeostat.maintain.pool import (
    EXHAUSTED,
    NO_AGENT,
    OVERSIZED,
    PoolWindow,
    agent_of,
    finding_subject,
    holder_of,
    look,
)
from homeostat.measure import Histogram, Subject, Unknown
from homeostat.operate.remedy import (
    Declined,
    Hands,
    Proposal,
    Rehearsal,
    Rehearsed,
    Resource,
    Seen,
    Undo,
)
from homeostat.operate.rule import AgentView, View
from homeostat.operate.verify import Batch, Demand

CAPABILITY = "pool.limit"
# below this part of `monitor.lock_wait_share` no lock is in the way: an application at ease waits
# for 0 to 2 % of the time held, seconds after a holder began it is 9 to 25 % (the sample app)
LOCKS_FEW = 0.1


@dataclass(frozen=True, slots=True)
class _SizePool:
    """What growing and shrinking share: how a limit is set, seen, undone and measured."""

    undo: Undo = "exact"
    rehearsal: Rehearsal = "dry run"
    rehearsal_reason: str = (
        "A pool exists only inside the running application, so its limits, the server's and the "
        "demand are checked instead."
    )

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return the settings in force now."""
        return {"values": dict(hands.settings_of(parameters["application"]).values)}

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Give the application's agents the new limit, unless it was given already."""
        now = hands.settings_of(parameters["application"])
        if now.values.get(CAPABILITY) != parameters["to"]:
            values = {**now.values, CAPABILITY: parameters["to"]}
            hands.set_settings(parameters["application"], values)

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether every live agent of the application acknowledged the limit."""
        settings = hands.settings_of(parameters["application"])
        if settings.values.get(CAPABILITY) != parameters["to"]:
            return "not done"
        limits = _limits(hands.view(), parameters, version=settings.version)
        return "done" if limits and set(limits) == {parameters["to"]} else "not done"

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Give back the settings that were in force before."""
        now = hands.settings_of(parameters["application"])
        if dict(now.values) != undo["values"]:
            hands.set_settings(parameters["application"], undo["values"])

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        """Look whether every live agent went back; without agents the settings are enough."""
        application = parameters["application"]
        settings = hands.settings_of(application)
        if dict(settings.values) != undo["values"]:
            return "not done"
        back = [
            agent.applied_version >= settings.version
            and pool.limit == settings.values.get(CAPABILITY, pool.limit_default)
            for agent, pool in _pools(hands.view(), application)
        ]
        return "done" if all(back) else "not done"

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return mean latency, operations a second, and the share of time above the old limit."""
        latency, in_use = Histogram(), Histogram()
        for metric, kind, name, into in (
            ("operation.latency_us", "application", parameters["application"], latency),
            ("pool.in_use_ms", "pool", parameters["pool"], in_use),
        ):
            for subject in view.recent.subjects(metric, since=start):
                if (subject.kind, subject.name) != (kind, name):
                    continue
                if not _is_of(view, subject, parameters["application"]):
                    continue
                for reading in view.recent.between(metric, subject, start=start, end=end):
                    if isinstance(reading, Histogram):
                        into.merge(reading)
        mean = latency.mean
        if isinstance(mean, Unknown) or not in_use.count:
            return None
        above = in_use.above(parameters["from"]) / in_use.count
        return Batch(mean / 1000, latency.count / (end - start), above)

    def explain(self, parameters: Json, view: View) -> str:  # noqa: ARG002  # part of the protocol
        """Name what the connections wait for instead."""
        shares = [
            window.lock_share
            for subject in view.recent.subjects("pool.use_share")
            if (window := look(view, subject)) is not None and window.lock_share is not None
        ]
        who = holder_of(view)
        if not who and (not shares or max(shares) < view.config.monitor.lock_wait_share):
            return ""
        text = f"{max(shares):.0%} of the time held waits for locks" if shares else "locks are held"
        return text + (f"; {who}" if who else "")


@dataclass(frozen=True, slots=True)
class GrowPool(_SizePool):
    """Grow an exhausted pool by a step."""

    config: PoolConfig = PoolConfig()  # noqa: RUF009  # frozen
    key: str = "grow-pool"
    help: str = (
        "Grows an application's connection pool through its agent when callers wait although "
        "neither CPU nor locks are the limit; within the server's connections less a reserve. "
        "Kept only when mean latency falls and connections above the old limit were used."
    )
    rules: Sequence[str] = (EXHAUSTED, NO_AGENT)

    @property
    def demand(self) -> Demand:
        """Mean latency must fall, with connections above the old limit in use."""
        return Demand(
            name="mean latency",
            unit="ms",
            reduction_min=self.config.wait_reduction,
            mechanism="connections above the old limit were used",
        )

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose one step of growth, unless something else is the limit."""
        agent = agent_of(view, finding.instance)
        if agent is None or CAPABILITY not in agent.capabilities:
            return Declined(
                "it cannot act without an agent: open the database through "
                "homeostat.access.Database in the application, or change the pool's size there"
            )
        window = look(view, finding_subject(finding))
        if window is None or not window.exhausted_now:
            return Declined("the pool is not exhausted at this moment")
        elsewhere = self._elsewhere(view, window) or _differing(view, agent.application)
        if elsewhere:
            return Declined(elsewhere)
        limit = window.limit
        room, why = self._room(view, agent.application, limit)
        to = min(math.ceil(limit * self.config.growth), room)
        if to <= limit:
            return Declined(f"no room to grow past {limit}: {why}")
        parameters = _parameters(finding, agent, limit, to)
        few = view.config.monitor.lock_wait_share * LOCKS_FEW
        locks = "locks" if (window.lock_share or 0.0) >= few else "no locks"
        return Proposal(
            resource=Resource("pool", agent.application),
            title=f"grow the pool of {agent.application} from {limit} to {to} connections",
            why=finding.what,
            parameters=parameters,
            evidence={**finding.evidence, "cause": finding.cause, "room": room},
            likeness=f"{agent.application}/{finding.name} {limit}->{to} {locks}",
            troubled_since=float(finding.evidence.get("since", finding.opened)),
        )

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Check again that the application is there and the server has room."""
        view, application = hands.view(), parameters["application"]
        limits = {pool.limit for _, pool in _pools(view, application)}
        if not limits:
            return Rehearsed(ok=False, reason="the application's agent is gone", later=True)
        if limits != {parameters["from"]}:
            return Rehearsed(ok=False, reason=f"the limit is no longer {parameters['from']}")
        room, why = self._room(view, application, parameters["from"])
        if parameters["to"] > room:
            return Rehearsed(ok=False, reason=f"the room to grow shrank to {room}: {why}")
        return Rehearsed(ok=True, reason=f"dry run: room for {room} connections ({why})")

    def _elsewhere(self, view: View, window: PoolWindow) -> str:
        """Return what callers would wait for instead, or nothing."""
        if (window.lock_share or 0.0) >= view.config.monitor.lock_wait_share:
            return "lock-bound: more connections would only queue at the lock"
        if (window.cpu_share or 0.0) >= self.config.cpu_share_max:
            return "the CPU is used up: more connections would only queue for it"
        return ""

    def _room(self, view: View, application: str, limit: int) -> tuple[int, str]:
        """Return the highest limit for each pool of the application, and what sets it."""
        own = [pool for _, pool in _pools(view, application)]
        most = self.config.limit_max
        why = f"pool.limit_max is {most}"
        permitted = min((p.limit_max for p in own if p.limit_max is not None), default=most)
        if permitted < most:
            most = permitted
            why = f"the application itself permits {most} (PoolLimits.limit_max)"
        activity = view.activity
        if activity is not None and isinstance(activity.connections_max, float):
            pools = sum(pool.limit for a in view.agents for pool in a.report.pools)
            server = int(activity.connections_max) - self.config.server_reserve
            others = pools - limit * len(own)
            share = (server - others) // max(1, len(own))
            if share < most:
                most = share
                why = f"the server takes {server}, other pools may use {others}"
        return most, why


@dataclass(frozen=True, slots=True)
class ShrinkPool(_SizePool):
    """Shrink a grown pool that is hardly used any more."""

    config: PoolConfig = PoolConfig()  # noqa: RUF009  # frozen
    key: str = "shrink-pool"
    help: str = (
        "Shrinks a pool that was grown and is hardly used, never below the application's own "
        "limit. Kept unless mean latency rises."
    )
    rules: Sequence[str] = (OVERSIZED,)

    @property
    def demand(self) -> Demand:
        """Mean latency must not rise."""
        return Demand(name="mean latency", unit="ms", reduction_min=0.0, mechanism="")

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose one step back, at most to the application's own limit."""
        agent = agent_of(view, finding.instance)
        pools = [p for p in agent.report.pools if p.name == finding.name] if agent else []
        if agent is None or not pools or CAPABILITY not in agent.capabilities:
            return Declined("the application's agent is gone")
        pool = pools[0]
        differing = _differing(view, agent.application)
        if differing:
            return Declined(differing)
        own = max(other.limit_default for _, other in _pools(view, agent.application))
        to = max(own, math.ceil(pool.limit / self.config.growth))
        if to >= pool.limit:
            return Declined("the pool is back at the application's own limit")
        peak = _peak(view, agent.application, seconds=self.config.shrink_after_seconds)
        if peak > to:
            return Declined(f"another process of the application used {peak:.0f} connections")
        return Proposal(
            resource=Resource("pool", agent.application),
            title=f"shrink the pool of {agent.application} from {pool.limit} to {to} connections",
            why=finding.what,
            parameters=_parameters(finding, agent, pool.limit, to),
            evidence=dict(finding.evidence),
            likeness=f"{agent.application}/{finding.name} {pool.limit}->{to}",
            troubled_since=float(finding.evidence.get("since", finding.opened)),
        )

    def rehearse(self, parameters: Json, hands: Hands) -> Rehearsed:
        """Check that the smaller limit still covers what is in use now."""
        in_use = [p.in_use_max for _, p in _pools(hands.view(), parameters["application"])]
        if not in_use:
            return Rehearsed(ok=False, reason="the application's agent is gone", later=True)
        if max(in_use) > parameters["to"]:
            return Rehearsed(ok=False, reason=f"{max(in_use)} connections are in use again")
        return Rehearsed(ok=True, reason=f"dry run: at most {max(in_use)} are in use")


def _parameters(finding: Finding, agent: AgentView, limit: int, to: int) -> Json:
    return {
        "agent": agent.name,
        "application": agent.application,
        "pool": finding.name,
        "from": limit,
        "to": to,
    }


def _pools(view: View, application: str) -> list[tuple[AgentView, PoolReport]]:
    """Return all pools of all live processes of an application, with their agents."""
    agents = [agent for agent in view.agents if agent.application == application]
    return [(agent, pool) for agent in agents for pool in agent.report.pools]


def _differing(view: View, application: str) -> str:
    """Return why one limit cannot be set for all pools of an application, or nothing."""
    limits = sorted({pool.limit for _, pool in _pools(view, application)})
    if len(limits) < 2:
        return ""
    return (
        f"the pools of {application} have limits of {' and '.join(map(str, limits))}, and one is "
        "set for all: give them application names of their own"
    )


def _peak(view: View, application: str, *, seconds: float) -> float:
    """Return the most connections that any process of the application used for so long."""
    subjects = [
        subject
        for subject in view.recent.subjects("pool.in_use_max", since=view.at - seconds)
        if _is_of(view, subject, application)
    ]
    readings = [
        reading
        for subject in subjects
        for reading in view.recent.between(
            "pool.in_use_max", subject, start=view.at - seconds, end=view.at
        )
    ]
    return max((one for one in readings if isinstance(one, float)), default=0.0)


def _is_of(view: View, subject: Subject, application: str) -> bool:
    agent = agent_of(view, subject.instance)
    return agent is not None and agent.application == application


def _limits(view: View, parameters: Json, *, version: int) -> list[int]:
    """Return the pool's limit in every live agent; -1 for one that has not acknowledged yet."""
    return [
        pool.limit if agent.applied_version >= version else -1
        for agent, pool in _pools(view, parameters["application"])
    ]
