"""The list of databases by group, what needs somebody first, and what is asked of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlencode

from homeostat.operate.views import DatabaseStatus, Pending, Status

BADNESS = ("unreachable", "trouble", "paused", "ok")
WAITING = "waiting"
STATES = (WAITING, *BADNESS)


@dataclass(frozen=True, slots=True)
class Group:
    """Databases under one heading; those without a group come last, under none."""

    name: str
    databases: list[DatabaseStatus] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which databases are asked for; what is empty lets all through.

    Attributes:
        label: `key=value` that they carry.
        group: their heading.
        state: one of STATES; `waiting`: a decision waits for a person.
        words: all of them in name, address, group or labels, in capitals or not.
    """

    label: str = ""
    group: str = ""
    state: str = ""
    words: str = ""

    def query(self, **changes: str) -> str:
        """Return the address of this list with something else; empty leaves a part out."""
        asked = {"q": self.words, "state": self.state, "group": self.group, "label": self.label}
        given = {name: value for name, value in {**asked, **changes}.items() if value}
        return f"?{urlencode(given)}" if given else ""

    @property
    def is_all(self) -> bool:
        """Return whether nothing is left out."""
        return not (self.label or self.group or self.state or self.words)

    def takes(self, one: DatabaseStatus) -> bool:
        """Return whether a database is asked for."""
        key, _, value = self.label.partition("=")
        labels = [f"{name}={said}" for name, said in one.labels.items()]
        return (
            (not self.label or one.labels.get(key) == value)
            and self.group in {"", one.group}
            and (not self.state or self.state in states_of(one))
            and self._names(one.name, one.label, one.group, one.dialect, *labels)
        )

    def takes_pending(self, one: Pending) -> bool:
        """Return whether one is asked for that is not attached yet; it carries no labels."""
        return (
            not self.label
            and self.group in {"", one.group}
            and self.state in {"", "unreachable"}
            and self._names(one.name, one.label, one.group)
        )

    def _names(self, *texts: str) -> bool:
        whole = "\n".join(texts).casefold()
        return all(word in whole for word in self.words.casefold().split())


def states_of(one: DatabaseStatus) -> tuple[str, ...]:
    """Return the states that a database is listed under."""
    return (WAITING, one.state) if one.waiting else (one.state,)


def fleet(status: Status, wanted: Wanted = Wanted()) -> list[Group]:  # frozen
    """Return the groups with their databases, those that wait or are worst first."""
    groups: dict[str, Group] = {}
    for one in status.databases:
        if wanted.takes(one):
            groups.setdefault(one.group, Group(one.group)).databases.append(one)
    for waits in status.pending:
        if wanted.takes_pending(waits):
            groups.setdefault(waits.group, Group(waits.group)).pending.append(waits)
    for group in groups.values():
        group.databases.sort(key=_urgency)
    return sorted(groups.values(), key=lambda group: (not group.name, group.name))


def counts_of(status: Status) -> dict[str, int]:
    """Return how many databases are in each state, the worst first; those without any left out."""
    found = Counter(state for one in status.databases for state in states_of(one))
    found["unreachable"] += len(status.pending)
    return {state: found[state] for state in STATES if found[state]}


def groups_of(status: Status) -> list[str]:
    """Return the names of all groups, without what has none."""
    attached = {one.group for one in status.databases}
    return sorted((attached | {one.group for one in status.pending}) - {""})


def _urgency(one: DatabaseStatus) -> tuple[bool, int, str]:
    badness = BADNESS.index(one.state) if one.state in BADNESS else 0
    return not one.waiting, badness, one.name or one.label
