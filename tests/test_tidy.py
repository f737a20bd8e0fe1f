"""Style that only ratchets: sizes have limits, and a listed exception may shrink but never grow.

The limits and their reasons are in CONTRIBUTING.md. A failing test says what to do about it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "homeostat"

FUNCTION_LINES_MAX = 70
CLASS_LINES_MAX = 300
MODULE_LINES_MAX = 500
LINE_CHARACTERS_MAX = 100
FILE_BYTES_MAX = 1_000_000

# Larger than the limit, with the size they have: `path` or `path:Name.name`. Shrink them; a number
# here may only go down, and a line goes when its size is within the limit.
EXCEPTIONS: dict[str, int] = {}

# Files that are not text, each with what it is for.
BINARY = {
    "docs/images/demo.png": "the README's picture",
}
VENDORED = "/vendor/"  # third-party files stay as they were published
OWN_TEXT = {".py", ".sql", ".css", ".js", ".html", ".toml", ".sh", ".md", ""}
NARROW = {".py", ".sql", ".css", ".js", ".sh"}  # tables and links make the others wide

# Modules that may ask the system for the time or sleep, each with its reason.
OWN_TIME = {
    "src/homeostat/clock.py": "it is the clock",
    "src/homeostat/cli/text.py": "ages are shown to a person now",
    "src/homeostat/operate/ownership.py": "waits for a killed process to be gone",
}
TIME_CALLS = {"time", "sleep"}  # a statement's deadline may be monotonic: the database is real

UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~:/$}])/(?:work|root|home|tmp|Users)/[\w.]")
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
PRAGMA = re.compile(r"\s+# (?:noqa|type: ignore).*")  # a tool's own mark with its reason
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class Measured(NamedTuple):
    """A thing whose size has a limit."""

    name: str
    lines: int
    limit: int


@cache
def committed() -> list[Path]:
    """Return every file that is or would be committed."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return sorted({path for path in paths if path.is_file()})


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def own_text() -> Iterator[tuple[str, str]]:
    """Yield name and text of every text file that was written here."""
    for path in committed():
        name = name_of(path)
        if path.suffix in OWN_TEXT and VENDORED not in name and name != "LICENSE":
            yield name, path.read_text(encoding="utf-8")


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of every Python file by name."""
    return {name: ast.parse(text) for name, text in own_text() if name.endswith(".py")}


def measured() -> Iterator[Measured]:
    for name, text in own_text():
        if name.endswith(".py"):
            yield Measured(name, text.count("\n"), MODULE_LINES_MAX)
    for name, tree in trees().items():
        yield from _measured_within(tree, f"{name}:")


def _measured_within(node: ast.AST, prefix: str) -> Iterator[Measured]:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            limit = CLASS_LINES_MAX if isinstance(child, ast.ClassDef) else FUNCTION_LINES_MAX
            lines = (child.end_lineno or child.lineno) - child.lineno + 1
            yield Measured(prefix + child.name, lines, limit)
            inner = f"{prefix}{child.name}."
        yield from _measured_within(child, inner)


def test_nothing_grows_past_its_limit() -> None:
    problems = []
    for one in measured():
        allowed = EXCEPTIONS.get(one.name, one.limit)
        if one.lines > allowed:
            problems.append(f"{one.name}: {one.lines} lines, at most {allowed}: split it")
    assert not problems, "\n".join(problems)


def test_exceptions_only_shrink() -> None:
    sizes = {one.name: one for one in measured()}
    problems = []
    for name, allowed in EXCEPTIONS.items():
        one = sizes.get(name)
        if one is None or one.lines <= one.limit:
            problems.append(f"{name}: within its limit now: take it off EXCEPTIONS")
        elif one.lines < allowed:
            problems.append(f"{name}: write {one.lines} instead of {allowed} in EXCEPTIONS")
    assert not problems, "\n".join(problems)


def test_lines_are_narrow_and_clean() -> None:
    problems = []
    for name, text in own_text():
        narrow = Path(name).suffix in NARROW
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                problems.append(f"{name}:{number}: white space at the end of the line")
            width = len(PRAGMA.sub("", line))
            if narrow and width > LINE_CHARACTERS_MAX:
                problems.append(f"{name}:{number}: {width} characters")
        if text and not text.endswith("\n"):
            problems.append(f"{name}: no new line at the end")
    assert not problems, "\n".join(problems)


OTHER_PROGRAMS = {"tests/faults/writer.py"}  # somebody else's, in a process of its own


def test_one_sqlite_library_in_the_process() -> None:
    problems = []
    for name, tree in trees().items():
        if name in OTHER_PROGRAMS:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            modules = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            if any(module.split(".")[0] in {"sqlite3", "_sqlite3"} for module in modules):
                problems.append(f"{name}:{node.lineno}: imports sqlite3; use homeostat.driver")
    assert not problems, "\n".join(problems)


def test_time_comes_from_the_clock() -> None:
    """Else a year of schedules could not be lived through in a test."""
    problems = []
    for name, tree in trees().items():
        if not name.startswith("src/") or name in OWN_TIME:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "time" and node.attr in TIME_CALLS:
                    problems.append(f"{name}:{node.lineno}: time.{node.attr}: use a Clock")
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                taken = {alias.name for alias in node.names} & TIME_CALLS
                problems += [f"{name}:{node.lineno}: imports {one}: use a Clock" for one in taken]
    assert not problems, "\n".join(problems)


def test_nothing_is_left_for_later() -> None:
    problems = [
        f"{name}:{number}: {line.strip()}"
        for name, text in own_text()
        for number, line in enumerate(text.split("\n"), 1)
        if UNFINISHED.search(line)
    ]
    assert not problems, "finish it or file an issue:\n" + "\n".join(problems)


def test_no_path_of_one_machine() -> None:
    problems = [
        f"{name}:{number}: {line.strip()}"
        for name, text in own_text()
        if not name.startswith("tests/")
        for number, line in enumerate(text.split("\n"), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not problems, "\n".join(problems)


def test_every_room_has_tests() -> None:
    rooms = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    without = [room for room in rooms if not any((ROOT / "tests" / room).glob("**/test_*.py"))]
    assert rooms
    assert not without, f"no tests/<room>/test_*.py for: {', '.join(without)}"


def test_files_are_small_and_text() -> None:
    problems = []
    for path in committed():
        name, content = name_of(path), path.read_bytes()
        if len(content) > FILE_BYTES_MAX:
            problems.append(f"{name}: {len(content)} bytes, at most {FILE_BYTES_MAX}")
        if b"\0" in content and name not in BINARY:
            problems.append(f"{name}: not text; list it in BINARY with its reason")
    assert not problems, "\n".join(problems)


def _anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, made the way GitHub makes them."""
    found = set()
    for title in HEADING.findall(FENCE.sub("", text)):
        words = re.sub(r"[^\w\- ]", "", title.lower())
        found.add(words.replace(" ", "-"))
    return found


def documents() -> list[str]:
    return [name for name, _ in own_text() if name.endswith(".md")]


@pytest.mark.parametrize("name", documents())
def test_links_between_documents_lead_somewhere(name: str) -> None:
    page = ROOT / name
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    problems = []
    for target in ("".join(pair) for pair in LINK.findall(text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists():
            problems.append(f"{name}: {target} does not exist")
            continue
        if anchor and anchor not in _anchors(linked.read_text(encoding="utf-8")):
            problems.append(f"{name}: {target} names no heading")
    assert not problems, "\n".join(problems)
