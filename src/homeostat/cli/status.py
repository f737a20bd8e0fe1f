"""`homeostat status`: everything at a glance."""

from __future__ import annotations

import sys

import click

from homeostat.cli.options import (
    answering,
    data_option,
    examples,
    json_option,
    place,
    print_json,
    suffix_of,
)
from homeostat.cli.render import ranked, status_lines
from homeostat.cli.shapes import StatusReport, report_of
from homeostat.cli.text import Screen, emit


@examples(
    "homeostat status",
    "homeostat status --json",
    "homeostat status --data /var/lib/homeostat",
)
@click.command()
@data_option
@json_option
def status(data: str | None, as_json: bool) -> None:  # noqa: FBT001  # click calls it so
    """Show the state, latency against the promise, what was healed and what waits for you."""
    screen = Screen.of(sys.stdout)
    with answering(place(data), screen) as answer:
        found = answer.source.status()
        findings = answer.source.findings()
        if as_json:
            report: StatusReport = report_of(found, ranked(findings), note=answer.note)
            print_json(report)
            return
        lines = status_lines(found, findings, screen, note=answer.note, suffix=suffix_of(data))
    emit(lines)
