"""`homeostat clone ...`: copies of a database to try things on."""

from __future__ import annotations

import sys

import click

from homeostat.cli import complete
from homeostat.cli.control import find_database
from homeostat.cli.group import Group
from homeostat.cli.options import (
    data_option,
    deciding,
    examples,
    json_option,
    only_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.text import Screen, clean, emit
from homeostat.cli.waiting import waiting
from homeostat.operate.views import CloneView

MINUTE = 60.0
HOURS = click.FloatRange(min=0, min_open=True, max=8784)


@examples(
    "homeostat clone create",
    "homeostat clone list",
    "homeostat clone drop NAME",
)
@click.group(cls=Group)
def clone() -> None:
    """Copy a database to try things on; the copy goes by itself."""


@examples(
    "homeostat clone list",
    "homeostat clone list --database shop.db",
)
@clone.command("list")
@only_option
@data_option
@json_option
def list_(database: str | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """List clones, the newest first."""
    client = deciding(place(data))
    key = None if database is None else find_database(client.status(), database)
    found = client.clones(database=key)
    if as_json:
        print_json(found)
        return
    screen = Screen.of(sys.stdout)
    nothing = ["no clones", f"next: homeostat clone create{suffix_of(data)}"]
    emit([line for one in found for line in _lines(one, screen)] or nothing)


@examples(
    "homeostat clone create",
    "homeostat clone create shop.db --hours 2",
)
@clone.command("create")
@click.argument("database", required=False, shell_complete=complete.databases)
@click.option("--hours", type=HOURS, help="Keep it so long; usually [clone] keep_seconds.")
@data_option
@json_option
def create(database: str | None, hours: float | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Copy DATABASE (or the only one that is watched); it is read, never written."""
    client = deciding(place(data))
    key = None if database is None else find_database(client.status(), database)
    with waiting("copying"):
        made = client.create_clone(key, hours=hours)
    if as_json:
        print_json(made)
        return
    screen = Screen.of(sys.stdout)
    emit([*_lines(made, screen), f"next: homeostat clone drop {made.name}{suffix_of(data)}"])


@examples(
    "homeostat clone drop NAME",
)
@clone.command("drop")
@click.argument("name", shell_complete=complete.clones)
@data_option
@json_option
def drop(name: str, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Remove the clone called NAME, with all connections to it."""
    gone = deciding(place(data)).drop_clone(name)
    if as_json:
        print_json(gone)
        return
    emit([f"dropped {clean(gone.name)}; {clean(gone.label)} was not touched"])


def _lines(one: CloneView, screen: Screen) -> list[str]:
    share = "all rows" if one.share >= 1 else f"{100 * one.share:.3g} % of the rows"
    size = f"{one.bytes / 1e6:,.3g} MB, {share}"
    return [
        screen.paint(clean(one.name), "bold"),
        f"  {screen.fit(f'of {one.label}, for {one.owner}', taken=2)}",
        f"  {screen.fit(one.url, taken=2)}",
        f"  {size}, copied in {one.seconds:.3g} s, {_end(one.expires - screen.now)}",
    ]


def _end(seconds: float) -> str:
    """Return when a clone goes, that has so many seconds left; the operator looks now and then."""
    if seconds <= 0:
        return "has expired, goes within minutes"
    return f"goes in {seconds / 60:.0f} min" if seconds >= MINUTE else "goes in less than a minute"
