"""Size a pool through the agents inside an application: the moves that change something.

A limit is set for an application, so it holds for each pool of each of its processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from homeostat.access.protocol import PoolReport
from homeostat.logbook.rows import Json
from homeostat.maintain.pool import agent_of
from homeostat.measure import Histogram, Subject, Unknown
from homeostat.operate.remedy import Hands, Seen
from homeostat.operate.rule import AgentView, View
from homeostat.operate.verify import Batch

CAPABILITY = "pool.limit"


class Sizing(Protocol):
    """A way to size a pool; see `operate.remedy.Remedy` for what each of these promises."""

    def undo_of(self, parameters: Json, hands: Hands) -> Json:
        """Return what `revert` will need."""
        ...

    def apply(self, parameters: Json, hands: Hands) -> None:
        """Set the size."""
        ...

    def observe(self, parameters: Json, hands: Hands) -> Seen:
        """Look whether it is in force."""
        ...

    def revert(self, parameters: Json, undo: Json, hands: Hands) -> None:
        """Set what was there before."""
        ...

    def observe_undone(self, parameters: Json, undo: Json, hands: Hands) -> Seen:
        """Look whether that is in force."""
        ...

    def measure(self, parameters: Json, view: View, *, start: float, end: float) -> Batch | None:
        """Return what happened in a stretch of time."""
        ...


@dataclass(frozen=True, slots=True)
class AgentSizing:
    """The way through the agents."""

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
            for agent, pool in pools_of(hands.view(), application)
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
                if not is_of(view, subject, parameters["application"]):
                    continue
                for reading in view.recent.between(metric, subject, start=start, end=end):
                    if isinstance(reading, Histogram):
                        into.merge(reading)
        mean = latency.mean
        if isinstance(mean, Unknown) or not in_use.count:
            return None
        above = in_use.above(parameters["from"]) / in_use.count
        return Batch(mean / 1000, latency.count / (end - start), above)


def pools_of(view: View, application: str) -> list[tuple[AgentView, PoolReport]]:
    """Return all pools of all live processes of an application, with their agents."""
    agents = [agent for agent in view.agents if agent.application == application]
    return [(agent, pool) for agent in agents for pool in agent.report.pools]


def is_of(view: View, subject: Subject, application: str) -> bool:
    """Return whether a subject was seen by an agent of an application."""
    agent = agent_of(view, subject.instance)
    return agent is not None and agent.application == application


def _limits(view: View, parameters: Json, *, version: int) -> list[int]:
    """Return the pool's limit in every live agent; -1 for one that has not acknowledged yet."""
    return [
        pool.limit if agent.applied_version >= version else -1
        for agent, pool in pools_of(view, parameters["application"])
    ]
