"""`homeostat pause`, `resume` and `detach`: what a person tells the operator to do."""

from __future__ import annotations

import click

from homeostat.cli import complete
from homeostat.cli.options import (
    data_option,
    deciding,
    examples,
    json_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.shapes import Done
from homeostat.cli.text import clean, emit
from homeostat.errors import NotFoundError
from homeostat.operate.views import Status


@examples("homeostat pause", "homeostat pause shop.db")
@click.command()
@click.argument("database", required=False, shell_complete=complete.databases)
@data_option
@json_option
def pause(database: str | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001  # click
    """Apply nothing more, to DATABASE or to all; observing goes on."""
    client = deciding(place(data))
    key = None if database is None else find_database(client.status(), database)
    client.pause(key)
    if as_json:
        print_json(Done(done="paused", database=key))
        return
    again = f"homeostat resume{'' if database is None else ' ' + clean(database)}"
    what = clean(database or "all databases")
    emit(
        [
            f"paused {what}: nothing more is applied, observing goes on",
            f"next: {again}{suffix_of(data)}",
        ]
    )


@examples("homeostat resume", "homeostat resume shop.db")
@click.command()
@click.argument("database", required=False, shell_complete=complete.databases)
@data_option
@json_option
def resume(database: str | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001  # click
    """Let remedies be applied again, to DATABASE or to all."""
    client = deciding(place(data))
    key = None if database is None else find_database(client.status(), database)
    client.resume(key)
    if as_json:
        print_json(Done(done="resumed", database=key))
        return
    emit([f"resumed {clean(database or 'all databases')}"])


@examples("homeostat detach shop.db")
@click.command()
@click.argument("database", shell_complete=complete.databases)
@data_option
@json_option
def detach(database: str, data: str | None, as_json: bool) -> None:  # noqa: FBT001  # click
    """Stop observing DATABASE; what was learned of it stays in the logbook."""
    client = deciding(place(data))
    key = find_database(client.status(), database)
    client.detach(key)
    if as_json:
        print_json(Done(done="detached", database=key))
        return
    emit([f"detached {clean(database)}: it is no longer observed, and was not changed"])


def find_database(status: Status, name: str) -> str:
    """Return the key of the one database meant by a key, a label, or a part of a label.

    Raises:
        NotFoundError: none or several fit; names those there are.
    """
    databases = status.databases
    for fits in (
        [d for d in databases if name in {d.key, d.label}],
        [d for d in databases if name in d.label],
    ):
        if len(fits) == 1:
            return fits[0].key
        if fits:
            raise NotFoundError(
                f"{name!r} fits {len(fits)} databases. Give one of these keys: "
                + ", ".join(f"{d.key} ({d.label})" for d in fits)
            )
    known = ", ".join(f"{d.key} ({d.label})" for d in databases) or "none is attached"
    raise NotFoundError(f"No database is called {name!r}. There is: {known}.")
