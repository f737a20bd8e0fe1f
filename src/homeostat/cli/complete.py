"""What a shell offers at TAB for a value: databases, remedies, clones and statements by name.

It asks the operator, or else its logbook, and says nothing when neither answers: a shell that
completes must not print errors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from homeostat.cli.options import answering, deciding, place
from homeostat.cli.text import Screen, clean, shorten

if TYPE_CHECKING:
    from homeostat.cli.book import Book
    from homeostat.cli.client import Client

HELP_CHARACTERS_MAX = 60
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Named = tuple[str, str]  # value, help


def _offered(ask: Callable[[click.Context], Iterable[Named]]) -> Complete:
    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        del parameter
        try:
            found = list(ask(ctx))
        except Exception:  # noqa: BLE001  # nothing may come between a person and the line
            return []
        return [
            CompletionItem(clean(value), help=shorten(told, HELP_CHARACTERS_MAX))
            for value, told in found
            if value.startswith(incomplete)
        ]

    return complete


def _answers(ctx: click.Context, ask: Callable[[Client | Book], list[Named]]) -> list[Named]:
    with answering(place(ctx.params.get("data")), Screen.of(sys.stdout)) as answer:
        return ask(answer.source)


def _databases(ctx: click.Context) -> Iterable[Named]:
    return _answers(
        ctx, lambda source: [(one.label, one.state) for one in source.status().databases]
    )


def _remedies(ctx: click.Context) -> Iterable[Named]:
    return _answers(
        ctx,
        lambda source: [(str(one.id), f"{one.state}: {one.title}") for one in source.remedies()],
    )


def _waiting(ctx: click.Context) -> Iterable[Named]:
    return _answers(
        ctx,
        lambda source: [
            (str(one.id), one.title) for one in source.remedies() if one.state == "waiting"
        ],
    )


def _findings(ctx: click.Context) -> Iterable[Named]:
    return _answers(
        ctx,
        lambda source: [
            (str(one.id), one.what) for one in source.findings() if one.kind == "statement"
        ],
    )


def _clones(ctx: click.Context) -> Iterable[Named]:
    found = deciding(place(ctx.params.get("data"))).clones()
    return [(one.name, f"of {one.label}") for one in found]


def _tokens(ctx: click.Context) -> Iterable[Named]:
    found = deciding(place(ctx.params.get("data"))).tokens()
    return [(one.name, one.role) for one in found]


databases = _offered(_databases)
remedies = _offered(_remedies)
waiting = _offered(_waiting)
findings = _offered(_findings)
clones = _offered(_clones)
tokens = _offered(_tokens)
