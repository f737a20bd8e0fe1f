"""`homeostat remedy ...`: what was done, what waits, and the decisions of a person."""

from __future__ import annotations

import sys

import click

from homeostat.cli import complete
from homeostat.cli.control import find_database
from homeostat.cli.group import Group
from homeostat.cli.options import (
    answering,
    data_option,
    deciding,
    examples,
    json_option,
    only_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.story import list_lines, story_lines
from homeostat.cli.text import Screen, emit
from homeostat.operate.views import RemedyView

NUMBER = click.IntRange(min=1)
DONE = {
    "approve": "approved: it starts now",
    "reject": "rejected: on like evidence it is not proposed again soon",
    "revert": "is being undone",
}


@examples(
    "homeostat remedy list",
    "homeostat remedy show 3",
    "homeostat remedy approve 3",
)
@click.group(cls=Group)
def remedy() -> None:
    """See what was done about findings, and decide what waits for you."""


@examples(
    "homeostat remedy list",
    "homeostat remedy list --database shop.db --json",
)
@remedy.command("list")
@only_option
@data_option
@json_option
def list_(database: str | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """List remedies, the newest first."""
    screen = Screen.of(sys.stdout)
    with answering(place(data), screen) as answer:
        key = None if database is None else find_database(answer.source.status(), database)
        found = answer.source.remedies(database=key)
    if as_json:
        print_json(found)
        return
    note = [screen.paint(screen.fit(answer.note), "yellow")] if answer.note else []
    emit([*note, *list_lines(found, screen)])


@examples(
    "homeostat remedy show 3",
    "homeostat remedy show 3 --json",
)
@remedy.command("show")
@click.argument("number", type=NUMBER, shell_complete=complete.remedies)
@data_option
@json_option
def show(number: int, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Tell the story of one remedy, with what was measured before and after."""
    screen = Screen.of(sys.stdout)
    with answering(place(data), screen) as answer:
        found = answer.source.remedy(number)
    if as_json:
        print_json(found)
        return
    note = [screen.paint(screen.fit(answer.note), "yellow")] if answer.note else []
    emit([*note, *story_lines(found, screen, suffix=suffix_of(data))])


@examples(
    "homeostat remedy approve 3",
)
@remedy.command("approve")
@click.argument("number", type=NUMBER, shell_complete=complete.waiting)
@data_option
@json_option
def approve(number: int, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Let a waiting remedy be applied, measured, and kept or undone."""
    _decide(number, "approve", data, as_json=as_json)


@examples(
    "homeostat remedy reject 3",
)
@remedy.command("reject")
@click.argument("number", type=NUMBER, shell_complete=complete.waiting)
@data_option
@json_option
def reject(number: int, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Refuse a waiting remedy."""
    _decide(number, "reject", data, as_json=as_json)


@examples(
    "homeostat remedy revert 3",
)
@remedy.command("revert")
@click.argument("number", type=NUMBER, shell_complete=complete.remedies)
@data_option
@json_option
def revert(number: int, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Undo a remedy that was kept or is being measured."""
    _decide(number, "revert", data, as_json=as_json)


def _decide(number: int, decision: str, data: str | None, *, as_json: bool) -> None:
    view: RemedyView = deciding(place(data)).decide(number, decision)
    if as_json:
        print_json(view)
        return
    screen = Screen.of(sys.stdout)
    title = screen.fit(view.remedy.title, taken=2)
    emit(
        [
            f"remedy {number} {DONE[decision]}",
            f"  {title}",
            f"next: homeostat remedy show {number}{suffix_of(data)}",
        ]
    )
