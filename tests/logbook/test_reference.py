"""The reference names every table and column of the operator's files, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homeostat.driver.sqlite import connect
from homeostat.logbook.migrate import migrate, migrations_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "logbook.md"


@pytest.mark.parametrize("name", ["logbook", "samples"])
def test_the_reference_has_all_tables_and_columns(name: str, tmp_path: Path) -> None:
    wire = connect(tmp_path / "file.db", create=True)
    migrate(wire, migrations_of(name))
    tables = wire.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    real = {
        str(table): [
            str(row["name"]) for row in wire.execute(f"PRAGMA table_info('{table}')").dicts()
        ]
        for (table,) in tables.rows
    }
    wire.close()
    section = PAGE.read_text().split(f"## {name}.db")[1].split("\n## ")[0]
    told = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith("| `"):
            columns = re.sub(r"\([^)]*\)", "", cells[2])
            told[cells[1].strip("`")] = re.findall(r"`(\w+)`", columns)
    assert told == real
