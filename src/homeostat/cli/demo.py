"""`homeostat demo`: a sample application, its traffic and its troubles, and the operator."""

from __future__ import annotations

import click

from homeostat.cli.address import refuse_secrets
from homeostat.cli.options import data_option, examples, json_option, print_json
from homeostat.cli.shapes import Started
from homeostat.config import data_directory
from homeostat.operate.views import Status


@examples(
    "homeostat demo",
    "homeostat demo --users 10000 --trouble idle-holders",
    "homeostat demo --engine postgresql --url postgresql://me@localhost/empty",
)
@click.command()
@click.option(
    "--users",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    help="How many it has.",
)
@click.option(
    "--engine",
    type=click.Choice(["sqlite", "postgresql"]),
    default="sqlite",
    show_default=True,
    help="What keeps the sample application's data.",
)
@click.option(
    "--url",
    help="An empty PostgreSQL database, or one of an earlier demo, without a password; anything "
    "else is refused.",
)
@data_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where the page is, on 127.0.0.1. Without it: the one used before, else a free one.",
)
@click.option("--no-traffic", is_flag=True, help="Start no traffic, so no trouble either.")
@click.option("--trouble", metavar="NAME", help="Only this trouble instead of the whole story.")
@click.option("--quiet", is_flag=True, help="Print the sign-in link and errors only.")
@json_option
@click.pass_context
def demo(
    ctx: click.Context,
    users: int,
    engine: str,
    url: str | None,
    data: str | None,
    port: int | None,
    no_traffic: bool,  # noqa: FBT001  # click calls it so
    trouble: str | None,
    quiet: bool,  # noqa: FBT001  # click calls it so
    as_json: bool,  # noqa: FBT001
) -> None:
    """Watch it work: a sample application gets into trouble and is mended, in two minutes."""
    if url is not None:
        refuse_secrets(url)
    from homeostat.sample.demo import run_demo  # noqa: PLC0415  # the whole operator

    directory = data_directory(data, name="demo")

    def announce(page: str, status: Status) -> None:
        print_json(Started(page=page, data=str(directory), status=status))

    ctx.exit(
        run_demo(
            users=users,
            engine=engine,
            url=url,
            data=directory,
            port=port,
            traffic=not no_traffic,
            trouble=trouble,
            quiet=quiet or as_json,
            **({"announce": announce} if as_json else {}),
        )
    )
