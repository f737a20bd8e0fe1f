"""The tree of commands. Each is imported when it is called, so that every one starts at once."""

from __future__ import annotations

from importlib import import_module

import click

from homeostat.cli.group import Group
from homeostat.cli.options import examples

COMMANDS = {
    "demo": "homeostat.cli.demo:demo",
    "init": "homeostat.cli.init:init",
    "grants": "homeostat.cli.grants:grants",
    "up": "homeostat.cli.up:up",
    "check": "homeostat.cli.check:check",
    "status": "homeostat.cli.status:status",
    "report": "homeostat.cli.report:report",
    "explain": "homeostat.cli.explain:explain",
    "remedy": "homeostat.cli.remedy:remedy",
    "clone": "homeostat.cli.clone:clone",
    "pause": "homeostat.cli.control:pause",
    "resume": "homeostat.cli.control:resume",
    "detach": "homeostat.cli.control:detach",
    "link": "homeostat.cli.sign_in:link",
    "token": "homeostat.cli.sign_in:token",
    "completion": "homeostat.cli.completion:completion",
}


class LazyGroup(Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of first use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None: there is none of this name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]} is no command")
        return command


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  # click calls it so
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version  # noqa: PLC0415  # 40 ms, for this option alone

    click.echo(f"homeostat {version('homeostat')}")
    ctx.exit()


@examples(
    "homeostat demo",
    "homeostat check /srv/shop/shop.db",
    "homeostat init postgresql://homeostat@db.example/shop",
    "homeostat up",
)
@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
def root() -> None:
    """Find what hurts in a SQLite or PostgreSQL database, fix it, and undo what did not help.

    Start with `homeostat demo`, or with `homeostat up URL` for a database of yours; it is only
    observed until you allow more.
    """
