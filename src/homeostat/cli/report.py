"""`homeostat report`: what was found lately, and what was or would have been done about it."""

from __future__ import annotations

import sys
import textwrap

import click

from homeostat.cli.client import Client
from homeostat.cli.control import find_database
from homeostat.cli.options import (
    data_option,
    examples,
    json_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.text import Screen, duration, emit, number
from homeostat.errors import NotFoundError
from homeostat.measure import size_text
from homeostat.operate.insights import FoundRow, Proposals, ProposedRow, Tried
from homeostat.operate.views import DatabaseStatus, Status

DAY_SECONDS = 86_400.0
DAYS_MAX = 400
WOULD = frozenset({"observed", "waiting"})
INDENT = 13
MAY = {"observe": "only observes", "approve": "asks first", "auto": "acts by itself"}


@examples(
    "homeostat report",
    "homeostat report --days 30 --database shop",
    "homeostat report --json",
)
@click.command()
@click.option("--database", metavar="DATABASE", help="Which one (key or part of its label).")
@click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=7, show_default=True, help="How far back."
)
@data_option
@json_option
def report(database: str | None, days: int, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell what was found, and what was or would have been done about it.

    What only observes, or waits for you, was tried on a copy where that touches nothing: the times
    before and after are of that copy. Asks the running operator.
    """
    screen = Screen.of(sys.stdout)
    client = Client(place(data))
    one = _chosen(client.status(), database)
    now = screen.now
    found = client.proposals(one.key, start=now - days * DAY_SECONDS, end=now)
    if as_json:
        print_json(found)
        return
    emit(report_lines(found, screen, name=one.name or one.label, suffix=suffix_of(data)))


def _chosen(status: Status, database: str | None) -> DatabaseStatus:
    if database is not None:
        key = find_database(status, database)
        return next(one for one in status.databases if one.key == key)
    if not status.databases:
        raise NotFoundError("No database is attached. `homeostat up URL` observes one.")
    if len(status.databases) > 1:
        raise NotFoundError(
            "Several databases are attached. Name one with --database; `homeostat status` lists "
            "them."
        )
    return status.databases[0]


def report_lines(found: Proposals, screen: Screen, *, name: str, suffix: str) -> list[str]:
    """Return the report as lines of text.

    Args:
        found: what the operator says.
        screen: where it goes.
        name: what people call the database.
        suffix: what every command needs appended.
    """
    would = [one for one in found.proposed if one.state in WOULD]
    done = [one for one in found.proposed if one.state not in WOULD]
    span = duration(found.end - max(found.start, found.since))
    levels = " or ".join(MAY.get(one, one) for one in found.autonomy.split(", "))
    lines = [
        screen.fit(f"the last {span} of {name}; each remedy here {levels}"),
        "",
        screen.paint(f"would have been done: {len(would) or 'nothing'}", "bold"),
    ]
    for one in would:
        lines += _offer(one, screen)
    if done:
        lines += ["", screen.paint(f"was done or tried: {len(done)}", "bold")]
    for one in done:
        lines += _offer(one, screen)
    lines += ["", screen.paint(f"found: {len(found.found) or 'nothing'}", "bold")]
    lines += [line for row in found.found for line in _found(row, screen)]
    asked = next((one for one in would if one.decision), None)
    if asked is not None:
        command = f"homeostat remedy show {asked.remedy}{suffix}"
        lines += ["", f"next: {screen.paint(command, 'bold')}"]
    return lines


def _offer(one: ProposedRow, screen: Screen) -> list[str]:
    head = f"  {one.remedy:<4} {one.state:<12}"
    lines = ["", head + screen.fit(one.title, taken=len(head))]
    lines += _wrap("why", one.why, screen)
    if one.tried is not None:
        lines += _wrap("on a copy", tried_words(one.tried), screen)
    else:
        lines += _wrap("rehearsal", one.rehearsal, screen)
    lines += _wrap("outcome" if one.state not in WOULD else "expected", one.benefit, screen)
    return lines + _wrap("undo", one.undo, screen)


def tried_words(tried: Tried) -> str:
    """Return what a rehearsal on a copy measured, in one sentence."""
    parts = []
    if tried.before_ms is not None and tried.after_ms is not None:
        name = tried.operation or "a call"
        parts.append(f"{name} {number(tried.before_ms)} ms -> {number(tried.after_ms)} ms")
    if tried.benefit_share is not None:
        parts.append(f"{tried.benefit_share:.0%} saved net of what others lose")
    if tried.build_seconds is not None:
        parts.append(f"build {number(tried.build_seconds)} s")
    if tried.index_bytes is not None:
        parts.append(f"size {size_text(tried.index_bytes)}")
    if tried.replayed is not None:
        parts.append(f"{tried.replayed} of {tried.captured} captured calls replayed")
    return ("" if tried.ok else "not worth it: ") + ", ".join(parts)


def _found(row: FoundRow, screen: Screen) -> list[str]:
    head = f"  {row.severity:<9}"
    times = f"{row.rule}: {row.count} times, open {duration(row.open_seconds)} in all"
    return [head + screen.fit(times, taken=len(head)), *_wrap("", row.what, screen)]


def _wrap(head: str, text: str, screen: Screen) -> list[str]:
    width = 10_000 if screen.width is None else screen.width - INDENT - 7
    whole = Screen(width=None, colours=False, now=screen.now).fit(text)
    lines = textwrap.wrap(whole, width, break_on_hyphens=False) or [""]
    label = " " * 7 + screen.paint(head.ljust(INDENT - 2), "dim") + "  "
    return [(label if n == 0 else " " * (INDENT + 7)) + line for n, line in enumerate(lines)]
