"""`homeostat grants`: the least rights that Homeostat needs; it prints them and grants nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from homeostat.cli.address import ask_password, refuse_secrets
from homeostat.cli.options import examples, json_option, print_json
from homeostat.cli.shapes import FileRightView, GrantsReport, GrantView
from homeostat.cli.text import Screen, clean, emit
from homeostat.driver.urls import is_postgres_url

if TYPE_CHECKING:
    from homeostat.engine.grants import Grant, Standing

ROLE_NAME = "homeostat"
NOTHING = "-- nothing is missing"


@examples(
    "homeostat grants",
    "homeostat grants --role act postgresql://admin@db.example/shop | psql -d shop",
    "homeostat grants --role act --managed rds --owner shop_owner",
    "homeostat grants --role act /srv/shop/shop.db",
)
@click.command()
@click.argument("url", required=False)
@click.option(
    "--role",
    type=click.Choice(["monitor", "act"]),
    default="monitor",
    show_default=True,
    help="monitor: observe and check; act: remedies and their rehearsals too.",
)
@click.option(
    "--name", default=ROLE_NAME, show_default=True, help="The PostgreSQL role they are for."
)
@click.option(
    "--managed",
    type=click.Choice(["rds", "cloudsql", "azure", "none"]),
    help="A service without superuser. Without it: as the server looks, else none.",
)
@click.option(
    "--owner", "owners", multiple=True, help="Who owns the tables, if no URL is given to look at."
)
@click.option("--password", is_flag=True, help="Ask for the database's password on the terminal.")
@json_option
def grants(
    url: str | None,
    role: str,
    name: str,
    managed: str | None,
    owners: tuple[str, ...],
    password: bool,  # noqa: FBT001  # click calls it so
    as_json: bool,  # noqa: FBT001
) -> None:
    """Print the least rights that Homeostat needs, as SQL with the reason for each.

    With the URL of a database it looks (read-only) and prints only what the role lacks. Nothing is
    granted: you run the SQL, or let somebody run it who may. For an SQLite file it says which
    rights of the file system are needed.
    """
    if url is not None:
        refuse_secrets(url)
    if password:
        ask_password(url)
    report = grants_of(url, role=role, name=name, managed=managed, owners=owners)
    if as_json:
        print_json(report)
        return
    emit(lines_of(report, Screen.of(sys.stdout)))


def grants_of(
    url: str | None,
    *,
    role: str,
    name: str,
    managed: str | None,
    owners: Sequence[str] = (),
    password: str = "",
) -> GrantsReport:
    """Return what is missing; `password` is a reference to that of the URL's user.

    Raises:
        click.UsageError: neither a URL nor an owner says whose tables are to be acted on.
        DatabaseError: the database cannot be looked at.
    """
    from homeostat.engine.grants import Standing  # noqa: PLC0415  # imports the drivers

    if url is None:
        if role == "act" and not owners:
            raise click.UsageError(
                "Only a table's owner may index it. Give the URL of the database, or --owner."
            )
        return _postgresql("", Standing(""), role, name, managed, owners)

    if not is_postgres_url(url):
        return _sqlite(url, role)
    from homeostat.engine import Target, open_engine  # noqa: PLC0415
    from homeostat.engine.grants import standing  # noqa: PLC0415

    engine = open_engine(Target(url, options={"password": password} if password else {}))
    try:
        return _postgresql(
            engine.identity().label, standing(engine.execute, name), role, name, managed, owners
        )
    finally:
        engine.close()


def _postgresql(
    label: str,
    at: Standing,
    role: str,
    name: str,
    managed: str | None,
    owners: Sequence[str],
) -> GrantsReport:
    from dataclasses import replace  # noqa: PLC0415

    from homeostat.engine.grants import grants as wanted  # noqa: PLC0415
    from homeostat.engine.grants import notes  # noqa: PLC0415

    at = replace(at, managed=managed or at.managed, owners=at.owners or tuple(owners))
    return GrantsReport(
        database=label,
        dialect="postgresql",
        role=role,
        name=name,
        superuser=at.superuser,
        managed=at.managed,
        statements=[_view(one) for one in wanted(role, name=name, standing=at)],
        files=[],
        notes=notes(role, standing=at, name=name),
    )


def _view(one: Grant) -> GrantView:
    return GrantView(sql=one.sql, why=one.why, optional=one.optional, where=one.where)


def _sqlite(url: str, role: str) -> GrantsReport:
    from homeostat.driver.urls import sqlite_path  # noqa: PLC0415
    from homeostat.engine.file_rights import file_rights, owner_of  # noqa: PLC0415

    path = sqlite_path(url)
    rights = file_rights(path, role)
    said = []
    if not all(one.held for one in rights):
        said.append(f"Run Homeostat as {owner_of(path)}, who owns the file.")
    return GrantsReport(
        database=path,
        dialect="sqlite",
        role=role,
        name="",
        superuser=False,
        managed="none",
        statements=[],
        files=[
            FileRightView(path=one.path, right=one.right, why=one.why, held=one.held)
            for one in rights
        ],
        notes=said,
    )


def lines_of(report: GrantsReport, screen: Screen) -> list[str]:
    """Return the report as SQL that psql takes, notes as comments; for SQLite as plain lines."""
    if report.dialect == "sqlite":
        held = {True: screen.paint("has", "green"), False: screen.paint("lacks", "red")}
        lines = [
            f"{held[one.held]} {one.right} {clean(one.path)}: {one.why}" for one in report.files
        ]
        return [*lines, *report.notes]
    needed = [one for one in report.statements if not one.optional and one.where == "database"]
    lines = [screen.paint(f"-- {clean(note)}", "dim") for note in report.notes]
    if not needed:
        lines.append(NOTHING)
    for one in needed:
        lines += [screen.paint(f"-- {one.why}", "dim"), one.sql]
    for one in report.statements:
        if one.optional:
            lines += [screen.paint(f"-- optional: {one.why}", "dim"), f"-- {one.sql}"]
        elif one.where != "database":
            lines += [screen.paint(f"-- on the {one.where}: {one.why}", "dim"), f"-- {one.sql}"]
    return lines
