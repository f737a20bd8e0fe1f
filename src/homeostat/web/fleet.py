"""The list of databases by group, what needs somebody first."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeostat.operate.views import DatabaseStatus, Pending, Status

BADNESS = ("unreachable", "trouble", "paused", "ok")


@dataclass(frozen=True, slots=True)
class Group:
    """Databases under one heading; those without a group come last, under none."""

    name: str
    databases: list[DatabaseStatus] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)


def fleet(status: Status, label: str = "") -> list[Group]:
    """Return the groups with their databases, those that wait or are worst first.

    Args:
        status: of the operator.
        label: `key=value`: only databases that carry it; empty: all.
    """
    groups: dict[str, Group] = {}
    key, _, value = label.partition("=")
    for one in status.databases:
        if not label or one.labels.get(key) == value:
            groups.setdefault(one.group, Group(one.group)).databases.append(one)
    if not label:  # what is not attached yet is never hidden
        for waits in status.pending:
            groups.setdefault(waits.group, Group(waits.group)).pending.append(waits)
    for group in groups.values():
        group.databases.sort(key=_urgency)
    return sorted(groups.values(), key=lambda group: (not group.name, group.name))


def _urgency(one: DatabaseStatus) -> tuple[bool, int, str]:
    badness = BADNESS.index(one.state) if one.state in BADNESS else 0
    return not one.waiting, badness, one.name or one.label
