"""Size a connection pool: through the agent inside the application, or PgBouncer's by its file.

A pool grows only when waiting for a connection is the cause: callers wait, the CPU is not used up,
and the connections are not mostly waiting for locks (then more of them only queue at the lock).
A limit is set for an application, so it holds for each pool of each of its processes: where their
limits differ nothing is set. The undo is exact: the settings that were in force before. How a pool
of PgBouncer's is sized says pooler_size.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.config import PoolConfig
from homeostat.logbook.rows import Finding, Json
from homeostat.maintain import pooler_size
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
from homeostat.maintain.pool_size import CAPABILITY, AgentSizing, Sizing, is_of, pools_of
from homeostat.maintain.pooler import is_pooler
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

# below this part of `monitor.lock_wait_share` no lock is in the way: an application at ease waits
# for 0 to 2 % of the time held, seconds after a holder began it is 9 to 25 % (the sample app)
LOCKS_FEW = 0.1


@dataclass(frozen=True, slots=True)
class _SizePool:
    """What growing and shrinking share: how a limit is set, seen, undone and measured."""

    undo: Undo = "exact"
    rehearsal: Rehearsal = "dry run"
    rehearsal_reason: str = (
        "A pool exists only inside the running application or PgBouncer, so its limits, the "
        "server's and the demand are checked instead."
    )

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return the settings, or the text, in force now."""
        return _way(parameters).undo_of(parameters, hands)

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Set the size, unless it was set already."""
        _way(parameters).apply(parameters, hands)

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether the size is in force everywhere."""
        return _way(parameters).observe(parameters, hands)

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Give back what was in force before."""
        _way(parameters).revert(parameters, undo, hands)

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        """Look whether what was in force before is again."""
        return _way(parameters).observe_undone(parameters, undo, hands)

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return mean latency, load, and how much connections above the old limit were used."""
        return _way(parameters).measure(parameters, view, start=start, end=end)

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
        "PgBouncer's pool is grown in its file, then by RELOAD, where `[databases.NAME]` says how. "
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
        subject = finding_subject(finding)
        agent = agent_of(view, finding.instance)
        if not is_pooler(subject) and (agent is None or CAPABILITY not in agent.capabilities):
            return Declined(_what_would_let_it_act(view))
        window = look(view, subject)
        if window is None or not window.exhausted_now:
            return Declined("the pool is not exhausted at this moment")
        elsewhere = self._elsewhere(view, window)
        if not elsewhere and agent is not None:
            elsewhere = self._leaked(finding, agent) or _differing(view, agent.application)
        if elsewhere:
            return Declined(elsewhere)
        if agent is None:
            return pooler_size.propose_growth(finding, view, window, self.config)
        return self._growth(finding, view, window, agent)

    def _growth(
        self, finding: Finding, view: View, window: PoolWindow, agent: AgentView
    ) -> Proposal | Declined:
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
        if pooler_size.is_ours(parameters):
            return pooler_size.rehearse(parameters, hands)
        view, application = hands.view(), parameters["application"]
        limits = {pool.limit for _, pool in pools_of(view, application)}
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

    def _leaked(self, finding: Finding, agent: AgentView) -> str:
        """Return what of the pool is leaked, if that is too much of it to grow; else nothing."""
        pools = [one for one in agent.report.pools if one.name == finding.name]
        held = [leak for pool in pools for leak in pool.leaks if not leak.lost]
        if not held or len(held) <= self.config.leaked_share_max * max(p.limit for p in pools):
            return ""
        first = held[0]
        where = first.stack[0] if first.stack else "an unknown place"
        return (
            f"{first.name} leaks connections, taken at {where}: it would leak those of a larger "
            "pool too; mend the leak"
        )

    def _room(self, view: View, application: str, limit: int) -> tuple[int, str]:
        """Return the highest limit for each pool of the application, and what sets it."""
        own = [pool for _, pool in pools_of(view, application)]
        most = self.config.limit_max
        why = f"pool.limit_max is {most}"
        permitted = min((p.limit_max for p in own if p.limit_max is not None), default=most)
        if permitted < most:
            most = permitted
            why = f"the application itself permits {most} (PoolLimits.limit_max)"
        activity = view.activity
        pools = sum(pool.limit for a in view.agents for pool in a.report.pools)
        held = limit * len(own)
        for one in activity.limits if activity is not None else ():
            takes, free = int(one.used_max) - self.config.server_reserve, one.used_max - one.used
            share = (takes - (pools - held)) // max(1, len(own))
            if share < most:
                most = share
                why = f"{one.whose} takes {takes}, other pools may use {pools - held}"
            share = int(held + max(0.0, free)) // max(1, len(own))
            if share < most:
                most = share
                why = f"{one.whose} has {free:.0f} of {one.used_max:.0f} connections left"
        return most, why


