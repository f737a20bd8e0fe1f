"""Documents that cannot rot: generated pages are current, examples name commands that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from homeostat.cli.root import root
from scripts import pins, reference

ROOT = Path(__file__).resolve().parent.parent
SHELL = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROSE = re.compile(r"`(homeostat [^`\n]+)`")
TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
PLANNED = "docs/reference/vision.md"  # its rows say which commands do not exist yet
HAND_WRITTEN = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name not in reference.PAGES and path != ROOT / PLANNED
)


@pytest.mark.parametrize("name", reference.PAGES)
def test_reference_page_is_current(name: str) -> None:
    page = reference.DIRECTORY / name
    written = page.read_text(encoding="utf-8") if page.exists() else ""
    assert written == reference.PAGES[name](), "run: python -m scripts.reference"


def examples() -> Iterator[tuple[str, str]]:
    """Yield every command line of ours in hand-written documents, with where it stands."""
    for path in HAND_WRITTEN:
        text = path.read_text(encoding="utf-8")
        lines = [line for block in SHELL.findall(text) for line in block.splitlines()]
        for line in [*lines, *PROSE.findall(text)]:
            for part in re.split(r"&&|\|\|", line.partition("#")[0]):
                words = part.strip().removeprefix("$ ")
                ours = re.search(r"(?:^|uv run )homeostat(?: .*)?$", words)
                if ours:
                    yield path.relative_to(ROOT).as_posix(), ours[0].removeprefix("uv run ")


def problem_with(line: str) -> str:
    """Return what is wrong with a command line, or nothing."""
    words = shlex.split(line.replace("...", ""))[1:]
    command: click.Command = root
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        alternatives = words.pop(0).split("|")
        context = click.Context(command, **root.context_settings)
        found = [command.get_command(context, name) for name in alternatives]
        missing = [name for name, one in zip(alternatives, found, strict=True) if one is None]
        if missing:
            return f"no command {' '.join(missing)}"
        command = next(one for one in found if one is not None)
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word not in known]
    return f"no option {' '.join(unknown)}" if unknown else ""


def test_commands_in_documents_exist() -> None:
    lines = list(examples())
    problems = [
        f"{where}: {line}: {problem}" for where, line in lines if (problem := problem_with(line))
    ]
    assert lines
    assert not problems, "\n".join(problems)


def test_commands_of_what_works_exist() -> None:
    """A row of vision.md that works names a command that is there."""
    page = (ROOT / PLANNED).read_text(encoding="utf-8")
    lines = re.findall(r"\| `(homeostat [^`]+)` \|[^|]+\| works \|$", page, re.MULTILINE)
    problems = [f"{line}: {problem}" for line in lines if (problem := problem_with(line))]
    assert lines
    assert not problems, "\n".join(problems)


def test_toml_examples_are_accepted(tmp_path: Path) -> None:
    from homeostat.config import load

    found = 0
    for path in [*HAND_WRITTEN, *reference.DIRECTORY.glob("*.md")]:
        for block in TOML.findall(path.read_text(encoding="utf-8")):
            example = tmp_path / "homeostat.toml"
            example.write_text(block, encoding="utf-8")
            load(example)
            found += 1
    assert found


def test_ci_runs_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "scripts/test" in "".join(SHELL.findall(readme))
    assert "exec bash scripts/test" in ci


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    decisions = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if path.name != "README.md"
        and f"]({path.relative_to(ROOT / 'docs').as_posix()})" not in index
        and f"]({path.name})" not in decisions
    ]
    assert not missing, "not in docs/README.md or docs/decisions/README.md"


def test_every_dependency_has_its_licence_told() -> None:
    page = (ROOT / "docs" / "decisions" / "licences.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE))
    run, build = pins.pinned(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    missing = {pin.partition("==")[0] for pin in [*run, *build]} - told
    assert not missing, "add a row to docs/decisions/licences.md"
