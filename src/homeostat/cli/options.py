"""What the commands share: --data and --json, and whom to ask: the operator or its logbook."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from homeostat.cli.client import Client
from homeostat.cli.place import locate
from homeostat.cli.text import Screen, emit
from homeostat.errors import OperatorUnreachableError

if TYPE_CHECKING:
    from homeostat.cli.book import Book

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=click.Command)

data_option: Callable[[F], F] = click.option(
    "--data",
    envvar="HOMEOSTAT_DATA",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where the operator keeps its memory (also HOMEOSTAT_DATA). Without it: the operator "
    "that runs, else ~/.local/share/homeostat/default.",
)
only_option: Callable[[F], F] = click.option(
    "--database", metavar="DATABASE", help="Only of this one (key or part of its label)."
)
json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON as docs/reference/json.md states it."
)


def examples(*lines: str) -> Callable[[C], C]:
    """Return what puts examples at the end of a command's help, one command line each."""

    def give(command: C) -> C:
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
        return command

    return give


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers, and what to say about it first (empty for the operator itself)."""

    source: Client | Book
    note: str


@contextmanager
def answering(data: Path, screen: Screen) -> Iterator[Answering]:
    """Yield the running operator, or its logbook when it does not answer.

    Raises:
        OperatorUnreachableError: neither is there.
        LogbookError: the logbook cannot be read.
    """
    try:
        client = Client(data)
        client.ping()
    except OperatorUnreachableError as why:
        unreachable = why
    else:
        yield Answering(client, "")
        return
    from homeostat.cli.book import open_book  # noqa: PLC0415  # the driver costs 40 ms

    with open_book(data, unreachable) as book:
        as_of = book.as_of
        since = "never written to" if as_of is None else f"as of {screen.when(as_of)}"
        said = "operator does not answer" if unreachable.detail else "operator not running"
        yield Answering(book, f"{said}; this is what the logbook says, {since}")


def deciding(data: Path) -> Client:
    """Return the running operator: nobody else may decide.

    Raises:
        OperatorUnreachableError: it does not answer; says how to start it, then decide again.
    """
    try:
        client = Client(data)
        client.ping()
    except OperatorUnreachableError as why:
        message = f"{why.message} Only a running operator decides; nothing was changed."
        raise OperatorUnreachableError(
            f"{message}{_how(data)}", where=why.where, detail=why.detail
        ) from None
    return client


def suffix_of(given: str | None) -> str:
    """Return what commands shown to the user need appended to mean the same operator."""
    if not given or os.environ.get("HOMEOSTAT_DATA") == given:
        return ""
    return f" --data {shlex.quote(given)}"


def place(given: str | None) -> Path:
    """Return the data directory that a command is about."""
    return locate(given)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    emit([msgspec.json.format(msgspec.json.encode(value), indent=2).decode()])


def _how(data: Path) -> str:
    """Return how to start the operator that this logbook belongs to, if it says so."""
    from homeostat.cli.book import open_book  # noqa: PLC0415  # the driver costs 40 ms
    from homeostat.errors import HomeostatError  # noqa: PLC0415

    try:
        with open_book(data, OperatorUnreachableError()) as book:
            return f" Run `{book.status().next_command}`, then this again."
    except HomeostatError:
        return ""