@dataclass(frozen=True, slots=True)
class ShrinkPool(_SizePool):
    """Shrink a grown pool that is hardly used any more."""

    config: PoolConfig = PoolConfig()  # noqa: RUF009  # frozen
    key: str = "shrink-pool"
    help: str = (
        "Shrinks a pool that was grown and is hardly used, never below the application's own "
        "limit, or the size that PgBouncer's file had before. Kept unless mean latency rises."
    )
    rules: Sequence[str] = (OVERSIZED,)

    @property
    def demand(self) -> Demand:
        """Mean latency must not rise."""
        return Demand(name="mean latency", unit="ms", reduction_min=0.0, mechanism="")

    def propose(self, finding: Finding, view: View) -> Proposal | Declined:
        """Propose one step back, at most to the application's own limit."""
        if is_pooler(finding_subject(finding)):
            return pooler_size.propose_shrinking(finding, view, self.config)
        agent = agent_of(view, finding.instance)
        pools = [p for p in agent.report.pools if p.name == finding.name] if agent else []
        if agent is None or not pools or CAPABILITY not in agent.capabilities:
            return Declined("the application's agent is gone")
        pool = pools[0]
        differing = _differing(view, agent.application)
        if differing:
            return Declined(differing)
        own = max(other.limit_default for _, other in pools_of(view, agent.application))
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
        if pooler_size.is_ours(parameters):
            return pooler_size.rehearse(parameters, hands)
        in_use = [p.in_use_max for _, p in pools_of(hands.view(), parameters["application"])]
        if not in_use:
            return Rehearsed(ok=False, reason="the application's agent is gone", later=True)
        if max(in_use) > parameters["to"]:
            return Rehearsed(ok=False, reason=f"{max(in_use)} connections are in use again")
        return Rehearsed(ok=True, reason=f"dry run: at most {max(in_use)} are in use")


def _way(parameters: Json) -> Sizing:
    return pooler_size.PoolerSizing() if pooler_size.is_ours(parameters) else AgentSizing()


def _what_would_let_it_act(view: View) -> str:
    way = (
        "it cannot act without an agent: open the database through homeostat.access.Database in "
        "the application, or change the pool's size there"
    )
    if view.identity.dialect == "postgresql":
        way += "; a PgBouncer before it is sized when [databases.NAME] names its `pooler`"
    return way


def _parameters(finding: Finding, agent: AgentView, limit: int, to: int) -> Json:
    return {
        "agent": agent.name,
        "application": agent.application,
        "pool": finding.name,
        "from": limit,
        "to": to,
    }


def _differing(view: View, application: str) -> str:
    """Return why one limit cannot be set for all pools of an application, or nothing."""
    limits = sorted({pool.limit for _, pool in pools_of(view, application)})
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
        if is_of(view, subject, application)
    ]
    readings = [
        reading
        for subject in subjects
        for reading in view.recent.between(
            "pool.in_use_max", subject, start=view.at - seconds, end=view.at
        )
    ]
    return max((one for one in readings if isinstance(one, float)), default=0.0)
