"""`homeostat link` and `token`: who else may look at the operator and decide, and in which role."""

from __future__ import annotations

import sys

import click

from homeostat.cli import complete
from homeostat.cli.group import Group
from homeostat.cli.options import data_option, deciding, examples, json_option, place, print_json
from homeostat.cli.shapes import SignInLink
from homeostat.cli.text import Screen, clean, emit

PEOPLE = click.Choice(["viewer", "operator", "admin"])
ALL = click.Choice(["agent", "viewer", "operator", "admin"])


@examples("homeostat link", "homeostat link --role viewer --name alice")
@click.command()
@click.option("--name", default="page", help="Who it is for; the audit log calls them so.")
@click.option(
    "--role",
    type=PEOPLE,
    default="admin",
    show_default=True,
    help="viewer: read; operator: also decide, pause and resume; admin: everything.",
)
@data_option
@json_option
def link(name: str, role: str, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Print a new sign-in link for the page; it is good once."""
    url = deciding(place(data)).link(name=name, role=role)
    if as_json:
        print_json(SignInLink(url=url, name=name, role=role))
        return
    emit([url])


@examples("homeostat token create nagios --role viewer", "homeostat token list")
@click.group(cls=Group)
def token() -> None:
    """Give programs and applications of others a token of their own, and take it back."""


@examples(
    "homeostat token create nagios --role viewer",
    "homeostat token create shop --role agent --days 90 --json",
)
@token.command("create")
@click.argument("name")
@click.option(
    "--role",
    type=ALL,
    required=True,
    help="agent: report for an application; viewer: read; operator: also decide, pause and resume; "
    "admin: everything.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True, max=3660), help="Ends then.")
@data_option
@json_option
def create(name: str, role: str, days: float | None, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Make a token called NAME and print it; it is shown this once."""
    made = deciding(place(data)).create_token(name, role, days=days)
    if as_json:
        print_json(made)
        return
    emit([made.token or ""])
    sys.stderr.write("shown once; send it as `Authorization: Bearer`, or set HOMEOSTAT_TOKEN\n")


@examples("homeostat token list")
@token.command("list")
@data_option
@json_option
def list_(data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """List the tokens that are good."""
    found = deciding(place(data)).tokens()
    if as_json:
        print_json(found)
        return
    screen = Screen.of(sys.stdout)
    lines = [
        f"{clean(one.name):32} {one.role:9} made {screen.when(one.created)}"
        + ("" if one.expires is None else f", ends {screen.when(one.expires)}")
        for one in found
    ]
    emit(lines or ["no named token; the operator's own is in its data directory"])


@examples("homeostat token revoke nagios")
@token.command("revoke")
@click.argument("name", shell_complete=complete.tokens)
@data_option
@json_option
def revoke(name: str, data: str | None, as_json: bool) -> None:  # noqa: FBT001
    """End the token called NAME at once."""
    gone = deciding(place(data)).revoke_token(name)
    if as_json:
        print_json(gone)
        return
    emit([f"revoked {clean(gone.name)}: it no longer opens anything"])
