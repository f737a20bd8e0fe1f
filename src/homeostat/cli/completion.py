"""`homeostat completion`: what makes a shell complete commands, options, and names at TAB."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from homeostat.cli.options import examples, json_option, print_json
from homeostat.cli.shapes import CompletionScript
from homeostat.cli.text import emit

PROGRAM = "homeostat"
VARIABLE = "_HOMEOSTAT_COMPLETE"


@examples(
    'eval "$(homeostat completion bash)"',
    "homeostat completion bash > ~/.local/share/bash-completion/completions/homeostat",
    "homeostat completion zsh > ~/.zfunc/_homeostat",
    "homeostat completion fish > ~/.config/fish/completions/homeostat.fish",
)
@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:  # noqa: FBT001  # click calls it so
    """Print the script that lets SHELL complete homeostat's commands, options and names.

    At TAB it also offers the databases, remedies, findings and clones that the operator knows.
    """
    from homeostat.cli.root import root  # noqa: PLC0415  # which imports this

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"No completion is known for {shell}. Use bash, zsh or fish.")
    script = kind(root, {}, PROGRAM, VARIABLE).source()
    if as_json:
        print_json(CompletionScript(shell=shell, script=script))
        return
    emit([script.rstrip("\n")])
