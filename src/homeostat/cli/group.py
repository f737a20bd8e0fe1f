"""A group of commands whose help tells the whole first sentence of each."""

from __future__ import annotations

import click

SENTENCE_CHARACTERS = 1000  # more than any has: the formatter wraps it


class Group(click.Group):
    """As click's, which cuts sentences in the middle."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands, each with its sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(SENTENCE_CHARACTERS))
            for name, command in found
            if command is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
