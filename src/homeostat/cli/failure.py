"""How a command fails: one line on stderr, an exit code, and never a traceback by surprise.

HOMEOSTAT_DEBUG=1 shows the traceback. Otherwise that of an unexpected error is appended to
`cli.log` in the usual data directory (HOMEOSTAT_DATA, else the default).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

from homeostat.cli.text import clean
from homeostat.errors import HomeostatError

FAILED = 1
WRONG_USE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells say it
LOG_BYTES_MAX = 1_000_000


def guarded(command: Callable[[], int], *, debug: bool) -> int:
    """Run a command; return its exit code whatever happens.

    Args:
        command: what to run.
        debug: let unexpected and stated errors show their traceback too.
    """
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return FAILED
    except SystemExit as stop:  # click's answer to a reader that went away
        return stop.code if isinstance(stop.code, int) else FAILED
    except Exception as error:  # noqa: BLE001  # the last line before the user
        if debug:
            sys.excepthook(type(error), error, error.__traceback__)
        return explain_failure(error)


def explain_failure(error: Exception) -> int:
    """Tell an error on stderr; return the usual exit code for it."""
    if isinstance(error, HomeostatError):
        _say(f"error: {error}")
        return FAILED
    import click  # noqa: PLC0415  # not needed on the way that goes well

    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        sys.stderr.write(f"{error.format_message()}\n")
        return WRONG_USE
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "homeostat"
        _say(f"error: {error.format_message()} Try `{path} --help`.")
        return WRONG_USE
    if isinstance(error, click.ClickException):
        _say(f"error: {error.format_message()}")
        return FAILED
    _say(f"error: this should not have happened: {type(error).__name__}: {error}")
    _say(f"next: {_keep(error)}")
    return FAILED


def _keep(error: Exception) -> str:
    """Append the traceback to cli.log; return where to look."""
    import traceback  # noqa: PLC0415  # 12 ms, for what should not happen

    from homeostat.config import data_directory  # noqa: PLC0415

    log = data_directory() / "cli.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        number = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(number, "a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)) + "\n")
    except OSError:
        return "run it again with HOMEOSTAT_DEBUG=1 to see where"
    return f"the details are in {log}; report them with what you did"


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(clean(line), file=sys.stderr)


def _close_quietly() -> None:
    """Give stdout somewhere to flush to at exit, now that its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
