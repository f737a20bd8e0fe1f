"""Write docs/reference from the code: settings, commands, metrics, findings, remedies, errors.

    python -m scripts.reference            # write the pages
    python -m scripts.reference --check    # change nothing, exit 1 when a page is out of date

Whatever is registered appears, so nothing can be left undocumented; a setting without a
description stops the generator. docs/reference/vision.md is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from homeostat import config, errors
from homeostat.check import report as check_report
from homeostat.check.registry import CHECKS
from homeostat.cli import shapes as shapes_of_commands
from homeostat.cli.root import root
from homeostat.logbook import rows
from homeostat.main import rooms
from homeostat.operate import agents, views
from homeostat.operate.own_findings import HELP
from homeostat.operate.room import Room
from homeostat.web.api import ROUTES, ApiRoute
from homeostat.web.api import shapes as shapes_of_api
from homeostat.web.api.openapi import encoded
from homeostat.web.guard import status_of

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `python -m scripts.reference`; do not edit by hand. -->"
TERMINAL_WIDTH = 80
UNITS = {
    "seconds": "s",
    "ms": "ms",
    "hours": "h",
    "days": "days",
    "bytes": "bytes",
    "share": "0 to 1",
    "ticks": "ticks",
}

ENVIRONMENT = {
    "HOMEOSTAT_URL": "For an agent: the operator's address, when its files cannot be read.",
    "HOMEOSTAT_TOKEN": "For an agent: the operator's token, together with `HOMEOSTAT_URL`.",
    "HOMEOSTAT_DATA": "Directory of the operator's memory; `--data` wins over it.",
    "HOMEOSTAT_DEBUG": "Any value: errors of the command line come with their traceback.",
}


class GeneratorError(Exception):
    """The code lacks something that the reference needs; the message names it."""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    all_lines = [head, ["---"] * len(head), *lines]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |\n"
        for line in all_lines
    )


def page(title: str, intro: str, *parts: str) -> str:
    """Return a whole page."""
    return "\n".join([f"{NOTE}\n", f"# {title}\n", f"{intro}\n", *parts])


def all_rooms() -> Sequence[Room]:
    """Return every room with the default configuration."""
    return rooms(config.Config())


# -- settings


def _type_text(annotation: object) -> str:
    """Return a type for people: `number > 0`, `"a" or "b"`."""
    if get_origin(annotation) is Annotated:
        base, *notes = get_args(annotation)
        bounds = [
            f"{sign} {value:g}"
            for note in notes
            if isinstance(note, msgspec.Meta)
            for sign, value in ((">", note.gt), (">=", note.ge), ("<=", note.le))
            if value is not None
        ]
        return " ".join([_type_text(base), " and ".join(bounds)]).strip()
    if get_origin(annotation) in {Union, UnionType}:
        return _type_text(next(one for one in get_args(annotation) if one is not NoneType))
    if get_origin(annotation) is Literal:
        return " or ".join(f'"{word}"' for word in get_args(annotation))
    if get_origin(annotation) is dict:
        return f"table of {_type_text(get_args(annotation)[1])}"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    if isinstance(annotation, type) and annotation in names:
        return names[annotation]
    raise GeneratorError(f"scripts/reference.py has no words for the type {annotation}")


def _setting(section: str, field: msgspec.structs.FieldInfo, annotation: object) -> list[str]:
    notes = [note for note in get_args(annotation)[1:] if isinstance(note, msgspec.Meta)]
    about = next((note.description for note in notes if note.description), None)
    if not about:
        raise GeneratorError(f"the setting {section}.{field.name} has no description")
    shown = "required"
    if not field.required:
        default = field.default
        if default is msgspec.NODEFAULT:
            default = field.default_factory()
        shown = f"`{msgspec.json.encode(default).decode()}`"
    unit = next((UNITS[word] for word in reversed(field.name.split("_")) if word in UNITS), "")
    return [f"`{field.name}`", _type_text(annotation), unit, shown, about]


def config_page() -> str:
    """Return the page of settings."""
    parts = []
    for section in msgspec.structs.fields(config.Config):
        struct, title = type(section.default), f"[{section.name}]"
        if section.default_factory is dict:
            struct = get_args(get_type_hints(config.Config)[section.name])[1]
            title = f"[{section.name}.NAME]"
        hints = get_type_hints(struct, include_extras=True)
        lines = [
            _setting(section.name, field, hints[field.name])
            for field in msgspec.structs.fields(struct)
        ]
        about = inspect.cleandoc(struct.__doc__ or "")
        head = ["setting", "type", "unit", "default", "what it does"]
        parts.append(f"## `{title}`\n\n{about}\n\n{table(head, lines)}")
    if environment_names() != set(ENVIRONMENT):
        strange = sorted(environment_names() ^ set(ENVIRONMENT))
        raise GeneratorError(f"ENVIRONMENT and the source differ in {strange}")
    lines = [[f"`{name}`", text] for name, text in sorted(ENVIRONMENT.items())]
    parts.append(f"## Environment\n\n{table(['variable', 'what it does'], lines)}")
    intro = (
        "Settings are read from `homeostat.toml` in the data directory, or from the file given with"
        "\n`--config`. All have defaults; none has to be set. An unknown name is refused and "
        "named.\n\n"
        '```toml\n[monitor]\npromise_ms = 20.0\n\n[operate]\nautonomy = "approve"\n```'
    )
    return page("Settings", intro, *parts)


def environment_names() -> set[str]:
    """Return the environment variables of our own that the source names."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^HOMEOSTAT_[A-Z_]+$", node.value))
    return found


