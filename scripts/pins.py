"""Write the exact version of every dependency into pyproject.toml, between two marker lines.

There is no lock file in the repository (docs/decisions/no-lock-file.md): the resolver's answer is
kept as constraints, which name versions and no hosts. They cover what is needed to run, to develop
and to build, directly or not, for every supported Python and platform.

    python -m scripts.pins              # keep what still fits, resolve the rest
    python -m scripts.pins --upgrade    # take the newest versions
    python -m scripts.pins --check      # change nothing, exit 1 when a pin is missing

It never edits anything outside of the markers. It asks the package index through uv.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
START = "# pins: written by `python -m scripts.pins`; do not edit by hand"
END = "# end of pins"
LOWEST_PYTHON = "3.11"
EDITABLE_BUILD = "editables"  # hatchling asks for it when it installs a work tree
_BLOCK = re.compile(rf"^{re.escape(START)}\n.*?^{re.escape(END)}\n", re.DOTALL | re.MULTILINE)


class PinsError(Exception):
    """The pins could not be written; the message says why."""


def without_block(text: str) -> str:
    """Return pyproject.toml with an empty block of pins."""
    if not _BLOCK.search(text):
        raise PinsError(f"pyproject.toml lacks the marker lines:\n{START}\n{END}")
    return _BLOCK.sub(f"{START}\n{END}\n", text)


def with_block(text: str, *, run: list[str], build: list[str]) -> str:
    """Return pyproject.toml with these pins in the block."""
    lines = [START]
    for key, pins in (("constraint-dependencies", run), ("build-constraint-dependencies", build)):
        lines += [f"{key} = [", *(f'    "{pin}",' for pin in pins), "]"]
    block = "\n".join([*lines, END, ""])
    return _BLOCK.sub(lambda _: block, without_block(text))


def pinned(project: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the pins for running and for building that a parsed pyproject.toml holds."""
    settings = project["tool"]["uv"]
    return (
        list(settings.get("constraint-dependencies", [])),
        list(settings.get("build-constraint-dependencies", [])),
    )


def _compile(directory: Path, source: str, *, kept: list[str], groups: list[str]) -> list[str]:
    """Resolve one requirements source for all platforms; prefer the kept versions."""
    answer = directory / "resolved.txt"
    answer.write_text("".join(f"{pin}\n" for pin in kept), encoding="utf-8")
    command = ["uv", "pip", "compile", "--universal", "--quiet", "--no-annotate", "--no-header"]
    command += ["--python-version", LOWEST_PYTHON, "--output-file", answer.name, source]
    command += [word for group in groups for word in ("--group", group)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PinsError(f"uv could not resolve {source}:\n{done.stderr}")
    lines = answer.read_text(encoding="utf-8").splitlines()
    return [line.replace('"', "'") for line in lines if line and not line.startswith("#")]


def resolve(text: str, *, keep: bool) -> tuple[list[str], list[str]]:
    """Return the pins for running (with every group) and for building.

    Args:
        text: pyproject.toml.
        keep: prefer the versions pinned now; False takes the newest.
    """
    project = tomllib.loads(text)
    kept_run, kept_build = pinned(project) if keep else ([], [])
    groups = sorted(project.get("dependency-groups", {}))
    requires = [*project["build-system"]["requires"], EDITABLE_BUILD]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "pyproject.toml").write_text(without_block(text), encoding="utf-8")
        (directory / "build.in").write_text("".join(f"{r}\n" for r in requires), encoding="utf-8")
        run = _compile(directory, "pyproject.toml", kept=kept_run, groups=groups)
        build = _compile(directory, "build.in", kept=kept_build, groups=[])
    return run, build


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pins; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.pins", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    options = parser.parse_args(arguments)
    text = PYPROJECT.read_text(encoding="utf-8")
    try:
        run, build = resolve(text, keep=not options.upgrade)
        wanted = with_block(text, run=run, build=build)
    except PinsError as error:
        print(error, file=sys.stderr)
        return 2
    if wanted == text:
        print(f"{len(run)} + {len(build)} pins are up to date")
        return 0
    if options.check:
        print("pyproject.toml: pins are out of date; run: python -m scripts.pins", file=sys.stderr)
        return 1
    PYPROJECT.write_text(wanted, encoding="utf-8")
    print(f"wrote {len(run)} + {len(build)} pins")
    return 0


if __name__ == "__main__":
    sys.exit(main())
