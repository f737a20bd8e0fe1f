"""What holds for every command: its help teaches by examples, `--json` prints what it states."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from homeostat.cli.root import root
from homeostat.cli.shapes import PRINTS
from tests.test_docs import problem_with


def commands(
    command: click.Command = root, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its words, groups too."""
    yield " ".join(words), command
    if isinstance(command, click.Group):
        context = click.Context(command, **root.context_settings)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*words, name))


ALL = dict(commands())
LEAVES = {name: one for name, one in ALL.items() if not isinstance(one, click.Group)}


@pytest.mark.parametrize("name", ALL)
def test_help_has_examples_that_can_be_run(name: str) -> None:
    epilog = ALL[name].epilog or ""
    lines = [line.strip() for line in epilog.splitlines() if "homeostat" in line]
    assert lines, f"homeostat {name}: give it @examples(...)"
    for line in lines:
        ours = line.removeprefix('eval "$(').partition(" | ")[0].partition(" > ")[0].rstrip(')"')
        assert problem_with(ours) == "", line
        assert ours.startswith(f"homeostat {name}".rstrip()), line


@pytest.mark.parametrize("name", LEAVES)
def test_json_is_there_and_stated(name: str) -> None:
    options = {option for parameter in LEAVES[name].params for option in parameter.opts}
    assert "--json" in options
    assert name in PRINTS, "state its shape in cli/shapes.py"


def test_nothing_is_stated_of_a_command_that_is_not_there() -> None:
    assert set(PRINTS) <= set(LEAVES)
