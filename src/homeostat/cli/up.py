"""`homeostat up`: run the operator on a database until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from homeostat.cli.address import ask_password, refuse_secrets
from homeostat.cli.options import data_option, examples, json_option, print_json
from homeostat.cli.shapes import Started
from homeostat.config import data_directory

if TYPE_CHECKING:
    from homeostat.config import Config
    from homeostat.main import Running


@examples(
    "homeostat up /srv/shop/shop.db",
    "homeostat up postgresql://homeostat@db.example/shop --password",
    "homeostat up",
    "homeostat up --autonomy approve --json",
)
@click.command()
@click.argument("urls", nargs=-1)
@data_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where the page and the API are, on 127.0.0.1. Without it: the one used before, else a "
    "free one.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="A homeostat.toml; docs/reference/config.md lists its settings.",
)
@click.option(
    "--autonomy",
    type=click.Choice(["observe", "approve", "auto"]),
    help="What remedies may do: be proposed only, wait for you, or be applied. Without it: as "
    "configured, else observe.",
)
@click.option("--password", is_flag=True, help="Ask for the database's password on the terminal.")
@json_option
@click.pass_context
def up(
    ctx: click.Context,
    urls: tuple[str, ...],
    data: str | None,
    port: int | None,
    config: str | None,
    autonomy: str | None,
    password: bool,  # noqa: FBT001  # click calls it so
    as_json: bool,  # noqa: FBT001
) -> None:
    """Observe the databases at URLS and mend what it is allowed to.

    A URL is the path of an SQLite file or postgresql://user@host:port/name, without a password.
    Observing needs no configuration and changes nothing in the database. Without a URL: the
    databases that homeostat.toml names.
    """
    for url in urls:
        refuse_secrets(url)
    if password:
        ask_password(*urls)
    from homeostat.main import introduction, run_operator  # noqa: PLC0415  # the whole operator

    def told(running: Running, directory: Path, settings: Config) -> list[str]:
        if not as_json:
            return introduction(running, directory, settings, file=config)
        status = running.console.status()
        print_json(Started(page=running.new_link(), data=str(directory), status=status))
        return []

    ctx.exit(
        run_operator(
            urls=urls,
            data=data_directory(data),
            port=port,
            config=config,
            autonomy=autonomy,
            introduce=told,
        )
    )
