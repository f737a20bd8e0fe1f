"""The command line: shells around the operator's API, the logbook and the two long commands.

It decides nothing itself and never writes to a managed database or to the logbook. Only what a
command needs is imported, so that `homeostat status` answers at once.

Exit codes: 0 done, 1 an error, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from homeostat.cli.failure import guarded

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: the words after `homeostat`; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # a terminal that cannot show a letter is no failure
    code = guarded(lambda: _run(words), debug=bool(os.environ.get("HOMEOSTAT_DEBUG")))
    if code == 130:
        sys.stderr.write("\n")
    return code


def _run(words: list[str]) -> int:
    from homeostat.cli.root import root  # noqa: PLC0415  # click costs 60 ms: inside the guard

    _check_text(words)
    result = root.main(args=words, prog_name="homeostat", standalone_mode=False)
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _check_text(words: Sequence[str]) -> None:
    """Refuse what is no text: neither JSON nor a URL could hold it, so nothing is called so."""
    import click  # noqa: PLC0415  # see above

    given = {"HOMEOSTAT_DATA": os.environ.get("HOMEOSTAT_DATA", "")}
    given |= {f"argument {number}": word for number, word in enumerate(words, 1)}
    for what, text in given.items():
        if not _is_text(text):
            message = f"{what} holds bytes that are no UTF-8: {text!r}. Give it as text."
            raise click.UsageError(message)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
