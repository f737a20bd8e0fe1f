"""`homeostat check`: look at a database once, and say what hurts and how to mend it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from homeostat.check.report import Finding, Report
from homeostat.check.words import cost_words, evidence_words
from homeostat.cli.address import ask_password, refuse_secrets
from homeostat.cli.failure import explain_failure
from homeostat.cli.key import key_option, key_options, telling_of_key
from homeostat.cli.options import examples, json_option, print_json
from homeostat.cli.text import Screen, clean, counted, emit
from homeostat.cli.waiting import waiting

FOUND = 1
COULD_NOT = 2
COLOURS = {"critical": "red", "high": "red", "warning": "yellow", "info": "cyan"}


@examples(
    "homeostat check /srv/shop/shop.db",
    "homeostat check postgresql://you@db.example/shop",
    "homeostat check postgresql://you@db.example/shop --json",
    "homeostat check /srv/shop/shop.db --html report.html",
    "homeostat check /srv/shop/till.db --key-from file:/etc/homeostat/till.key",
)
@click.command()
@click.argument("url")
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the report as one HTML file, to be sent on.",
)
@json_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=3600),
    default=60.0,
    show_default=True,
    help="The longest it may take; most databases need a few.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="A homeostat.toml with other thresholds ([check], [monitor], [tune]).",
)
@key_option
@click.option("--password", is_flag=True, help="Ask for the database's password on the terminal.")
@click.pass_context
def check(
    ctx: click.Context,
    url: str,
    html: Path | None,
    as_json: bool,  # noqa: FBT001  # click calls it so
    seconds: float,
    config: str | None,
    key_from: str | None,
    password: bool,  # noqa: FBT001  # click calls it so
) -> None:
    """Look at the database at URL once: what hurts, why, and the SQL that mends it.

    URL is the path of an SQLite file or postgresql://user@host:port/name, without a password; a
    pooler may be in between. It only reads, needs no rights beyond connecting, leaves nothing
    behind, and uses at most 3 % of a core. What it could not see is listed with the grant that
    would show it.

    Exit codes: 0 healthy (nothing above info), 1 there are findings, 2 it could not look.
    """
    refuse_secrets(url)
    options = key_options(url, key_from)
    if password:
        ask_password(url)
    try:
        with waiting("looking"), telling_of_key(key_from):
            report = _looked(url, seconds=seconds, config=config, options=options)
        if html is not None:
            from homeostat.check.page import write_page  # noqa: PLC0415  # jinja2, only for this

            write_page(report, html)
    except Exception as error:  # noqa: BLE001  # exit code 1 means findings, so none leaves here
        explain_failure(error)
        ctx.exit(COULD_NOT)
    if as_json:
        print_json(report)
    else:
        emit(report_lines(report, Screen.of(sys.stdout)))
    ctx.exit(0 if report.healthy else FOUND)


def _looked(url: str, *, seconds: float, config: str | None, options: dict[str, str]) -> Report:
    from homeostat.check.database import DatabaseCheck  # noqa: PLC0415  # both drivers
    from homeostat.config import Config, load  # noqa: PLC0415

    settings = Config() if config is None else load(Path(config))
    return DatabaseCheck(settings).run(url, seconds=seconds, options=options)


def report_lines(report: Report, screen: Screen) -> list[str]:
    """Return a report as lines of text, the costliest finding first."""
    head = report.database
    lines = [screen.paint(screen.fit(f"{head.label} ({head.dialect} {head.version})"), "bold")]
    for place, one in enumerate(report.findings, start=1):
        lines += ["", *_finding_lines(place, one, screen)]
    if report.unseen:
        lines += ["", screen.paint("not seen", "bold")]
        for gap in report.unseen:
            lines += screen.wrap(f"{gap.what}: {gap.reason}", indent=2)
            lines.append(f"    to see it: {clean(gap.mend)}")
    lines += ["", _summary(report)]
    return lines


def _finding_lines(place: int, one: Finding, screen: Screen) -> list[str]:
    first, *rest = screen.wrap(f"{place}. {one.severity} {one.what}", indent=0, hanging=3)
    painted = screen.paint(str(one.severity), COLOURS[one.severity])
    evidence = ", ".join(f"{name} {value}" for name, value in evidence_words(one))
    told = {
        "where": f"{one.where} ({one.rule})",
        "cause": one.cause,
        "costs": cost_words(one.cost),
        "seen": evidence,
    }
    return [
        first.replace(str(one.severity), painted, 1),
        *rest,
        *(
            line
            for name, text in told.items()
            for line in screen.wrap(f"{name}: {text}", indent=3, hanging=10)
        ),
        *_mend_lines(one),
        *screen.wrap(f"risk of mending: {one.risk}", indent=3, hanging=10),
    ]


def _mend_lines(one: Finding) -> list[str]:
    """Return the mend uncut: it is there to be copied."""
    first, *rest = [clean(line) for line in one.mend_sql.splitlines()] or [""]
    return [f"   mend: {first}", *(f"         {line}" for line in rest)]


def _summary(report: Report) -> str:
    head = report.database
    found = counted(len(report.findings), "finding") if report.findings else "nothing found"
    if report.findings and report.healthy:
        found += ", none above info: healthy"
    unseen = f", {len(report.unseen)} not seen" if report.unseen else ""
    return (
        f"{found}{unseen}; {counted(head.checks, 'check')} in {head.seconds:.1f} s, "
        f"{head.busy_seconds:.2f} s of them in statements"
    )