# -- commands


def _commands(command: click.Command, words: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield every command's full name and help, depth first."""
    context = click.Context(  # as the program itself makes it: click keeps the help option it made
        command,
        info_name=" ".join(words),
        terminal_width=TERMINAL_WIDTH,
        **root.context_settings,
    )
    if not (command.help or command.short_help):
        raise GeneratorError(f"the command {' '.join(words)} has no help")
    yield " ".join(words), command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _commands(inner, [*words, name])


def cli_page() -> str:
    """Return the page of commands."""
    parts = []
    for name, text in _commands(root, ["homeostat"]):
        parts.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
    intro = "Exit codes: 0 done, 1 an error, 2 wrong use, 130 interrupted."
    return page("Commands", intro, *parts)


# -- the loop


def metrics_page() -> str:
    """Return the page of metrics."""
    parts = []
    sources = [("agents", agents.METRICS), *((room.name, room.metrics) for room in all_rooms())]
    for name, metrics in sources:
        lines = [
            [f"`{m.name}`", m.unit, m.kind.value, m.bad.value, str(m.max_series), m.help]
            for m in sorted(metrics, key=lambda m: m.name)
        ]
        if lines:
            head = ["metric", "unit", "kind", "hurts", "series", "what it is"]
            parts.append(f"## {name}\n\n{table(head, lines)}")
    intro = (
        "What is measured, by where it comes from: reported by agents inside applications, or read "
        "by a\nroom's probes. *hurts* is the direction that is bad, *series* how many subjects may "
        "carry the metric.\nA reading that cannot be made is unknown with its reason, never 0."
    )
    return page("Metrics", intro, *parts)


def findings_page() -> str:
    """Return the page of findings."""
    lines = [
        [f"`{rule.name}`", room.name, rule.after, str(rule.clear_ticks), rule.help]
        for room in all_rooms()
        for rule in room.rules
    ]
    lines += [[f"`{name}`", "operate", "", "", text] for name, text in HELP.items()]
    head = ["finding", "room", "judged after", "clears after", "what it means and what to do"]
    intro = (
        "What Homeostat can find. A finding opens when its rule says so after a tick of a probe, "
        "and clears\nafter so many quiet ticks."
    )
    return page("Findings", intro, table(head, sorted(lines)))


def checks_page() -> str:
    """Return the page of checks."""
    parts = []
    for dialect, title in (("postgresql", "PostgreSQL"), ("sqlite", "SQLite")):
        lines = [
            [f"`{one.rule}`", one.sees, one.help]
            for one in sorted(CHECKS, key=lambda one: one.rule)
            if one.dialect == dialect
        ]
        head = ["rule", "looks at", "what it means and what to do"]
        parts.append(f"## {title}\n\n{table(head, lines)}")
    intro = (
        "What [`homeostat check`](../how-to/check-a-database.md) looks for. Thresholds are in\n"
        "[`[check]`](config.md#check), [`[monitor]`](config.md#monitor) and "
        "[`[tune]`](config.md#tune)."
    )
    return page("Checks", intro, *parts)


def remedies_page() -> str:
    """Return the page of remedies."""
    parts = []
    for room in all_rooms():
        for remedy in room.remedies:
            facts = [
                ["mends", ", ".join(f"`{name}`" for name in remedy.rules)],
                ["undo", remedy.undo],
                ["rehearsal", f"{remedy.rehearsal}: {remedy.rehearsal_reason}"],
                ["room", room.name],
            ]
            body = table(["", ""], facts)
            parts.append(f"## `{remedy.key}`\n\n{remedy.help}\n\n{body}")
    intro = (
        "What Homeostat can do about findings. What a remedy may do by itself is set in\n"
        "[`[operate]`](config.md#operate): `observe` (the default), `approve` or `auto`."
    )
    return page("Remedies", intro, *parts)


# -- for programs and for people in trouble


def _type_name(annotation: object) -> str:
    """Return a type as it is written, without the modules it comes from."""
    text = str(annotation)
    if isinstance(annotation, type) and not get_args(annotation):
        text = annotation.__name__
    return re.sub(r"\b(?:typing|homeostat(?:\.\w+)*)\.(?=\w)", "", text)


def json_page() -> str:
    """Return the page of the shapes that `--json` and the API answer with."""
    shapes: list[type[msgspec.Struct]] = []
    for module in (shapes_of_commands, check_report, views, rows):
        for value in vars(module).values():
            own = inspect.isclass(value) and value.__module__ == module.__name__
            if own and issubclass(value, shapes_of_api.Given):
                continue  # docs/reference/routes.md tells what routes take
            if own and issubclass(value, msgspec.Struct) and not value.__name__.startswith("_"):
                shapes.append(value)
    parts = []
    for shape in shapes:
        hints = get_type_hints(shape)
        lines = [[f"`{name}`", f"`{_type_name(hints[name])}`"] for name in shape.__struct_fields__]
        about = inspect.cleandoc(shape.__doc__ or "")
        parts.append(f"## {shape.__name__}\n\n{about}\n\n{table(['field', 'type'], lines)}")
    commands = [
        [f"`homeostat {command} --json`", f"`{_type_name(shape)}`"]
        for command, shape in shapes_of_commands.PRINTS.items()
    ]
    intro = (
        "The shapes that `--json` prints and the API answers with. Fields may be added; none is "
        "renamed or\nremoved within a major version. Times are seconds since 1970 UTC. A number "
        "that is not known is null; a\ndatabase's `unknown` says why, under the same name.\n\n"
        "With `--json` a command prints one JSON value on standard output and nothing else. An "
        "error is one line on\nstandard error, nothing on standard output, and exit code 1 (2: "
        "wrong use, 130: interrupted). When no\noperator answers, `status` and `remedy list|show` "
        "print what the logbook says, with exit code 0: `state` is\n`logbook`, `pid` and "
        "`uptime_seconds` are null, `detail` says why, and `possible` is empty.\n\n"
        "Every command has `--json`. `up` and `demo` print their value once, when they run, and "
        "then nothing more;\n`check` ends with 0 (healthy), 1 (findings) or 2 (could not look)."
    )
    return page("JSON", intro, table(["command", "prints"], commands), *parts)


def errors_page() -> str:
    """Return the page of errors."""
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    lines = [
        [
            f"`{one.__name__}`",
            f"`{one.__bases__[0].__name__}`",
            str(status_of(one())),
            inspect.cleandoc(one.__doc__ or ""),
        ]
        for one in found
        if issubclass(one, errors.HomeostatError)
    ]
    head = ["error", "kind of", "status", "what it says"]
    intro = (
        "Every error that Homeostat raises on purpose, and what to do next. *status* is what the "
        "API answers\nwith. What brings one about on an engine is in [engines.md](engines.md)."
    )
    return page("Errors", intro, table(head, lines))


def routes_page() -> str:
    """Return the page of the API's routes."""
    parts = []
    for title, chosen in (
        ("Reading", [one for one in ROUTES if one.method == "GET" and one.role]),
        ("Changing", [one for one in ROUTES if one.method == "POST"]),
        ("For anyone on this machine", [one for one in ROUTES if one.role is None]),
    ):
        lines = [_route_line(one) for one in chosen]
        head = ["route", "role", "takes", "answer", "what it does"]
        parts.append(f"## {title}\n\n{table(head, lines)}")
    intro = (
        "Every route of the API. [api.md](api.md) tells who may ask, what errors mean and how "
        "events are\nstreamed; [openapi.json](openapi.json) says the same for programs."
    )
    return page("Routes", intro, *parts)


def _route_line(one: ApiRoute) -> list[str]:
    takes = []
    for shape in (one.query, one.body):
        if shape is None or shape.__module__ != shapes_of_api.__name__:
            takes += [f"body `{shape.__name__}`"] if shape is not None else []
            continue
        for field in msgspec.structs.fields(shape):
            known = not field.required and field.default not in {None, ""}
            default = f" = {msgspec.json.encode(field.default).decode()}" if known else ""
            takes.append(f"`{field.name}{default}`" + (" (needed)" if field.required else ""))
    answer = "OpenAPI" if one.path == "/api/openapi.json" else _type_name(one.answer)
    who = one.role or "none"
    return [
        f"`{one.method} {one.path}`", who, ", ".join(takes), f"`{answer}`", one.about
    ]  # fmt: skip


def openapi_document() -> str:
    """Return the OpenAPI document of the API."""
    return encoded(ROUTES).decode()


PAGES: dict[str, Callable[[], str]] = {
    "config.md": config_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "findings.md": findings_page,
    "checks.md": checks_page,
    "remedies.md": remedies_page,
    "json.md": json_page,
    "errors.md": errors_page,
    "routes.md": routes_page,
    "openapi.json": openapi_document,
}


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.reference", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    options = parser.parse_args(arguments)
    stale = []
    for name, make in PAGES.items():
        target = DIRECTORY / name
        text = make()
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not options.check:
                target.write_text(text, encoding="utf-8")
    if options.check and stale:
        print(f"out of date: {', '.join(stale)}; run: python -m scripts.reference", file=sys.stderr)
        return 1
    print(f"{len(PAGES)} pages, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
