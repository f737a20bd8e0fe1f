"""`homeostat explain`: what a statement costs and why, its plan as a tree, and what was done."""

from __future__ import annotations

import sys

import click
import msgspec

from homeostat.cli import complete
from homeostat.cli.options import (
    answering,
    data_option,
    examples,
    json_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.text import Screen, emit, number
from homeostat.engine.facets import Plan
from homeostat.engine.plan import render_plan
from homeostat.logbook.rows import Json
from homeostat.operate.views import COUNTED_MAX, Explained

UNKNOWN = "unknown"  # a finding's cause


@examples(
    "homeostat explain 12",
    "homeostat explain orders_of",
    "homeostat explain 3f2a9c0d1e4b5a67 --json",
)
@click.command()
@click.argument("name", metavar="FINDING|STATEMENT", shell_complete=complete.findings)
@data_option
@json_option
def explain(name: str, data: str | None, as_json: bool) -> None:  # noqa: FBT001  # click calls it so
    """Tell what a statement costs and why, and draw its plan.

    FINDING is a finding's number. STATEMENT is a statement's key (16 hex digits) or the name of an
    operation.
    """
    screen = Screen.of(sys.stdout)
    with answering(place(data), screen) as answer:
        found = answer.source.explain(name)
    if as_json:
        print_json(found)
        return
    note = [screen.paint(screen.fit(answer.note), "yellow")] if answer.note else []
    emit([*note, *explained_lines(found, screen, suffix=suffix_of(data))])


def _serving(candidate: Json) -> str:
    """Return what an index would do, as far as it was counted: few rows found is much spared."""
    found, rows = candidate.get("matching"), candidate.get("rows")
    if found is None or not rows or not candidate.get("by_value"):
        return "might serve it"
    return f"would find {_counted(found)} of {_counted(rows)} rows"


def _counted(rows: float) -> str:
    """Return a number of rows that were counted, at most `COUNTED_MAX`."""
    return f"at least {number(rows)}" if rows == COUNTED_MAX else number(rows)


def explained_lines(found: Explained, screen: Screen, *, suffix: str = "") -> list[str]:
    """Return what is known of a statement as lines of text."""
    lines = [screen.paint(screen.fit(found.name), "bold")]
    lines.append(screen.fit(f"  {found.text}"))
    lines += [f"  {line}" for line in _costs(found)]
    finding = found.finding
    if finding is not None:
        lines.append(screen.fit(f"finding {finding.id} ({finding.severity}): {finding.what}"))
        lines.append(screen.fit(f"  cause: {finding.cause}"))
        if finding.cause != UNKNOWN:  # else the mend is to read what stands here
            lines.append(screen.fit(f"  mend: {finding.mend}"))
    lines += _plans(found, screen)
    lines += _facts(found, screen)
    for record in found.remedies:
        lines.append(screen.fit(f"remedy {record.id} ({record.state}): {record.title}"))
        if record.verdict:
            lines.append(screen.fit(f"  {record.verdict}"))
    if found.remedies:
        lines.append(f"next: homeostat remedy show {found.remedies[0].id}{suffix}")
    return lines


def _costs(found: Explained) -> list[str]:
    if found.mean_ms is None or found.calls_per_second is None:
        return ["it did not run lately"]
    rows = f", {number(found.rows_per_call)} rows" if found.rows_per_call is not None else ""
    cost = number(found.cost_ms_per_second or 0.0)
    who = f"; told by {found.source}" if found.source else ""
    line = (
        f"{number(found.mean_ms)} ms a call{rows}; {number(found.calls_per_second)} calls a second"
    )
    lines = [f"{line}; {cost} ms of every second{who}"]
    received, sent = found.received_bytes_per_call, found.sent_bytes_per_call
    if received is not None and sent is not None:
        lines.append(f"{number(received)} bytes received and {number(sent)} sent a call")
    if found.waited_share is not None and found.waited_ms_per_call is not None:
        waited = number(found.waited_ms_per_call)
        lines.append(
            f"{found.waited_share:.0%} of the calls waited for a connection; {waited} ms a call"
            if found.waited_share
            else "no call waited for a connection"
        )
    return lines


def _plans(found: Explained, screen: Screen) -> list[str]:
    if not found.plans:
        return ["no plan is known"]
    lines = []
    for place_, one in enumerate(reversed(found.plans)):
        head = "plan since" if place_ == 0 else "before, since"
        plan = msgspec.convert(one.plan, Plan)
        lines.append(f"{head} {screen.when(one.at)}")
        lines += [f"  {_kept(line, screen)}" for line in render_plan(plan)]
    return lines


def _kept(line: str, screen: Screen) -> str:
    """Return a line of a plan cleaned and cut, with the space that draws the tree."""
    text = line.lstrip(" ")
    indent = len(line) - len(text)
    return " " * indent + screen.fit(text, taken=2 + indent)


def _facts(found: Explained, screen: Screen) -> list[str]:
    lines = []
    for table, facts in found.facts.get("tables", {}).items():
        parts = [
            f"{told(facts[name])} {words}"
            for name, told, words in (
                ("rows", _counted, "rows"),
                ("matching", _counted, "match"),
                ("expected", number, "expected to match"),
                ("changed", number, "changed since statistics were refreshed"),
            )
            if facts.get(name) is not None
        ]
        if parts:
            lines.append(screen.fit(f"table {table}: {', '.join(parts)}"))
    for one in found.facts.get("candidates", ()):
        where = f" where {one['where']}" if one["where"] else ""
        columns = ", ".join(one["columns"])
        lines.append(screen.fit(f"an index {_serving(one)}: {one['table']} ({columns}){where}"))
    return lines
