"""`homeostat init`: look at a database, ask little, and write a commented homeostat.toml.

The database is only read. A password is asked for unseen, or given as a reference; it stands in no
command line and not in the file.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from homeostat.cli import config_file
from homeostat.cli.address import HOW, refuse_for_files, refuse_secrets
from homeostat.cli.config_text import name_of, new_text
from homeostat.cli.grants import grants_of
from homeostat.cli.key import key_option, key_options, telling_of_key
from homeostat.cli.options import data_option, examples, json_option, print_json, suffix_of
from homeostat.cli.shapes import GrantsReport, InitReport
from homeostat.cli.text import Screen, clean, counted, emit
from homeostat.config import MonitorConfig, data_directory
from homeostat.errors import AuthenticationError
from homeostat.measure import size_text
from homeostat.secret import Secret

if TYPE_CHECKING:
    from homeostat.engine.first_look import FirstLook

CONFIG_FILE = "homeostat.toml"
ACT_LINE = 'autonomy = "auto"'


@dataclass(slots=True)
class Asking:
    """Whom to ask: a person on a terminal, or nobody."""

    person: bool

    def text(self, question: str, default: str) -> str:
        """Return the answer, the default if nobody is there."""
        if not self.person:
            return default
        answer: str = click.prompt(question, default=default, err=True)
        return answer.strip()

    def password(self, where: str) -> str:
        """Return a password that was typed unseen.

        Raises:
            click.UsageError: nobody can be asked.
        """
        if not self.person:
            raise click.UsageError(
                f"{where} wants a password. Give --password-from env:NAME, file:PATH, "
                f"command:PROGRAM or pgpass. {HOW}"
            )
        answer: str = click.prompt("Password (not shown)", hide_input=True, err=True)
        return answer


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the database gave, and how it could be reached.

    Attributes:
        url: with the whole path of a file.
        secret: a reference to the password, or to the key of a file; empty: none is needed, or
            libpq finds it.
        typed: the password that a person typed; empty: nobody did.
    """

    url: str
    look: FirstLook
    secret: str
    typed: str


