"""docs/reference/vision.md names everything in the founding document, and says the truth about it.

A row that claims `works` is imported and its values compared. When the founding document lies
beside the repository (../shared/VISION.md) its names are read from it too; otherwise the list at
the end of the page stands for it.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "vision.md"
FOUNDING = ROOT.parent / "shared" / "VISION.md"
STATES = {"works", "not yet"}
CELLS = 6  # founding name, room, Python, command, page, state
PROMISE = "The promise"

# Words of the sketch's language, and its local variables: they stand for nothing to build.
LANGUAGE = set(
    """
    export class private readonly constructor this new async await const let try catch finally
    return throw for of if else switch case break default void number string true false Promise Map
    Date error interval setInterval console message push set get name type task result results
    data item action id timestamp changes metrics session response status addTask
    cycle gate pipeline anomaly anomalies currentState currentUsage projections backupConfig
    maintenanceConfig selfHealingConfig profile profiles currentProfile updatedProfile patterns
    operation strategy interactions optimization batch batches batchResults conflict conflicts
    resolutions bandwidth index query slowQueries missingIndexes unusedIndexes cacheStats
    frequentData accessPatterns threat threats source incident checklist
    """.split()  # noqa: SIM905 - a list would take one line a word
)

LITERAL = r"'[^'\n]*'|\[[^\]\n]+\]|-?\d+(?:\.\d+)?(?: \* \d+)*|true\b|false\b"
COMMENT = re.compile(r"(?<!:)//[^\n]*")
LOG = re.compile(r"console\.error\([^)]*\);?|message: '[^']*',|pipeline\.fail\('[^']*'")
PAIR = re.compile(rf"(\w+)\s*(?::|=|>|<)\s*({LITERAL})")
CALL = re.compile(r"(\w+)\(('[^']*'|\d+)[,)]")
WORD = re.compile(r"[A-Za-z_]\w*")
TEXT = re.compile(r"'([^'\n]*)'")
CLASS = re.compile(r"export class (\w+)")
TICKED = re.compile(r"`([^`]+)`")
CLAIM = re.compile(r"^([\w.]+)(?:\s*==\s*(.+))?$")


class Row(NamedTuple):
    """One line of the table."""

    section: str
    founding: str
    room: str
    python: str
    command: str
    page: str
    state: str


def names_in(code: str) -> set[str]:
    """Return the names and values in a piece of the sketch: words, `key value` and 'texts'."""
    code = COMMENT.sub("", LOG.sub("", code))
    found = {f"{key} {value}" for key, value in [*PAIR.findall(code), *CALL.findall(code)]}
    code = CALL.sub(r"\1(", PAIR.sub("", code))
    found |= {f"'{text}'" for text in TEXT.findall(code)}
    return found | set(WORD.findall(TEXT.sub("", code))) - LANGUAGE


def founding_names() -> dict[str, set[str]]:
    """Return the names in the founding document by class."""
    text = FOUNDING.read_text(encoding="utf-8")
    found = {}
    for block in re.findall(r"```typescript\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"(?=export class )", block):
            title = CLASS.search(part)
            if title:
                found[title[1]] = names_in(part)
    return found


def listed_names() -> dict[str, set[str]]:
    """Return the checked-in list of the page's last section."""
    text = PAGE.read_text(encoding="utf-8").partition("## The list\n")[2]
    found: dict[str, set[str]] = {}
    for title, body in re.findall(
        r"^### (\w+)\n+```text\n(.*?)```", text, re.DOTALL | re.MULTILINE
    ):
        found[title] = set(body.splitlines())
    return found


def rows() -> list[Row]:
    text = PAGE.read_text(encoding="utf-8").partition("## The list\n")[0]
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:].strip()
        elif line.startswith("| ") and not line.startswith(("| founding", "| ---")):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == CELLS, f"{len(cells)} cells: {line}"
            found.append(Row(section, *cells))
    return found


def written_names(section: str) -> set[str]:
    """Return the names in the first cells of a section."""
    cells = [row.founding for row in rows() if row.section == section]
    return {name for cell in cells for code in TICKED.findall(cell) for name in names_in(code)}


def resolve(path: str) -> object:
    """Import a dotted path: a module, then attributes; a config section counts as its default."""
    words = path.split(".")
    for cut in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:cut]))
        except ModuleNotFoundError:
            continue
        for word in words[cut:]:
            if isinstance(found, type) and issubclass(found, msgspec.Struct):
                found = found()
            found = getattr(found, word)
        return found
    raise ModuleNotFoundError(path)


def test_the_page_has_rows_with_known_states() -> None:
    assert rows()
    wrong = [row for row in rows() if row.state not in STATES]
    assert not wrong, f"a state is one of {sorted(STATES)}"


def test_every_row_names_something() -> None:
    empty = [row for row in rows() if not TICKED.search(row.founding) or not row.room]
    assert not empty


@pytest.mark.parametrize("row", [row for row in rows() if row.state == "works"], ids=lambda r: r[1])
def test_what_works_is_there(row: Row) -> None:
    claims = TICKED.findall(row.python)
    assert claims, f"{row.founding} works: name the importable Python path"
    for claim in claims:
        match = CLAIM.match(claim)
        assert match, f"not a path or `path == value`: {claim}"
        path, value = match.groups()
        found = resolve(path)
        if value is not None:
            assert found == ast.literal_eval(value), f"{path} is {found!r}, the page says {value}"


def test_what_is_there_is_not_called_missing() -> None:
    """A row that says in words what is missing may name something that is there."""
    problems = []
    for row in rows():
        claims = [match[1] for claim in TICKED.findall(row.python) if (match := CLAIM.match(claim))]
        if row.state != "not yet" or TICKED.sub("", row.python).strip():
            continue
        with contextlib.suppress(ModuleNotFoundError, AttributeError):
            for claim in claims:
                resolve(claim)
            problems.append(f"{row.founding}: {row.python} is there: does it work?")
    assert not problems, "\n".join(problems)


def test_every_name_of_the_list_has_a_row() -> None:
    missing = {
        section: sorted(names - written_names(section))
        for section, names in listed_names().items()
        if names - written_names(section)
    }
    assert listed_names()
    assert not missing, "names without a row in docs/reference/vision.md"


@pytest.mark.skipif(not FOUNDING.exists(), reason="the founding document is not beside the repo")
def test_the_list_is_the_founding_document() -> None:
    assert listed_names() == founding_names()


def test_rows_of_a_section_are_about_that_section() -> None:
    """A row may not name what the founding class does not have: nothing is claimed twice."""
    listed = listed_names()
    strange = {
        section: sorted(written_names(section) - names)
        for section, names in listed.items()
        if written_names(section) - names
    }
    assert not strange


def test_every_section_is_a_founding_class() -> None:
    assert {row.section for row in rows()} == {PROMISE, *listed_names()}