@examples(
    "homeostat init /srv/shop/shop.db",
    "homeostat init postgresql://homeostat@db.example/shop",
    "homeostat init --yes --password-from env:SHOP_PASSWORD postgresql://homeostat@db.example/shop",
    "homeostat init --add --name till /srv/till/till.db",
)
@click.command()
@click.argument("url", required=False)
@data_option
@click.option("--name", help="What people call the database. Without it: after its file or name.")
@click.option(
    "--promise-ms",
    type=click.FloatRange(min=0, min_open=True),
    help="The p99 that its operations are to keep, in milliseconds. Without it: 50.",
)
@click.option(
    "--password-from",
    metavar="REFERENCE",
    help="Where its password is: env:NAME, file:PATH, command:PROGRAM or pgpass.",
)
@key_option
@click.option("--add", is_flag=True, help="Add the database to a homeostat.toml that is there.")
@click.option(
    "--replace", is_flag=True, help="Write a homeostat.toml that is there anew; the old is kept."
)
@click.option("--yes", is_flag=True, help="Ask nothing and take the defaults.")
@json_option
def init(
    url: str | None,
    data: str | None,
    name: str | None,
    promise_ms: float | None,
    password_from: str | None,
    key_from: str | None,
    add: bool,  # noqa: FBT001  # click calls it so
    replace: bool,  # noqa: FBT001
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Look at the database at URL and write a commented homeostat.toml for it.

    The database is only read, and will only be observed until you change one line. On a terminal
    it asks for what it cannot know; without one, or with --yes, it takes the defaults. A
    homeostat.toml that is there is left alone unless you say --add or --replace.
    """
    if add and replace:
        raise click.UsageError("--add keeps the file and --replace does not. Give one of them.")
    asking = Asking(person=not (yes or as_json) and sys.stdin.isatty())
    url = url or asking.text("Path or URL of the database", "")
    if not url:
        raise click.UsageError("Give the path or URL of a database.")
    refuse_secrets(url)
    if password_from is not None:
        refuse_for_files("--password-from", url)
    path = data_directory(data) / CONFIG_FILE
    if not (add or replace):
        config_file.refuse_existing(path)
    key = key_options(url, key_from)
    with telling_of_key(key_from):
        seen = _look(url, password_from, key, asking)
    said = name or asking.text("What do people call it", name_of(seen.url))
    promise = promise_ms
    if promise is None and not add:
        usual = MonitorConfig().promise_ms
        promise = _number(asking.text("Promised p99 of its operations, ms", f"{usual:g}"))
    report = _write(path, seen, name=name_of(said), promise_ms=promise, add=add, replace=replace)
    report = msgspec.structs.replace(report, next_command=f"homeostat up{suffix_of(data)}")
    if as_json:
        print_json(report)
        return
    emit(_lines(report, Screen.of(sys.stdout)))


def _number(answer: str) -> float:
    try:
        value = float(answer)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise click.UsageError(f"{clean(answer)} is no number of milliseconds above 0. Try again.")
    return value


def _look(url: str, password_from: str | None, key: dict[str, str], asking: Asking) -> Seen:
    """Look at the database; a password that it wants is asked for."""
    from homeostat.engine import Target, open_engine  # noqa: PLC0415  # the drivers
    from homeostat.engine.first_look import first_look  # noqa: PLC0415

    reference = "" if password_from is None else Secret.parse(password_from).reference
    if not reference and os.environ.get("PGPASSWORD"):
        reference = "env:PGPASSWORD"
    typed = ""
    while True:
        options = {**key, **({"password": reference} if reference else {})}
        try:
            engine = open_engine(Target(url, options=options))
            break
        except AuthenticationError as error:
            if password_from is not None or typed or not asking.person:
                raise
            typed = asking.password(error.where)
            reference, os.environ["PGPASSWORD"] = "", typed  # of this process alone
    try:
        look = first_look(engine)
    finally:
        engine.close()
    if look.dialect == "sqlite":
        return Seen(look.label, look, options.get("key", ""), "")
    return Seen(url, look, reference, typed)


def _write(
    path: Path, seen: Seen, *, name: str, promise_ms: float | None, add: bool, replace: bool
) -> InitReport:
    """Write the file, and the password's beside it; return what to tell."""
    missing = grants_of(
        seen.url,
        role="monitor",
        name=seen.look.role,
        managed=None,
        password=seen.secret if seen.look.dialect == "postgresql" else "",
    )
    reference, kept = seen.secret, None
    if seen.typed:
        reference = config_file.keep_secret(path.parent, name, seen.typed)
    promise = promise_ms or MonitorConfig().promise_ms
    text = new_text(name, url=seen.url, secret=reference, promise_ms=promise)
    try:
        if add:
            config_file.add_database(path, name, url=seen.url, secret=reference)
        elif replace:
            kept = config_file.write_over(path, text)
        else:
            config_file.write_new(path, text)
    except BaseException:
        if seen.typed:
            Path(reference.removeprefix("file:")).unlink()
        raise
    look = seen.look
    return InitReport(
        file=str(path),
        kept=None if kept is None else str(kept),
        name=name,
        url=seen.url,
        password=reference if look.dialect == "postgresql" else "",
        key=reference if look.dialect == "sqlite" else "",
        dialect=look.dialect,
        version=look.version,
        bytes=look.bytes,
        tables=look.tables,
        role=look.role,
        note=look.note,
        act_line=ACT_LINE,
        act_section=f"databases.{name}" if add else "operate",
        grants=missing,
        next_command="homeostat up",
    )


def _lines(report: InitReport, screen: Screen) -> list[str]:
    engine = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[report.dialect]
    size = size_text(report.bytes)
    seen = f"found {engine} {report.version}: {size}, {counted(report.tables, 'table')}"
    lines = [seen + (f", as {clean(report.role)}" if report.role else "")]
    if report.note:
        lines.append(report.note)
    if report.kept:
        lines.append(f"kept the old file as {report.kept}")
    lines.append(f"wrote {report.file} for {report.name}")
    for what, reference in (("password", report.password), ("key", report.key)):
        if reference:
            lines.append(f"its {what} comes from {reference}")
    to_act = f"to let it act, change one line there, below [{report.act_section}]:"
    lines += [
        f"it will observe and change nothing; {to_act}",
        screen.paint(f"  {report.act_line}", "bold"),
        '  ("approve" instead of "auto": it asks first)',
    ]
    lines += _grant_lines(report.grants)
    return [*lines, f"next: {report.next_command}"]


def _grant_lines(report: GrantsReport) -> list[str]:
    """Return what to grant so that everything is seen; nothing, if nothing is missing."""
    lacking = [one for one in report.files if not one.held]
    lines = [f"lacking: {one.right} {clean(one.path)}, {one.why}" for one in lacking]
    needed = [one for one in report.statements if not one.optional]
    if needed:
        lines.append("to let it see everything, run:")
        lines += [f"  {one.sql}" for one in needed]
    return [*lines, *(report.notes if needed or lacking or report.superuser else [])]
